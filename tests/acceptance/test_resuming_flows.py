"""A flow run whose process was killed is Crashed, and goes on from where it was when it is resumed."""

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from millstream import sessions
from millstream.futures import future_of
from millstream.resuming import resume
from millstream_shared import records, settings
from millstream_shared.records import Record
from millstream_shared.states import StateType
from tests.harness import eventually, ledgers
from tests.harness.ledgers import Ledger
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer

PROGRAM = (
    ledgers.PROGRAM
    + """
@task
def step(number):
    note("start")
    time.sleep(0.05)
    note(f"end {number}")
    return number

@task
def total(numbers):
    note("end total")
    return sum(numbers)

@flow
def steps():
    note("begun")
    first = step.map(range(100))
    second = [step.submit(100 + number) for number in range(100)]
    result = total.submit([*first, *second]).result()
    while not os.path.exists(os.environ["LEDGER"] + ".go"):
        time.sleep(0.02)
    return result

@flow
def around():
    note("around")
    return steps.submit().result() + 1
"""
)


@pytest.fixture
def ledger(folder: Path, running: Processes, valkey: RealServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    (folder / "program.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(str(folder))
    # A test that was run before may have left one, to another server.
    sessions.close_current()
    monkeypatch.setenv("MILLSTREAM_REDIS_URL", valkey.url)
    settings.get_settings.cache_clear()
    running.environment |= {"LEDGER": str(folder / "ledger"), "MILLSTREAM_REDIS_URL": valkey.url}
    yield Ledger(folder / "ledger")
    sessions.close_current()
    settings.get_settings.cache_clear()


def start_worker(running: Processes) -> Process:
    worker = running.cli("worker", "start", "--processes", "1", "--threads", "4")
    worker.says("worker started")
    return worker


def record_of(run_id: str) -> Record:
    return records.decode(run_id, sessions.current().store.records([run_id])[run_id])


def kill_the_flow(ledger: Ledger, what: str, times: int) -> None:
    """Kill the process of the flow that has noted `what`, the newest one."""
    [*_, newest] = eventually(lambda: (lines := ledger.lines(what))[times - 1 :] and lines)
    os.kill(newest["pid"], signal.SIGKILL)


def ended_steps(ledger: Ledger) -> Counter[str]:
    return Counter(line["what"] for line in ledger.lines() if line["what"].startswith("end "))


def test_no_finished_task_is_executed_twice(running: Processes, ledger: Ledger) -> None:
    """The flow is killed ten times, at random moments of its 200 tasks, and resumed as often."""
    import program

    start_worker(running)

    future = program.steps.submit()
    moments = random.Random(7)
    for kill in range(1, 11):
        eventually(lambda kill=kill: ledger.lines("begun")[kill - 1 :])
        wanted = min(len(ended_steps(ledger)) + moments.randrange(25), 201)
        eventually(lambda wanted=wanted: len(ended_steps(ledger)) >= wanted)
        kill_the_flow(ledger, "begun", kill)
        assert eventually(lambda: record_of(future.run_id).state_type is StateType.CRASHED, 20)
        resume(future.run_id)
    Path(f"{ledger.path}.go").touch()
    assert future_of(future.run_id).result(timeout=30) == sum(range(200))
    assert len(ledger.lines("begun")) == 11
    counted = ended_steps(ledger)
    assert len(counted) == 201
    assert set(counted.values()) == {1}
