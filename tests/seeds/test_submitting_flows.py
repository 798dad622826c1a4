"""Programs in which flows, and tasks, submit flows and make runs of deployments."""

import json
import uuid

from millstream_shared.states import StateType
from tests.seeds.programs import Programs


def test_a_flow_submits_flows(programs: Programs):
    """Each becomes a run of its own, and the results are in the order of the calls, whatever the task runner."""
    ended = programs.run("flow_submit")
    assert ended.said("parent_flow") == str([2 * number for number in range(10)])
    assert ended.said("main_flow") == "[2, 4, 6, 8, 10]"
    assert ended.states_of("my-subflow", "process-item") == [StateType.COMPLETED] * 15
    parent = ended.run_of("parent-flow")
    assert {run.flow_run_id for run in ended.runs_of("my-subflow")} == {parent.run_id}


def test_a_task_submits_flows(programs: Programs):
    """In the process of the flow, and in a worker: the runs are children of the task run."""
    ended = programs.run("flow_submit_in_a_task")
    assert ended.said("returned") == "[2, 4, 6, 8, 10]"
    assert ended.said("returned through a queue") == "[2, 4, 6, 8, 10]"
    batches = {run.run_id for run in ended.runs_of("process_batch")}
    assert {run.parent_run_id for run in ended.runs_of("process-item")} == batches
    assert ended.states_of("process-item") == [StateType.COMPLETED] * 10


def test_a_task_submits_flows_batch_by_batch(programs: Programs):
    """No run of a batch begins before all of the one before it have ended."""
    ended = programs.run("batches_of_flows")
    assert ended.said("returned") == "None"
    made = sorted(ended.runs_of("process-flow"), key=lambda run: run.created)
    assert len(made) == 25
    for before, after in ((made[:10], made[10:20]), (made[10:20], made[20:])):
        assert max(run.ended or 0 for run in before) <= min(run.started or 0 for run in after)


def test_a_task_makes_a_run_of_a_deployment(programs: Programs):
    """By the client, which gives the run's id; the run is nobody's child, and is over before the program is."""
    ended = programs.run("run_created_in_a_task")
    id = uuid.UUID(ended.said("returned"))
    run = ended.run_of("target-flow")
    assert (run.run_id, run.state.result(), run.flow_run_id) == (id.hex, 84, None)
    assert (run.details or {})["parameters"] == '{"data": {"value": 42}}'


def test_a_limit_on_a_tag_is_made_from_a_shell(programs: Programs):
    """As it is written in a conversation about how to limit concurrent runs; `--help` tells more."""
    made = programs.running.cli("concurrency-limit", "create", "my-tag-name-here", "10").succeed()
    assert "my-tag-name-here" in made
    (limit,) = json.loads(programs.running.cli("concurrency-limit", "ls", "--json").succeed())
    assert (limit["name"], limit["limit"]) == ("tag:my-tag-name-here", 10)
    assert "TAG LIMIT" in programs.running.cli("concurrency-limit", "create", "--help").succeed()
    programs.running.cli("concurrency-limit", "delete", "my-tag-name-here").succeed()
