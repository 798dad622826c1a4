"""Programs that submit and map async tasks, and block for their futures in sync and async flows."""

from itertools import pairwise

from millstream_shared.states import StateType
from tests.seeds.programs import Programs, follows, most_at_once


def test_an_async_task_is_submitted_from_a_sync_flow(programs: Programs):
    """`submit` of an async task gives a future whose `wait` and `result` block."""
    ended = programs.run("submit_async_task")
    assert ended.said("result") == "42"


def test_an_async_task_is_mapped_with_a_constant(programs: Programs):
    """`map` over an async task with an unmapped constant gives the results in order."""
    ended = programs.run("map_async_task")
    assert "[11, 12, 13, 14]" in ended.lines
    assert most_at_once(ended.runs_of("add_async")) == 4


def test_results_stream_in_as_they_are_completed(programs: Programs):
    """`as_completed` gives each future once, in the order in which their runs end."""
    ended = programs.run("stream_results")
    done = [line for line in ended.lines if line.startswith("done ")]
    assert sorted(done) == [f"done {number}" for number in range(5)]
    ends = {record.state.data: record.ended or 0.0 for record in ended.runs_of("work")}
    # Runs that end in different processes within a few milliseconds may be heard of in either order.
    assert [(earlier, later) for earlier, later in pairwise(done) if ends[earlier] > ends[later] + 0.1] == []


def test_an_async_flow_blocks_for_its_futures(programs: Programs):
    """An async flow that blocks its loop by `as_completed` and `result` still gets both values."""
    ended = programs.run("async_flow_as_completed")
    assert {line for line in ended.lines if line.startswith("got:")} == {"got: 9", "got: 25"}
    assert ended.said("returned") == "[9, 25]"


def test_wait_for_puts_async_tasks_in_order(programs: Programs):
    """Runs begin when those in their `wait_for` have ended, although no data passes between them."""
    ended = programs.run("dependency_example")
    assert ended.said("returned") == "None"
    setup, step_a, step_b, finalize = map(ended.run_of, ("setup", "step_a", "step_b", "finalize"))
    assert follows(step_a, setup)
    assert follows(step_b, setup)
    assert follows(finalize, step_a, step_b)
    assert ended.states_of("dependency-example") == [StateType.COMPLETED]
