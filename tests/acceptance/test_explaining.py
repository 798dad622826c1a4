"""Why a run does not move: real situations, each told in one sentence, by the commands and by `explaining.why`."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from millstream import explaining, sessions
from millstream.exceptions import ObjectNotFound
from millstream_shared import envelopes, ids, settings
from millstream_shared.claims import QueuedFlowRun, RecordedRun
from millstream_shared.flow_headers import FlowHeader
from millstream_shared.limits import Limits
from millstream_shared.queues import Queues
from millstream_shared.states import StateType
from millstream_shared.store import Store
from millstream_shared.unfinished import UnfinishedRuns
from millstream_shared.workers import Workers
from tests.harness import eventually, ledgers
from tests.harness.commands import millstream, millstream_json
from tests.harness.ledgers import Ledger
from tests.harness.processes import Process, Processes
from tests.harness.queued_runs import record as a_record
from tests.harness.servers import RealServer

QUICK = {"MILLSTREAM_LEASE_SECONDS": "2", "MILLSTREAM_HEARTBEAT_SECONDS": "0.5"}

PROGRAM = (
    ledgers.PROGRAM
    + """
@task
def work(seconds):
    note("start")
    time.sleep(seconds)

@task
def after(before):
    note("start")

@task(tags=["db"])
def tagged(seconds):
    note("start")
    time.sleep(seconds)

@task(retries=1, retry_delay_seconds=100)
def fails():
    raise ValueError("no such luck")

@task
def fails_for_good():
    raise ValueError("never again")

@flow(queue="flows")
def child(seconds):
    work.submit(seconds).wait()

@flow
def sends(name, *arguments):
    if name == "chain":
        return after.submit(work.submit(60)).wait()
    if name == "line":
        [future.wait() for future in tagged.map([60] * 3)]
    elif name == "child":
        child.submit(float(arguments[0])).wait()
    elif name == "fails":
        fails.submit().wait()
    elif name == "ended":
        work.map([0] * 3).wait()
        fails_for_good.submit().wait()
    else:
        work.map([float(arguments[0])] * int(arguments[1])).wait()

if __name__ == "__main__":
    sends(*sys.argv[1:])
