"""Pools of processes under faults: kills, interrupts, parents that vanish; and scripts of all kinds."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.harness import eventually
from tests.harness.processes import Process, Processes

NO_GUARD = """
import os
from millstream import flow, get_run_logger, task
from millstream.task_runners import ProcessPoolTaskRunner

print("script in", os.getpid())

class Node:
    def __init__(self, value):
        self.value = value

@task
def double(node):
    get_run_logger().info("log of %s", node.value)
    print("print of", node.value)
    return Node(2 * node.value)

@flow(task_runner=ProcessPoolTaskRunner(2))
def main():
    nodes = double.map([Node(1), Node(2)]).result()
    print("same class:", all(type(node) is Node for node in nodes), [node.value for node in nodes])

main()
"""

UNGUARDED_DASK = """
from millstream import flow, task
from millstream.task_runners import DaskTaskRunner

@task
def double(x):
    return 2 * x

@flow(task_runner=DaskTaskRunner())
def main():
    return double.submit(1).result()

main()
"""

BUSY = """
import os, sys
from millstream import flow, task
import millstream.task_runners

@task
def compute(x):
    print("begun in", os.getpid(), flush=True)
    return sum(range(10**11))  # never lets go of the interpreter

@task
def nap(x):
    import threading
    print("begun in", os.getpid(), flush=True)
    threading.Event().wait(60)

@task
def double(x):
    return 2 * x

@flow(task_runner=getattr(millstream.task_runners, sys.argv[1])())
def main():
    running = globals()[sys.argv[2]].submit(1)
    print("others:", double.map(range(20)).result())
    print("ended:", repr(running.result(raise_on_failure=False)))

if __name__ == "__main__":
    main()
"""


def begun(program: Process) -> int:
    """The process id in which the program's task has begun, once it has."""
    return int(program.says_like(r"begun in (\d+)\n")[1])


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.fixture
def running(running: Processes) -> Processes:
    """With the home of an embedded server that logs what is told of runs."""
    running.environment["MILLSTREAM_LOGGING_LEVEL"] = "INFO"
    return running


def test_a_script_needs_no_guard(running: Processes) -> None:
    """It is not imported again; its classes, prints and log lines come through, at the level of the parent."""
    output = running.python(NO_GUARD).succeed()
    assert output.count("script in") == 1
    assert "same class: True [2, 4]" in output
    assert "Traceback" not in output
    for value in (1, 2):
        assert f"print of {value}" in output
        assert re.search(rf"INFO +\| Task run 'double-...' - log of {value}\n", output)


def test_a_script_without_a_guard_is_told_so_by_dask(running: Processes) -> None:
    """In one error, before there is any other process."""
    pytest.importorskip("distributed")
    program = running.python(UNGUARDED_DASK)
    assert program.wait() == 1
    assert 'line 13 would be done in each of them: put that under `if __name__ == "__main__":`.' in program.output
    assert program.output.count("RuntimeError") == 0


@pytest.mark.parametrize("kind", ["compute", "nap"])
def test_a_killed_process_takes_one_run_with_it(running: Processes, kind: str) -> None:
    """The others complete, and the cause is named."""
    program = running.python(BUSY, "ProcessPoolTaskRunner", kind)
    os.kill(begun(program), signal.SIGKILL)
    output = program.succeed()
    assert f"others: {[2 * x for x in range(20)]}" in output
    assert "ended: CrashedRun('The process that executed the run was lost: it was ended by SIGKILL.')" in output


@pytest.mark.parametrize("kind", ["compute", "nap"])
def test_an_interrupt_ends_all_processes(running: Processes, kind: str) -> None:
    """At once, whatever they do, and with one traceback: the parent's."""
    program = running.python(BUSY, "ProcessPoolTaskRunner", kind)
    pid = begun(program)
    program.interrupt()
    assert program.wait(10) in (-signal.SIGINT, 130, 1)
    assert is_gone(pid)
    assert program.output.count("KeyboardInterrupt\n") == 1


@pytest.mark.parametrize("kind", ["compute", "nap"])
def test_processes_end_with_their_parent(running: Processes, kind: str) -> None:
    """Even when that is killed, and they compute without a pause."""
    program = running.python(BUSY, "ProcessPoolTaskRunner", kind)
    pid = begun(program)
    program.kill()
    eventually(lambda: is_gone(pid), timeout=5)


def test_an_interrupt_ends_a_cluster(running: Processes) -> None:
    """The one that the flow run has started."""
    pytest.importorskip("distributed")
    program = running.python(BUSY, "DaskTaskRunner", "nap")
    pid = begun(program)
    program.interrupt()
    program.wait(30)
    eventually(lambda: is_gone(pid), timeout=5)
