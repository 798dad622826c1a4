"""A flow run is cancelled over real workers: whatever it has started ends, wherever that is, and soon."""

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millstream import exceptions, limits, sessions
from millstream.cancelling import cancel
from millstream.deployments import run_deployment
from millstream.resuming import resume
from millstream_shared import records
from millstream_shared.flow_runs import FlowRuns
from millstream_shared.records import Record
from millstream_shared.states import StateType
from millstream_shared.unfinished import UnfinishedRuns
from tests.harness import eventually, ledgers
from tests.harness.ledgers import Ledger
from tests.harness.processes import Process, Processes

MODULE = "flows_to_cancel"
PROGRAM = (
    ledgers.PROGRAM
    + """
def told(flow, run, state):
    note(f"hook of {flow.name}: {state.name}")

@task
def sleeping():
    note("sleeping")
    time.sleep(60)
    note("woke up")

@task
def computing():
    note("computing")
    try:
        while True:
            sum(range(100))
    finally:
        note("computing ends")

@task(tags=["narrow"])
async def waiting():
    note("waiting")
    try:
        await asyncio.sleep(60)
    finally:
        note("waiting ends")

@task
def counting():
    note("counting")
    sum(range(10**12))  # in C, and never lets go of the interpreter

@task
def innocent(seconds):
    note("innocent begins")
    time.sleep(seconds)
    note("innocent ends")
    return seconds

@task
def after(value):
    note("after")

@flow(on_cancellation=[told], on_crashed=[told])
def below(kind):
    note("below")
    return [one.result() for one in [KINDS[kind].submit() for _ in range(2)]]

@flow
async def below_async():
    note("below async")
    try:
        await asyncio.sleep(60)
    finally:
        note("below async ends")

@task
def calls_a_flow():
    try:
        return loops()
    finally:
        note("caller ends")

@flow(on_cancellation=[told])
def loops():
    note("loops")
    while True:
        time.sleep(0.01)

KINDS = {"sleeping": sleeping, "computing": computing, "waiting": waiting, "counting": counting, "calls": calls_a_flow}

@flow(on_cancellation=[told], on_crashed=[told])
def everything(kinds):
    note("everything")
    futures = [KINDS[kind].submit() for kind in kinds for _ in range(2)]
    futures += [after.submit(futures[0])]
    futures += [below.submit(kinds[0]), below_async.submit()]
    note("all submitted")
    for future in futures:
        future.wait()
    note("never")

@flow(on_cancellation=[told], on_crashed=[told])
def stubborn():
    note("stubborn")
    while True:
        try:
            time.sleep(60)
        except BaseException:
            note("does not care")

@flow(on_cancellation=[told], on_crashed=[told])
def submits_at_the_end():
    note("begun")
    try:
        time.sleep(60)
    finally:
        innocent.submit(30)
        below.submit("sleeping")

@flow
def around():
    note("around")
    try:
        below.submit("waiting").result()
    except Exception as error:
        note(f"around sees {type(error).__name__}")
        return "went on"

@flow
def called_around(kinds):
    note("called around")
    return everything(kinds)

@flow
def halfway(gate):
    values = [innocent.submit(seconds / 100) for seconds in (1, 2, 3)]
    note("halfway")
    while not os.path.exists(gate):
        time.sleep(0.02)
    return [value.result() for value in values]

@flow
def quick():
    return "warm"

@flow
def innocents():
    return innocent.submit(1.5).result()

@flow(on_crashed=[told])
def dies():
    note("dies")
    os.kill(os.getpid(), 9)
"""
)
GRACE = {"MILLSTREAM_TIMEOUT_GRACE_SECONDS": "0.3"}


@pytest.fixture
def ledger(program_ledger: Ledger, running: Processes) -> Ledger:
    running.environment |= GRACE
    return program_ledger


def start_worker(running: Processes, *arguments: str, **environment: str) -> Process:
    worker = running.cli("worker", "start", "--processes", "1", *arguments, **environment)
    worker.says("worker started")
    return worker


def start_warm_worker(running: Processes, *arguments: str) -> Process:
    """One whose first flow run, which waits for a process to be forked from, has ended."""
    worker = start_worker(running, *arguments)
    assert program().quick.submit().result(timeout=30) == "warm"
    return worker


def program() -> Any:
    import flows_to_cancel

    return flows_to_cancel


def record_of(run_id: str) -> Record:
    return records.decode(run_id, sessions.current().store.records([run_id])[run_id])


def family(run_id: str) -> list[Record]:
    """All runs that a flow run has started, at any depth, and itself."""
    store = sessions.current().store
    children = FlowRuns(store).subflows(run_id)
    return [*store.tree(run_id), *(run for child in children for run in family(child.run_id))]