"""
)


@pytest.fixture
def ledger(ledger: Ledger, running: Processes, valkey: RealServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    running.environment["MILLSTREAM_LOGGING_LEVEL"] = "WARNING"
    monkeypatch.setenv("MILLSTREAM_REDIS_URL", valkey.url)
    settings.get_settings.cache_clear()
    sessions.close_current()
    yield ledger
    sessions.close_current()


@pytest.fixture
def store(valkey: RealServer) -> Iterator[Store]:
    opened = Store(valkey.url, settings.get_settings())
    yield opened
    opened.close()


def start_worker(running: Processes, *options: str, **environment: str) -> Process:
    worker = running.cli(
        "worker", "start", "--processes", "1", *options, **({"MILLSTREAM_LOGGING_LEVEL": "INFO"} | environment)
    )
    worker.says("worker started")
    return worker


def flow_run_of(store: Store) -> str:
    """The id of the flow run that the only program executes."""
    workers = Workers(store)
    held = eventually(lambda: [run_id for owner in workers.owners() for run_id in workers.held(owner)])
    return next(run_id for run_id in held if ids.is_flow(run_id))


def waiting(store: Store, count: int) -> list[str]:
    """The ids of the unfinished task runs, as soon as there are so many, by name."""
    flow_run_id = flow_run_of(store)

    def found() -> list[str] | None:
        runs = UnfinishedRuns(store).look(UnfinishedRuns(store).in_tree(flow_run_id)).values()
        return [run.run_id for run in sorted(runs, key=lambda run: run.name)] if len(runs) == count else None

    return eventually(found)


pytestmark = pytest.mark.leaves_work("what does not move is looked at, and left so")


def test_no_worker_serves_the_queue(running: Processes, ledger: Ledger, store: Store) -> None:
    """The sentence has the command that helps; of the flow run too, as that is why it does not move."""
    assert ledger.lines() == []
    running.python(PROGRAM, "work", "0", "2")
    [first, _] = waiting(store, 2)
    said = explaining.why(first)
    assert re.fullmatch(
        r"The task run 'work-\w+' is queued, and no worker serves the queue 'default': .*default`\.", said
    )
    of_flow = explaining.why(flow_run_of(store)[:12])
    assert "is executed by the process client-" in of_flow
    assert "none of its 2 unfinished task runs is executed" in of_flow
    assert "no worker serves the queue 'default'" in of_flow


def test_a_paused_queue_and_suspended_workers(
    running: Processes, ledger: Ledger, store: Store, valkey: RealServer
) -> None:
    """Each is told with what ends it; without either, the run has a place in the queue."""
    assert ledger.lines() == []
    Queues(store).pause("default")
    running.python(PROGRAM, "work", "0", "2")
    [first, _] = waiting(store, 2)
    # Before there is a worker: one that is there looks whether it is suspended now and then only.
    valkey.client().set("rq:suspended", 1, ex=100)
    start_worker(running, "--threads", "1")
    assert "is queued, and the queue 'default' is paused: `millstream queue resume default`" in explaining.why(first)
    Queues(store).resume("default")
    assert "all workers are suspended: `rq resume`" in explaining.why(first)


def test_a_run_that_waits_for_a_slot_of_its_tag(
    running: Processes, ledger: Ledger, store: Store, valkey: RealServer
) -> None:
    """How many are taken, who has held one for the longest time, how many stand before it."""
    Limits(store.script).write("tag:db", "new", limit=1)
    start_worker(running)
    running.python(PROGRAM, "line")
    eventually(lambda: ledger.lines("start"))
    eventually(lambda: Limits(store.script).read("tag:db")[0].waiting == 2)
    [holder] = [line["run"] for line in ledger.lines("start")]
    sentences = sorted(explaining.why(run_id) for run_id in waiting(store, 3) if run_id != holder)
    pattern = r"The task run 'tagged-\w+' waits for the tag 'db', 1 of 1 taken, oldest holder 'tagged-\w+' since .*\)"
    assert all(re.match(pattern, said) for said in sentences), sentences
    assert {said.rpartition(", ")[2] for said in sentences} == {"it is next.", "1 before it."}
    assert "is executed by worker-" in explaining.why(holder)
    seen = {run["state"] for run in millstream_json(valkey.url, "task-run", "ls", flow_run_of(store)[:12])}
    assert seen == {"Running", "AwaitingConcurrencySlot"}


def test_a_run_that_waits_for_another_tells_why_that_one_does_not_end(
    running: Processes, ledger: Ledger, store: Store
) -> None:
    """By the name and id of that one."""
    start_worker(running)
    running.python(PROGRAM, "chain")
    eventually(lambda: ledger.lines("start"))
    second, first = waiting(store, 2)
    said = explaining.why(second)
    pattern = (
        rf"The task run 'after-\w+' waits for the task run 'work-\w+' \({first}\): that one is executed by worker-"
    )
    assert re.match(pattern, said), said


def test_a_run_that_is_tried_again_later(running: Processes, ledger: Ledger, store: Store) -> None:
    """After how many tries, and when."""
    assert ledger.lines() == []
    start_worker(running)
    running.python(PROGRAM, "fails")
    eventually(lambda: store.client.zcard("rq:scheduled:default"))
    [run_id] = waiting(store, 1)
    assert re.search(r"is postponed after 1 failed try until [\d:]+\.$", explaining.why(run_id))


def test_a_scheduled_and_a_paused_flow_run(ledger: Ledger, store: Store) -> None:
    """When the one begins, and what nobody executes there; that somebody has to resume the other."""
    assert ledger.lines() == []
    run_id = ids.new_flow_run_id()
    record = replace(a_record(run_id, StateType.SCHEDULED), kind="flow", ended=None, name="later")
    header = FlowHeader("module:flow", "flow", "later", queue="flows")
    payload = envelopes.seal(run_id, 1.0, header.encoded, b"", b"", None)
    due = time.time() + 3600
    queued = QueuedFlowRun(run_id, "later", "flows", payload, record.encode(), 1.0, "flow", due=due)
    store.submit_flows([queued], inbox="me")
    pattern = (
        r"The flow run 'later' is scheduled for [-\d: ]+, and no worker executes flow runs of the queue 'flows'.*\."
    )
    assert re.fullmatch(pattern, explaining.why(run_id))
    paused = replace(record, run_id=ids.new_flow_run_id(), state_type=StateType.PAUSED, state_name="Paused")
    store.record("nobody", [RecordedRun(paused.run_id, paused.encode())])
    assert explaining.why(paused.run_id) == "The flow run 'later' is paused until somebody resumes it."


def test_a_queued_flow_run_and_what_it_waits_for(
    running: Processes, ledger: Ledger, store: Store, valkey: RealServer
) -> None:
    """First for a worker that executes flow runs; then its task run for one of that queue."""
    running.python(PROGRAM, "child", "60")
    [run_id] = eventually(lambda: Queues(store).first("flows", 1))
    start_worker(running, "-q", "flows", "--flows", "0")
    pattern = (
        r"The flow run '.*' is queued, and no worker executes flow runs of the queue 'flows': `.* -q flows --flows N`\."
    )
    assert re.match(pattern, explaining.why(run_id)), explaining.why(run_id)
    [row] = [row for row in millstream_json(valkey.url, "queue", "ls") if row["name"] == "flows"]
    assert (row["queued"], row["flow_runs"], row["workers"]) == (1, 1, 1)
    assert "--flows N" in millstream(valkey.url, "doctor", code=1)
    start_worker(running, "-q", "flows")
    of_flow = eventually(lambda: "none of its 1" in (said := explaining.why(run_id[:12])) and said)
    assert "is executed by worker-" in of_flow
    assert "no worker serves the queue 'default'" in of_flow
    start_worker(running, "--flows", "0")
    eventually(lambda: ledger.lines("start"))
    assert "of its task runs 1 are executed" in explaining.why(run_id)
    seen = millstream_json(valkey.url, "flow-run", "inspect", run_id)
    assert (seen["state"], seen["task_runs"]) == ("Running", {"work": {"Running": 1}})


def test_a_run_whose_worker_has_died(running: Processes, ledger: Ledger, store: Store) -> None:
    """Who could take it over, or that nobody can."""
    worker = start_worker(running, **QUICK)
    running.python(PROGRAM, "work", "60", "1")
    eventually(lambda: ledger.lines("start"))
    [run_id] = waiting(store, 1)
    worker.kill()
    said = eventually(lambda: "has died" in (said := explaining.why(run_id)) and said, 20)
    assert re.search(r"was executed by worker-\S+, which has died, and ", said)
    eventually(lambda: "no worker serves the queue 'default', which could take it over" in explaining.why(run_id))


def test_a_flow_whose_process_has_died(running: Processes, ledger: Ledger, store: Store) -> None:
    """Nobody may have recorded it yet."""
    assert ledger.lines() == []
    script = running.python(PROGRAM, "work", "0", "1", **QUICK)
    waiting(store, 1)
    flow_run_id = flow_run_of(store)
    script.kill()
    said = eventually(lambda: "has died" in (said := explaining.why(flow_run_id)) and said, 20)
    assert re.match(r"The flow run '[\w-]+' was executed by the process client-\S+, which has died, and ", said)


def test_what_has_ended_is_shown_with_its_counts_and_errors(
    running: Processes, ledger: Ledger, valkey: RealServer
) -> None:
    """A flow run with its task runs by name and state; a failed task run with the text of its exception."""
    start_worker(running)
    running.python(PROGRAM, "ended").wait()
    [flow_run] = millstream_json(valkey.url, "flow-run", "ls")
    flow_run_id = flow_run["id"]
    seen = millstream_json(valkey.url, "flow-run", "inspect", flow_run_id[:12])
    assert seen["task_runs"] == {"work": {"Completed": 3}, "fails_for_good": {"Failed": 1}}
    assert (seen["state"], seen["function_name"]) == ("Completed", "sends")
    assert len(ledger.lines("start")) == 3
    text = millstream(valkey.url, "flow-run", "inspect", flow_run_id)
    assert re.search(r"fails_for_good +0 +1\n", text), text
    [failed] = millstream_json(valkey.url, "task-run", "ls", flow_run_id, "--state", "failed")
    assert "never again" in millstream(valkey.url, "task-run", "logs", failed["run_id"])
    shown = millstream(valkey.url, "task-run", "inspect", failed["run_id"])
    assert "ValueError: never again" in shown
    assert "worker-" in shown
    assert re.search(r"has ended as Failed, [\d:]+\.", explaining.why(failed["run_id"]))
    by_name = millstream(valkey.url, "task-run", "ls", flow_run_id, "--name", "work", "--limit", "2")
    assert by_name.count("Completed") == 2
    assert "There are more than these 2" in by_name


def test_what_is_no_run_is_an_error(ledger: Ledger, valkey: RealServer) -> None:
    """Exit code 2 for what cannot be an id, 1 for a run that is not there."""
    assert ledger.lines() == []
    assert "12 do" in millstream(valkey.url, "task-run", "inspect", "xyz", code=2)
    unknown = ids.new_flow_run_id()
    for group in ("flow-run", "task-run"):
        assert unknown in millstream(valkey.url, group, "inspect", unknown, code=1)
    with pytest.raises(ObjectNotFound):
        explaining.why(unknown)
