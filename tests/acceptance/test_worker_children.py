"""How a worker replaces its child processes: after so many runs, by memory, when code changes, when they keep dying."""

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.harness import eventually, ledgers
from tests.harness.ledgers import Ledger
from tests.harness.processes import Process, Processes


def start_worker(running: Processes, *arguments: str, **environment: str) -> Process:
    worker = running.cli("worker", "start", "--processes", "1", *arguments, **environment)
    worker.says("worker started")
    return worker


# As the system does it that has no room for another process, while a file is there.
FORKS = """
import errno, os
fork = os.fork

def may_fork():
    if not os.path.exists(os.environ["LEDGER"] + ".no-forks"):
        return fork()
    with open(os.environ["LEDGER"] + ".refused", "a") as refused:
        refused.write("x")
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

os.fork = may_fork
"""

MANY = (
    ledgers.PROGRAM
    + """
GATE = os.environ["LEDGER"] + ".gate"

@task
def slow():
    note("slow")
    while not os.path.exists(GATE):
        time.sleep(0.01)
    note("slow end")
    return "slow"

@task
def step(i):
    note("step")
    time.sleep(0.01)
    return os.getpid()

@flow
def many(until_replaced):
    first = slow.submit()
    processes = set(step.map(range(20)).result())
    while until_replaced and len(processes) < 2:
        processes.update(step.map(range(20)).result())
    open(GATE, "w").close()
    return first.result()

if __name__ == "__main__":
    import sys
    print("got", many(len(sys.argv) > 1))
"""
)


def test_a_child_is_replaced_after_so_many_runs(running: Processes, ledger: Ledger) -> None:
    """Another goes on in its place; what runs in the old one ends there, nothing is executed twice, and it is gone."""
    worker = start_worker(running, "--threads", "4", "--max-runs", "100")
    assert "got slow" in running.python(MANY, "until-replaced").succeed()
    assert {line["attempt"] for line in ledger.lines()} == {1}
    by_process = Counter(line["pid"] for line in ledger.lines("step"))
    assert len(by_process) > 1, "no child was replaced"
    [slow], [slow_end] = ledger.lines("slow"), ledger.lines("slow end")
    assert slow["pid"] == slow_end["pid"]
    # While the first one drained, its successors worked.
    assert [line for line in ledger.lines("step") if line["at"] < slow_end["at"] and line["pid"] != slow["pid"]]
    assert "a child process is replaced" in worker.output
    assert "a child process died" not in worker.output
    eventually(lambda: slow["pid"] not in running.alive())


LEAK = (
    ledgers.PROGRAM
    + """
kept = []

@task
def leak(size):
    note("start")
    kept.append(b"x" * (size * 1024 ** 2))
    time.sleep(0.01 if size < 300 else 30)
    return os.getpid()

@flow
def leaks(first, more):
    # Until another process executes them.
    process = leak.submit(first).result()
    while leak.submit(more).result() == process:
        pass
    return "others"

if __name__ == "__main__":
    import sys
    from millstream.exceptions import CrashedRun
    try:
        print("got", leaks(int(sys.argv[1]), 0))
    except CrashedRun as crashed:
        print("crashed:", crashed)
"""
)


def test_a_child_that_takes_too_much_memory_is_replaced(running: Processes, ledger: Ledger) -> None:
    """One that leaks is drained: all runs complete, at the first attempt, in more than one process."""
    worker = start_worker(running, "--max-memory", "200")
    assert "got others" in running.python(LEAK, "190").succeed()
    worker.says("MB, more than 200 MB")
    assert {line["attempt"] for line in ledger.lines()} == {1}
    assert len({line["pid"] for line in ledger.lines()}) > 1


def test_a_child_that_takes_far_too_much_memory_is_killed(running: Processes, ledger: Ledger) -> None:
    """And the run that does it, each time that it is tried, ends as Crashed, with the reason."""
    worker = start_worker(running, "--max-memory", "100", MILLSTREAM_CRASH_LIMIT="2")
    said = running.python(LEAK, "300").succeed()
    assert "crashed: " in said
    assert "1.5 times what --max-memory allows" in said
    assert len(ledger.lines("start")) == 2
    worker.says("a run crashed for good")


CODE = """
from millstream import task

@task
def version():
    return "{}"
"""

CALLER = """
import sys
from millstream import flow
from versioned import version

@flow
def ask():
    return version.submit().result()

if __name__ == "__main__":
    print("got", ask())
"""


@pytest.mark.usefixtures("ledger")
def test_changed_code_is_used_by_new_processes(running: Processes, folder: Path) -> None:
    """With --reload a change of a Python file lets new children take over; the worker itself stays."""
    pytest.importorskip("watchfiles")
    (folder / "versioned.py").write_text(CODE.format("old"))
    (folder / "caller.py").write_text(CALLER)
    worker = start_worker(running, "--reload", PYTHONDONTWRITEBYTECODE="1")
    assert "got old" in running.python(folder / "caller.py").succeed()
    (folder / "versioned.py").write_text(CODE.format("new"))
    assert "versioned.py" in worker.says("reloading")
    assert "got new" in running.python(folder / "caller.py").succeed()
    assert worker.runs


