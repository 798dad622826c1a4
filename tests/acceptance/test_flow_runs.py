"""Queued flow runs on real workers: many at once, deep trees, processes that die, limits on deployments."""

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millstream import sessions
from millstream.deployments import run_deployment
from millstream.futures import wait
from millstream_shared import records
from millstream_shared.records import Record
from millstream_shared.states import StateType
from tests.harness import eventually, ledgers
from tests.harness.ledgers import Ledger
from tests.harness.processes import Process, Processes

MODULE = "flows_of_test"
PROGRAM = (
    ledgers.PROGRAM
    + """
@flow
def quick(number=0):
    return number

@flow
def tree(depth):
    if depth == 0:
        return 1
    return sum(tree.map([depth - 1] * 2).result())

@flow
def slow(seconds=30.0):
    note("start")
    time.sleep(seconds)
    note("end")

@flow
def waits_for_file(path):
    note("start")
    while not os.path.exists(path):
        time.sleep(0.02)
    return "went on"
"""
)
QUICK_LEASES = {"MILLSTREAM_LEASE_SECONDS": "2", "MILLSTREAM_HEARTBEAT_SECONDS": "0.5"}


@pytest.fixture
def ledger(program_ledger: Ledger) -> Ledger:
    return program_ledger


def start_worker(running: Processes, *arguments: str, **environment: str) -> Process:
    worker = running.cli("worker", "start", "--processes", "1", *arguments, **environment)
    worker.says("worker started")
    return worker


def record_of(run_id: str) -> Record:
    return records.decode(run_id, sessions.current().store.records([run_id])[run_id])


def state_of(run_id: str) -> StateType:
    return record_of(run_id).state_type


@pytest.mark.usefixtures("ledger")
def test_a_tree_of_flows_needs_no_more_slots_than_one(running: Processes) -> None:
    """A flow that only waits for others lends its slot, so that they can run."""
    from flows_of_test import tree

    start_worker(running, "--flows", "1")
    assert tree.submit(3).result(timeout=50) == 8


@pytest.mark.usefixtures("ledger")
def test_many_that_are_triggered_at_once_all_end(running: Processes) -> None:
    """Each in a process of its own, no more at once than the worker may have."""
    from flows_of_test import quick

    start_worker(running, "--flows", "4")
    futures = quick.map(range(60))
    assert not wait(futures, timeout=50).not_done
    assert futures.result() == list(range(60))


def test_a_flow_whose_process_is_killed_is_crashed(running: Processes, ledger: Ledger) -> None:
    """In under 2 s, with the reason; other flow runs of the worker go on."""
    from flows_of_test import slow, waits_for_file

    start_worker(running)
    gate = ledger.path.with_name("gate")
    other = waits_for_file.submit(str(gate))
    first = eventually(lambda: ledger.lines("start"))[0]["pid"]
    future = slow.submit()
    pids = eventually(lambda: (lines := ledger.lines("start"))[1:] and {line["pid"] for line in lines})
    [pid] = pids - {first}
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    future.wait(10)
    assert time.monotonic() - killed < 2
    assert future.state.is_crashed()
    assert "SIGKILL" in str(future.state.message)
    gate.touch()
    assert other.result(timeout=10) == "went on"


@pytest.mark.usefixtures("ledger")
def test_a_flow_run_waits_while_there_can_be_no_process_for_it(running: Processes, folder: Path) -> None:
    """It begins, at its first attempt, once the worker can fork again."""
    from flows_of_test import quick

    worker = start_worker(running, PYTHONPATH=str(folder))
    assert quick.submit(1).result(timeout=20) == 1
    sabotage = folder / "sitecustomize.py"
    sabotage.write_text("import os, sys\nif any('nursery.serve' in word for word in sys.orig_argv): os._exit(3)\n")
    [nursery] = running.named("ms-nursery")
    os.kill(nursery, signal.SIGKILL)
    eventually(lambda: nursery not in running.alive())
    worker.says("a child process is missing")
    future = quick.submit(2)
    sabotage.unlink()
    assert future.result(timeout=20) == 2
    assert record_of(future.run_id).attempt == 1


def test_a_flow_goes_on_elsewhere_if_that_is_the_policy(running: Processes, ledger: Ledger) -> None:
    """With `on_crash="resume"`, after its process or its whole worker was killed; else it is Crashed."""
    from flows_of_test import slow, waits_for_file

    gate = str(ledger.path.with_name("gate"))
    waits_for_file.deploy("stubborn", parameters={"path": gate}, on_crash="resume")
    worker = start_worker(running, **QUICK_LEASES)
    stubborn = run_deployment("waits-for-file/stubborn", timeout=0)
    fragile = slow.submit()
    lines = eventually(lambda: (lines := ledger.lines("start"))[1:] and lines)
    start_worker(running, **QUICK_LEASES)
    worker.kill()
    assert fragile.state  # asked for while nobody knows yet
    fragile.wait(20)
    assert fragile.state.is_crashed()
    again = eventually(lambda: ledger.lines("start")[2:], 20)
    assert {line["pid"] for line in again}.isdisjoint(line["pid"] for line in lines)
    Path(gate).touch()
    eventually(lambda: state_of(stubborn.id.hex) is StateType.COMPLETED)
    assert record_of(stubborn.id.hex).attempt == 2


def test_a_limit_holds_runs_back(running: Processes, ledger: Ledger) -> None:
    """Of a deployment: with ENQUEUE they wait for their turn, with CANCEL_NEW they end as Cancelled."""
    from flows_of_test import waits_for_file

    gate = str(ledger.path.with_name("gate"))
    options = {"parameters": {"path": gate}, "concurrency_limit": 1}
    waits_for_file.deploy("queued", **options)
    waits_for_file.deploy("dropped", collision_strategy="CANCEL_NEW", **options)
    start_worker(running)
    first, second = (run_deployment("waits-for-file/queued", timeout=0).id.hex for _ in range(2))
    eventually(lambda: ledger.lines("start"))
    third = run_deployment("waits-for-file/dropped", timeout=0).id.hex
    eventually(lambda: ledger.lines("start")[1:])
    dropped = run_deployment("waits-for-file/dropped", timeout=10)
    assert dropped.state.is_cancelled()
    assert "limit" in str(dropped.state.message)
    assert len(ledger.lines("start")) == 2
    Path(gate).touch()
    for run_id in (first, second, third):
        eventually(lambda run_id=run_id: state_of(run_id) is StateType.COMPLETED)


def test_a_run_begins_when_it_is_due(running: Processes, ledger: Ledger) -> None:
    """Not before, and soon then; until that time it is Scheduled, and no process is there for it."""
    from flows_of_test import waits_for_file

    (folder := ledger.path.parent).joinpath("open").touch()
    waits_for_file.deploy("later", parameters={"path": str(folder / "open")})
    start_worker(running)
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    run = run_deployment("waits-for-file/later", scheduled_time=due, timeout=0)
    assert run.state.is_scheduled()
    assert run.state.details == {"scheduled_time": due}
    eventually(lambda: state_of(run.id.hex) is StateType.COMPLETED)
    assert 0 <= ledger.lines("start")[0]["at"] - due.timestamp() < 5