def said(ledger: Ledger, *texts: str, times: int = 1) -> None:
    """Wait until the program has noted each of these so often."""
    eventually(lambda: all(len(ledger.lines(text)) >= times for text in texts), 20)


def seconds_until_cancelled(run_id: str) -> float:
    """Cancel a run, wait until it and all that it has started is Cancelled, and tell how long that took."""
    begun = time.monotonic()
    cancel(run_id)
    eventually(lambda: all_is_cancelled(run_id), 20)
    return time.monotonic() - begun


def all_is_cancelled(run_id: str) -> bool:
    runs, unfinished = family(run_id), UnfinishedRuns(sessions.current().store)
    assert not [
        (run.function_name, run.state_name, run.message) for run in runs if run.state_type is not StateType.CANCELLED
    ]
    assert not [unfinished.in_tree(run.run_id) for run in runs if unfinished.in_tree(run.run_id)]
    return True


def test_all_that_a_flow_run_has_started_ends_on_whichever_worker(running: Processes, ledger: Ledger) -> None:
    """Code that heeds it ends at once, on two workers and at any depth; hooks are called, slots are free."""
    limits.create("tag:narrow", 3)
    for _ in range(2):
        start_warm_worker(running, "--threads", "4")
    future = program().everything.submit(["computing", "waiting", "calls"])
    said(ledger, "computing", times=4)
    said(ledger, "waiting", times=2)
    said(ledger, "loops", times=2)
    said(ledger, "below", "below async")
    assert seconds_until_cancelled(future.run_id) < 1.5
    said(ledger, "computing ends", times=4)
    said(ledger, "waiting ends", "caller ends", "hook of loops: Cancelled", times=2)
    said(ledger, "below async ends", "hook of below: Cancelled", "hook of everything: Cancelled")
    assert not ledger.lines("after")
    assert not ledger.lines("never")
    with pytest.raises(exceptions.CancelledRun):
        future.result()
    assert not limits.inspect("tag:narrow").holders


def test_what_does_not_stop_loses_its_process(running: Processes, ledger: Ledger) -> None:
    """A task that sleeps, and one that computes in C; a run beside them, which nobody cancelled, is executed again."""
    start_warm_worker(running, "--threads", "8")
    other = program().innocents.submit()
    said(ledger, "innocent begins")
    future = program().everything.submit(["sleeping", "counting"])
    said(ledger, "all submitted", "counting")
    assert seconds_until_cancelled(future.run_id) < 3
    assert other.result(timeout=20) == 1.5
    assert not ledger.lines("woke up")
    assert not ledger.lines("after")


def test_a_flow_that_does_not_stop_loses_its_process(running: Processes, ledger: Ledger) -> None:
    """Its hooks are called all the same, by another one."""
    start_warm_worker(running)
    future = program().stubborn.submit()
    said(ledger, "stubborn")
    assert seconds_until_cancelled(future.run_id) < 2
    said(ledger, "hook of stubborn: Cancelled")
    [first], [hook] = ledger.lines("stubborn"), ledger.lines("hook of stubborn: Cancelled")
    assert first["pid"] != hook["pid"]


def test_what_is_queued_is_cancelled_at_once(running: Processes, ledger: Ledger) -> None:
    """A flow run that no worker has begun, one that is to begin later, and tasks for which there is no room."""
    queued = program().everything.submit(["sleeping"])
    assert cancel(queued.run_id).is_cancelled()
    program().innocents.deploy("later")
    later = run_deployment("innocents/later", scheduled_time=datetime.now(UTC) + timedelta(hours=1), timeout=0)
    assert cancel(later.id).is_cancelled()
    start_warm_worker(running, "--threads", "1")
    future = program().everything.submit(["computing"])
    said(ledger, "computing")
    assert seconds_until_cancelled(future.run_id) < 2
    assert queued.state.is_cancelled()


def test_what_dying_code_submits_is_cancelled_too(running: Processes, ledger: Ledger) -> None:
    """Tasks and child flows alike."""
    start_warm_worker(running)
    future = program().submits_at_the_end.submit()
    said(ledger, "begun")
    assert seconds_until_cancelled(future.run_id) < 3
    # The end comes with its hooks after what it has submitted at last.
    said(ledger, "hook of submits_at_the_end: Cancelled".replace("_", "-"))
    eventually(lambda: [run.state_type for run in family(future.run_id)].count(StateType.CANCELLED) == 3)
    assert not ledger.lines("innocent ends")