def test_a_running_task_ends_although_code_has_changed(running: Processes, folder: Path, ledger: Ledger) -> None:
    """What was begun ends in the process that has the old code, which goes then."""
    pytest.importorskip("watchfiles")
    start = start_worker(running, "--reload", "--threads", "1")
    script = running.python(MANY)
    [begun] = eventually(lambda: ledger.lines("slow"))
    (folder / "other.py").write_text("changed = True")
    start.says("reloading")
    # It is told to end once the other tasks have, for which there is no thread in its process.
    assert "got slow" in script.succeed()
    assert {line["attempt"] for line in ledger.lines()} == {1}
    assert ledger.lines("slow end")[0]["pid"] == begun["pid"]
    assert begun["pid"] not in {line["pid"] for line in ledger.lines("step")}
    eventually(lambda: begun["pid"] not in running.alive())


LEAVING = (
    ledgers.PROGRAM
    + """
import atexit

@task
def nap():
    atexit.register(note, "left")
    note("start")
    time.sleep(1)
    note("end")
    return "napped"

@flow
def one():
    return nap.submit().result()

if __name__ == "__main__":
    print("got", one())
"""
)


def test_a_signal_to_all_processes_of_a_worker_lets_tasks_end(running: Processes, ledger: Ledger) -> None:
    """As a service manager may send it; what a task has registered for the exit of its process is called."""
    worker = start_worker(running)
    script = running.python(LEAVING)
    [begun] = eventually(lambda: ledger.lines("start"))
    os.killpg(worker.pid, signal.SIGTERM)
    assert worker.wait() == 0
    assert "got napped" in script.succeed()
    [end] = ledger.lines("end")
    assert (end["attempt"], end["pid"]) == (1, begun["pid"])
    assert [line["pid"] for line in ledger.lines("left")] == [begun["pid"]]


def test_a_worker_whose_children_cannot_start_any_more_tries_again(
    running: Processes, folder: Path, ledger: Ledger
) -> None:
    """One that has worked does not end, nor try in haste; once the system has room for processes again it works."""
    (folder / "sitecustomize.py").write_text(FORKS)
    worker = start_worker(running, PYTHONPATH=str(folder))
    script = running.python(MANY)
    [begun] = eventually(lambda: ledger.lines("slow"))
    nursery = running.named("ms-nursery")
    ledger.path.with_suffix(".no-forks").touch()
    os.kill(begun["pid"], signal.SIGKILL)
    killed = time.monotonic()
    refused = ledger.path.with_suffix(".refused")
    eventually(lambda: refused.exists() and len(refused.read_text()) >= 3)
    assert time.monotonic() - killed > 0.2, "there was no pause between the tries"
    ledger.path.with_suffix(".no-forks").unlink()
    assert "got slow" in script.succeed()
    assert "Resource temporarily unavailable" in worker.output
    assert worker.output.count("a child process is missing") == len(refused.read_text())
    assert running.named("ms-nursery") == nursery
    assert worker.runs


TERMINATING = """
import signal, subprocess, sys
from millstream import flow, task

def ends_by(number):
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"],
                               stdout=subprocess.PIPE)
    sleeper.stdout.readline()
    sleeper.send_signal(number)
    return sleeper.wait(20)

@task
def starts(number):
    return ends_by(number)

@flow
def starts_too(number):
    return ends_by(number)

@flow
def all_of_them():
    signals = [signal.SIGTERM, signal.SIGINT]
    return starts.map(signals).result(), starts_too.map(signals).result()

if __name__ == "__main__":
    print("ended by", all_of_them())
"""


def test_programs_that_runs_start_can_be_terminated(running: Processes) -> None:
    """What a worker's processes make of signals is not passed on to them."""
    start_worker(running)
    assert "ended by ([-15, -2], [-15, -2])" in running.python(TERMINATING).succeed()


LEAVES_A_FORK = (
    ledgers.PROGRAM
    + """
@task
def dies(i):
    note("start")
    if len(open(os.environ["LEDGER"]).readlines()) > 1:
        return "alive"
    if os.fork() == 0:
        while not os.path.exists(os.environ["LEDGER"] + ".end"):
            time.sleep(0.01)
        os._exit(0)
    os.kill(os.getpid(), 9)

@flow
def one():
    return dies.submit(1).result()

if __name__ == "__main__":
    print("is", one())
"""
)


def test_the_death_of_a_child_is_noticed_though_a_copy_of_it_lives(running: Processes, ledger: Ledger) -> None:
    """A task may have forked: what it left behind does not speak for it, and the task is executed again."""
    start_worker(running)
    try:
        assert "is alive" in running.python(LEAVES_A_FORK).succeed()
    finally:
        Path(f"{ledger.path}.end").touch()
