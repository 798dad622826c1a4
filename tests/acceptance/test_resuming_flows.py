"""A flow run whose process was killed is Crashed, and goes on from where it was when it is resumed."""

import importlib
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from millstream import exceptions, run_history, sessions
from millstream.futures import future_of
from millstream.resuming import resume
from millstream_shared import records
from millstream_shared.records import Record
from millstream_shared.states import StateType
from tests.harness import eventually, ledgers
from tests.harness.ledgers import Ledger
from tests.harness.processes import Process, Processes

MODULE = "program"
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
    wait_for_the_gate()
    return result

def wait_for_the_gate():
    while not os.path.exists(os.environ["LEDGER"] + ".go"):
        time.sleep(0.02)

@flow
def child(number):
    note(f"child {number}")
    return step.submit(number).result() + step.submit(number + 1).result()

@flow
def submits_a_flow():
    note("begun")
    result = child.submit(1).result()
    note("has a result")
    wait_for_the_gate()
    return result

@flow
def calls_a_flow():
    note("begun")
    result = child(1) + child(2)
    note("has a result")
    wait_for_the_gate()
    return result

@task
def fails_once(number):
    note(f"try {number}")
    if number == 2 and not os.path.exists(os.environ["LEDGER"] + ".go"):
        raise ValueError("not yet")
    return number

@flow
def fails():
    return sum(fails_once.map([1, 2, 3]).result())
"""
)


CALLED = """
import program
from millstream import flow

@flow
def called(numbers: list, words: dict):
    program.note(f"begun {sorted(words)}")
    futures = program.step.map(numbers)
    return sum(futures.result())

if __name__ == "__main__":
    called(list(range(50)), {"a": 1})
"""

CLOSURE = """
import program
from millstream import flow

def make():
    @flow
    def inner():
        program.note("begun")
        return sum(program.step.map(range(50)).result())
    return inner

make()()
"""


@pytest.fixture
def ledger(program_ledger: Ledger) -> Ledger:
    return program_ledger


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
    program = importlib.import_module("program")
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


@pytest.mark.parametrize("name", ["submits_a_flow", "calls_a_flow"])
def test_children_keep_what_they_have(running: Processes, ledger: Ledger, name: str) -> None:
    """A child that was queued is not executed again; of one that was called, its tasks are not."""
    program = importlib.import_module("program")
    start_worker(running)
    future = getattr(program, name).submit()
    eventually(lambda: ledger.lines("has a result"))
    before = [line["what"] for line in ledger.lines()]
    kill_the_flow(ledger, "begun", 1)
    eventually(lambda: record_of(future.run_id).state_type is StateType.CRASHED)
    resume(future.run_id)
    Path(f"{ledger.path}.go").touch()
    assert future_of(future.run_id).result(timeout=20) == {"submits_a_flow": 3, "calls_a_flow": 8}[name]
    after = [line["what"] for line in ledger.lines()][len(before) :]
    called = ["child 1", "child 2"] if name == "calls_a_flow" else []
    assert after == ["begun", *called, "has a result"]


def test_a_failed_flow_tries_again_what_failed(running: Processes, ledger: Ledger) -> None:
    """The tasks that completed keep their results; who had asked before was told of the failure."""
    program = importlib.import_module("program")
    start_worker(running)
    future = program.fails.submit()
    with pytest.raises(ValueError, match="not yet"):
        future.result(timeout=20)
    Path(f"{ledger.path}.go").touch()
    resume(future.run_id)
    assert future_of(future.run_id).result(timeout=20) == 6
    tries = Counter(line["what"] for line in ledger.lines())
    assert tries == {"try 1": 1, "try 2": 2, "try 3": 1}
    with pytest.raises(ValueError, match="completed"):
        resume(future.run_id)


def kill_in_the_middle(script: Process, ledger: Ledger) -> str:
    """Kill a script when some of its tasks have ended; the id of its flow run, once that is known to have crashed."""
    eventually(lambda: len(ended_steps(ledger)) >= 10)
    script.kill()
    assert len(ended_steps(ledger)) < 50

    def crashed() -> list[str]:
        found = run_history.flow_runs(state="Crashed")
        return [run.id.hex for run in found]

    (run_id,) = eventually(crashed, 20)
    return run_id


@pytest.fixture
def impatient(running: Processes) -> None:
    """A process that dies is given up for dead soon."""
    running.environment |= {"MILLSTREAM_LEASE_SECONDS": "1.5", "MILLSTREAM_HEARTBEAT_SECONDS": "0.3"}


@pytest.mark.usefixtures("impatient")
def test_a_flow_that_a_script_called_goes_on_on_a_worker(running: Processes, ledger: Ledger, folder: Path) -> None:
    """The script is killed in the middle of 50 tasks. Resumed, each of them has been executed to its end once."""
    (folder / "script.py").write_text(CALLED)
    start_worker(running)
    run_id = kill_in_the_middle(running.python(folder / "script.py"), ledger)
    assert "is Completed" in running.cli("flow-run", "resume", run_id[:12], "--wait").succeed()
    ended = run_history.read_flow_run(run_id)
    assert (ended.state.result(), ended.run_count) == (sum(range(50)), 2)
    assert len(ledger.lines("begun ['a']")) == 2
    assert set(ended_steps(ledger).values()) == {1}
    assert len(ended_steps(ledger)) == 50


@pytest.mark.usefixtures("impatient")
def test_a_flow_that_nobody_else_finds_is_not_resumed(running: Processes, ledger: Ledger) -> None:
    """The error says why, and nothing of the run is lost by asking."""
    start_worker(running)
    run_id = kill_in_the_middle(running.python(CLOSURE), ledger)
    with pytest.raises(exceptions.MissingFlowError, match="defined within a function"):
        resume(run_id)
    assert record_of(run_id).state_type is StateType.CRASHED
    eventually(lambda: len(ended_steps(ledger)) == 50)