def test_a_parent_goes_on_when_its_child_is_cancelled(running: Processes, ledger: Ledger) -> None:
    """It sees CancelledRun, and may do what it likes."""
    start_warm_worker(running)
    future = program().around.submit()
    said(ledger, "below")
    [child] = eventually(lambda: FlowRuns(sessions.current().store).subflows(future.run_id))
    assert seconds_until_cancelled(child.run_id) < 2
    assert future.result(timeout=10) == "went on"
    assert ledger.lines("around sees CancelledRun")


def test_a_flow_that_a_script_called_is_cancelled(running: Processes, ledger: Ledger) -> None:
    """With the flow that it calls itself: the script gets CancelledRun, and goes on after it."""
    start_warm_worker(running)
    script = running.python(
        """
import flows_to_cancel
from millstream.exceptions import CancelledRun
try:
    flows_to_cancel.called_around(["computing"])
except CancelledRun as cancelled:
    print("script goes on:", cancelled, flush=True)
"""
    )
    said(ledger, "all submitted")
    [found] = FlowRuns(sessions.current().store).newest(flow="called-around")
    assert seconds_until_cancelled(found.run_id) < 2
    assert "script goes on: The run was cancelled." in script.succeed()
    said(ledger, "hook of everything: Cancelled")
    assert not ledger.lines("never")


def test_a_run_is_cancelled_whose_process_dies_meanwhile(running: Processes, ledger: Ledger) -> None:
    """Not Crashed: that is what somebody wanted."""
    start_worker(running, **GRACE | {"MILLSTREAM_TIMEOUT_GRACE_SECONDS": "30"})
    future = program().stubborn.submit()
    said(ledger, "stubborn")
    assert cancel(future.run_id).is_cancelling()
    os.kill(ledger.lines("stubborn")[0]["pid"], signal.SIGKILL)
    eventually(lambda: record_of(future.run_id).state_type is StateType.CANCELLED)


def test_a_flow_whose_process_was_killed_has_its_hooks_called(running: Processes, ledger: Ledger) -> None:
    """Those for a crash, by another process."""
    start_worker(running)
    future = program().dies.submit()
    said(ledger, "hook of dies: Crashed")
    assert future.state.is_crashed()


def test_a_flow_whose_worker_was_killed_has_its_hooks_called(running: Processes, ledger: Ledger) -> None:
    """By the worker that finds out."""
    quick = {"MILLSTREAM_LEASE_SECONDS": "2", "MILLSTREAM_HEARTBEAT_SECONDS": "0.5"}
    worker = start_worker(running, **quick)
    future = program().stubborn.submit()
    said(ledger, "stubborn")
    start_worker(running, **quick)
    worker.kill()
    said(ledger, "hook of stubborn: Crashed")
    assert future.state.is_crashed()


def test_a_cancelled_run_can_be_resumed(running: Processes, ledger: Ledger) -> None:
    """It is not taken for one that is to stop."""
    start_warm_worker(running)
    future = program().everything.submit(["waiting"])
    said(ledger, "waiting", "all submitted")
    seconds_until_cancelled(future.run_id)
    resume(future.run_id)
    said(ledger, "everything", times=2)
    said(ledger, "waiting", times=3)
    assert record_of(future.run_id).state_type is StateType.RUNNING
    seconds_until_cancelled(future.run_id)


@pytest.mark.usefixtures("ledger")
def test_what_cannot_be_cancelled_is_named() -> None:
    """An unknown run, one that has ended; who cancels twice is told how it stands."""
    with pytest.raises(exceptions.ObjectNotFound, match="no flow run 0123"):
        cancel("0123456789abcdef" * 2)
    future = program().innocents.submit()
    assert cancel(future.run_id).is_cancelled()
    with pytest.raises(exceptions.AlreadyEnded, match="has ended, as Cancelled"):
        cancel(future.run_id)
    with pytest.raises(ValueError, match="32 hex digits"):
        cancel("no id")


def test_flow_runs_that_go_on_when_a_worker_is_told_to_end_go_on_elsewhere(running: Processes, ledger: Ledger) -> None:
    """After the grace period: what the flow had submitted and what has completed is not executed again."""
    first = start_worker(running, "--grace", "0.5")
    future = program().halfway.submit(str(ledger.path.with_name("gate")))
    said(ledger, "halfway")
    said(ledger, "innocent ends", times=3)
    start_worker(running)
    first.send(signal.SIGTERM)
    assert first.wait(20) == 0
    said(ledger, "halfway", times=2)
    ledger.path.with_name("gate").touch()
    assert future.result(timeout=20) == [0.01, 0.02, 0.03]
    assert len(ledger.lines("innocent ends")) == 3
