"""Time limits over real workers: what cannot be interrupted loses its process, and its neighbours do not suffer."""

import json
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness import eventually, ledgers
from tests.harness.ledgers import Ledger
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer

PROGRAM = (
    ledgers.PROGRAM
    + """
import socket
from millstream.futures import wait

def sleep():
    time.sleep(60)

def read():
    ours, theirs = socket.socketpair()
    ours.recv(1)

def count():
    sum(range(10**12))  # in C, and never lets go of the interpreter

HOW = {"sleep": sleep, "read": read, "count": count}

@task(timeout_seconds=0.3)
def stuck(how):
    note("stuck")
    HOW[how]()

@task(timeout_seconds=0.3)
async def stuck_async(how):
    note("stuck")
    HOW[how]()

@task(timeout_seconds=0.3, retries=1, retry_delay_seconds=0.1)
def stuck_once():
    note("start")
    if TaskRunContext.get().task_run.run_count == 1:
        sleep()
    return "second try"

@task(timeout_seconds=0.3)
async def waiting():
    note("start")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        note("cancelled")
        raise

@task(timeout_seconds=0.3)
def computing():
    note("start")
    while True:
        sum(range(1000))

@task
def innocent(seconds):
    note("start")
    time.sleep(seconds)
    note("end")
    return seconds

@task
async def innocent_async(seconds):
    note("start")
    await asyncio.sleep(seconds)
    note("end")
    return seconds

def told(**what):
    print("told:", json.dumps(what))

def outcome(future, begun):
    return [future.state.name, future.state.message, time.monotonic() - begun]

@flow
def beside(name, *arguments):
    others = [innocent.submit(1.2), innocent_async.submit(1.2), innocent.submit(1.2)]
    begun = time.monotonic()
    bad = globals()[name].submit(*arguments)
    bad.wait()
    told(bad=outcome(bad, begun), others=[future.result() for future in others])

@flow
def several(name, count):
    begun = time.monotonic()
    futures = [globals()[name].submit() for _ in range(count)]
    wait(futures)
    told(outcomes=[outcome(future, begun) for future in futures])

@flow
def mapped(how, count):
    begun = time.monotonic()
    futures = stuck.map([how] * count)
    wait(futures)
    told(outcomes=[outcome(future, begun) for future in futures])

@flow(timeout_seconds=0.8)
def limited():
    innocent.map([1.2] * 6).result()

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    begun = time.monotonic()
    if name == "limited":
        state = limited(return_state=True)
        told(state=[state.name, state.message], seconds=time.monotonic() - begun)
    else:
        globals()[name](*(json.loads(argument) for argument in arguments))
"""
)


@pytest.fixture
def ledger(ledger: Ledger, running: Processes) -> Ledger:
    running.environment["MILLSTREAM_TIMEOUT_GRACE_SECONDS"] = "0.5"
    return ledger


@pytest.fixture
def worker(running: Processes, ledger: Ledger) -> Process:
    """A worker with one process of eight threads."""
    assert not ledger.lines()
    started = running.cli("worker", "start", "--processes", "1", "--threads", "8")
    started.says("worker started")
    return started


@pytest.fixture
def told(running: Processes, worker: Process) -> Callable[..., dict[str, Any]]:
    """Runs the program's flow of that name, and gives what it told."""

    def run(name: str, *arguments: object) -> dict[str, Any]:
        output = running.python(PROGRAM, name, *map(json.dumps, arguments)).succeed()
        assert worker.runs
        return json.loads(output.split("told: ")[1].splitlines()[0])

    return run


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("name", "how"), [("stuck", "sleep"), ("stuck", "read"), ("stuck", "count"), ("stuck_async", "sleep")]
)
def test_a_run_that_cannot_be_interrupted_loses_its_process(
    told: Callable[..., dict[str, Any]], worker: Process, ledger: Ledger, name: str, how: str
) -> None:
    """It is TimedOut within 3 s; what ran beside it is executed by the process that follows, and ends once."""
    seen = told("beside", name, how)
    state, message, seconds = seen["bad"]
    assert state == "TimedOut"
    assert "0.3 seconds" in message
    assert 0.7 < seconds < 3
    assert seen["others"] == [1.2] * 3
    assert "killed for a time limit" in worker.output
    [stuck] = ledger.lines("stuck")
    assert is_gone(stuck["pid"])
    ends = ledger.lines("end")
    assert set(Counter(line["run"] for line in ends).values()) == {1}
    assert {line["pid"] for line in ends} == {ledger.lines("start")[-1]["pid"]} != {stuck["pid"]}


def test_a_run_is_tried_again_after_a_kill(told: Callable[..., dict[str, Any]], ledger: Ledger) -> None:
    """In another process, after its delay, and as its second try."""
    [[state, _, seconds]] = told("several", "stuck_once", 1)["outcomes"]
    assert state == "Completed"
    assert 0.9 < seconds < 4
    first, second = ledger.lines("start")
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert is_gone(first["pid"])
    assert second["pid"] != first["pid"]


def test_all_who_are_late_go_with_the_process_that_is_killed(
    told: Callable[..., dict[str, Any]], ledger: Ledger
) -> None:
    """Eight that are stuck together need one kill, not one each."""
    outcomes = told("mapped", "sleep", 8)["outcomes"]
    assert {state for state, _, _ in outcomes} == {"TimedOut"}
    assert max(seconds for _, _, seconds in outcomes) < 3
    assert Counter(line["attempt"] for line in ledger.lines("stuck")) == {1: 8}
    assert len({line["pid"] for line in ledger.lines("stuck")}) == 1


@pytest.mark.parametrize("name", ["waiting", "computing"])
def test_what_can_be_interrupted_needs_no_kill(
    told: Callable[..., dict[str, Any]], worker: Process, ledger: Ledger, name: str
) -> None:
    """A coroutine is cancelled, Python code interrupted, and the same process serves on."""
    outcomes = told("several", name, 3)["outcomes"] + told("several", name, 1)["outcomes"]
    assert {state for state, _, _ in outcomes} == {"TimedOut"}
    assert max(seconds for _, _, seconds in outcomes) < 2
    assert len({line["pid"] for line in ledger.lines("start")}) == 1
    assert len(ledger.lines("cancelled")) == (4 if name == "waiting" else 0)
    assert "killed" not in worker.output


def test_a_flow_that_is_late_takes_along_what_it_has_queued(
    running: Processes, valkey: RealServer, ledger: Ledger
) -> None:
    """Its process waits for no task; what a worker has begun it brings to an end, the rest is never begun."""
    worker = running.cli("worker", "start", "--processes", "1", "--threads", "2")
    worker.says("worker started")
    output = running.python(PROGRAM, "limited").succeed()
    seen = json.loads(output.split("told: ")[1].splitlines()[0])
    assert seen["state"][0] == "TimedOut"
    assert "0.8 seconds" in seen["state"][1]
    assert 0.8 <= seen["seconds"] < 2.5
    assert valkey.client().llen("rq:queue:default") == 0
    begun = len(ledger.lines("start"))
    assert begun in (1, 2)
    assert eventually(lambda: len(ledger.lines("end")) == begun)
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert len(ledger.lines("start")) == begun
