"""Scripts that configure nothing: server and workers come by themselves, do the work, and are gone with the script."""

import collections
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from millstream import embedded
from millstream.embedded import homes
from millstream_shared.records import Record
from millstream_shared.settings import get_settings
from millstream_shared.states import StateType
from millstream_shared.store import Store
from tests.harness import eventually
from tests.harness.processes import Process, Processes

SOON = 6.0
"""Seconds within which nothing of ours lives any more, once the script has ended."""
QUICK = {"MILLSTREAM_LEASE_SECONDS": "2", "MILLSTREAM_HEARTBEAT_SECONDS": "0.5"}

STEP = """
import os, signal, sys, threading, time
from millstream import flow, task

@task
def step(i, seconds):
    for name in ("begun", "done"):
        with open(name, "a") as ledger:
            print(i, os.getpid(), file=ledger)
        time.sleep(seconds if name == "begun" else 0)
    return 2 * i

def until(name, lines=0):
    while not os.path.exists(name) or len(open(name).readlines()) < lines:
        time.sleep(0.005)
"""

MANY = (
    STEP
    + """
@flow
def many(count, seconds):
    return step.map(range(count), seconds).result()

if __name__ == "__main__":
    count = int(sys.argv[1])
    assert many(count, float(sys.argv[2])) == list(range(0, 2 * count, 2))
    print("all right")
"""
)


@pytest.fixture
def home(folder: Path) -> homes.Home:
    """Where the server of the test's scripts has its data."""
    return homes.describe_home(folder / "home")


@pytest.fixture
def steps(folder: Path) -> Callable[[str], list[list[int]]]:
    """What tasks wrote down when they had `begun` and were `done`: number and process id, in a list."""

    def read(name: str) -> list[list[int]]:
        ledger = folder / name
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        return [[int(word) for word in line.split()] for line in lines]

    return read


def nothing_left(running: Processes, home: homes.Home) -> bool:
    assert running.alive() == {}
    assert {file.name for file in home.path.iterdir() if file.suffix in (".sock", ".pid", ".new")} == set()
    return True


@contextmanager
def opened(home: homes.Home) -> Iterator[Store]:
    """The store of a home, whose server is started again for it."""
    store = Store(embedded.ensure_server(home.path), get_settings())
    try:
        yield store
    finally:
        store.close()
        embedded.leave_server(home.path)


def read_records(home: homes.Home) -> list[Record]:
    with opened(home) as store:
        trees = [key.decode().rpartition(":")[2] for key in store.client.scan_iter("ms:runs:*")]
        return [record for tree in trees for record in store.tree(tree)]


def test_a_short_script_leaves_nothing_but_its_history(running: Processes, home: homes.Home) -> None:
    """No process, no socket, no pid file: only data, in which the records of its runs are found again."""
    assert "all right" in running.python(MANY, "5", "0").succeed()
    eventually(lambda: nothing_left(running, home), SOON)
    assert any(file.stat().st_size for file in (home.path / "appendonlydir").iterdir())
    found = [(record.kind, record.function_name, record.state_type) for record in read_records(home)]
    assert sorted(found) == [("flow", "many", StateType.COMPLETED), *[("task", "step", StateType.COMPLETED)] * 5]


# -- however a script ends

BUSY = (
    STEP
    + """
@flow
def busy():
    futures = step.map(range(400), 60)
    until("begun", 16 * os.cpu_count())
    print("in the midst", flush=True)
    {ending}
    futures.result()

if __name__ == "__main__":
    busy()
"""
)
# As when it comes in the moment in which the main thread begins to wait.
ELSEWHERE = "threading.Timer(0.5, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT)).start()"
ENDINGS = {
    "exit": ("sys.exit(3)", 3),
    "exit at once": ("os._exit(4)", 4),
    "interrupt of its own": ("raise KeyboardInterrupt", -signal.SIGINT),
    "interrupt in another thread": (ELSEWHERE, -signal.SIGINT),
    "the same while it waits for one": (f"{ELSEWHERE}; futures[0].result()", -signal.SIGINT),
    "abort": ("os.abort()", -signal.SIGABRT),
}
SIGNALS = {
    "Ctrl-C": (Process.interrupt, -signal.SIGINT),
    "SIGINT": (lambda script: script.send(signal.SIGINT), -signal.SIGINT),
    "SIGTERM": (lambda script: script.send(signal.SIGTERM), -signal.SIGTERM),
    "SIGHUP": (lambda script: script.send(signal.SIGHUP), -signal.SIGHUP),
    "kill -9": (Process.kill, -signal.SIGKILL),
}


@pytest.mark.parametrize("how", ENDINGS)
def test_a_script_that_gives_up_takes_all_along(running: Processes, home: homes.Home, how: str) -> None:
    """In the midst of a flow with runs of a minute that are executed, and hundreds that are queued."""
    ending, code = ENDINGS[how]
    script = running.python(BUSY.format(ending=ending))
    assert script.wait() == code, script.output
    eventually(lambda: nothing_left(running, home), SOON)


@pytest.mark.parametrize("how", SIGNALS)
def test_a_script_that_is_ended_takes_all_along(running: Processes, home: homes.Home, how: str) -> None:
    """By a terminal or by others: within seconds, whatever its tasks are doing, and without a word of the worker's."""
    end, code = SIGNALS[how]
    script = running.python(BUSY.format(ending="pass"))
    script.says("in the midst")
    end(script)
    assert script.wait(SOON) == code, script.output
    eventually(lambda: nothing_left(running, home), SOON)
    assert "millstream_worker" not in script.output


FAILING = (
    STEP
    + """
@flow
def failing():
    step.map(range(100), 0.02)
    raise ValueError("no more")

if __name__ == "__main__":
    failing()
"""
)


def test_an_exception_lets_queued_runs_end_first(running: Processes, home: homes.Home, steps) -> None:
    """The flow failed, but what it submitted is done when the script ends; nothing is left then."""
    script = running.python(FAILING)
    assert script.wait() == 1
    assert "ValueError: no more" in script.output
    assert len(steps("done")) == 100
    eventually(lambda: nothing_left(running, home), SOON)


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_an_interrupt_withdraws_what_was_submitted(running: Processes, home: homes.Home, how: str) -> None:
    """Nobody wants those runs any more: they are Cancelled in the history, and no later script executes them."""
    script = running.python(BUSY.format(ending="pass"))
    script.says("in the midst")
    SIGNALS[how][0](script)
    script.wait(SOON)
    eventually(lambda: nothing_left(running, home), SOON)
    states = collections.Counter((record.kind, record.state_type) for record in read_records(home))
    assert states == {("flow", StateType.CRASHED): 1, ("task", StateType.CANCELLED): 400}
    with opened(home) as store:
        assert list(store.client.scan_iter("rq:job:*")) == []


@pytest.mark.parametrize("how", ["kill -9", "Ctrl-C"])
def test_the_next_script_is_not_held_up(running: Processes, how: str) -> None:
    """By the runs, the worker or the leases of a script that was ended in the midst of its work."""
    end, _ = SIGNALS[how]
    script = running.python(BUSY.format(ending="pass"))
    script.says("in the midst")
    end(script)
    script.wait(SOON)
    assert "all right" in running.python(MANY, "50", "0.01").succeed(10)


# -- several users of one server

GUEST = MANY.replace('print("all right")', 'print("all right", flush=True)\n    until("leave")')


def test_two_scripts_share_one_server_and_one_worker(running: Processes, home: homes.Home, folder: Path, steps) -> None:
    """The second goes on when the first leaves, and takes with it the worker that they shared."""
    first = running.python(GUEST, "1", "0")
    first.says("all right")
    [worker] = running.programs("-m", "millstream_worker")
    server = home.server_pid()
    second = running.python(MANY, "200", "0.2")
    eventually(lambda: len(steps("begun")) > 40)
    assert running.programs("-m", "millstream_worker") == [worker]
    (folder / "leave").touch()
    first.succeed()
    assert "all right" in second.succeed()
    assert len({pid for _, pid in steps("done")}) > 2
    eventually(lambda: nothing_left(running, home), SOON)
    log = (home.path / "supervisor.log").read_text()
    assert log.count("ended") == log.count(f"server {server} ended, exit code 0") == 1


FORKING = (
    STEP
    + """
import multiprocessing, warnings

warnings.simplefilter("ignore", DeprecationWarning)

@flow
def sum_up(numbers):
    return sum(step.map(numbers, 0.01).result())

def in_child(queue):
    queue.put(sum_up([3, 4]))

if __name__ == "__main__":
    assert sum_up([1]) == 2
    if not (child := os.fork()):
        assert sum_up([1, 2]) == 6
        sys.exit(7)
    assert sum_up([5]) == 10
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    forking = multiprocessing.get_context("fork")
    queue = forking.Queue()
    process = forking.Process(target=in_child, args=(queue,))
    process.start()
    assert queue.get(timeout=20) == 14
    process.join()
    assert process.exitcode == 0
    assert sum_up([6]) == 12
    print("all right")
"""
)


def test_a_forked_child_runs_flows_of_its_own(running: Processes, home: homes.Home) -> None:
    """After its parent has used millstream, and beside it, by `os.fork` and by `multiprocessing`."""
    assert "all right" in running.python(FORKING).succeed()
    eventually(lambda: nothing_left(running, home), SOON)
    assert {record.state_type for record in read_records(home)} == {StateType.COMPLETED}


LEAVING = (
    FORKING.partition("if __name__")[0]
    + """
if __name__ == "__main__":
    assert sum_up([1]) == 2
    if not os.fork():
        until("leave")
        assert sum_up([1, 2]) == 6
        print("child right")
    else:
        print("parent leaves")
"""
)


def test_a_forked_child_outlives_its_parent(running: Processes, home: homes.Home, folder: Path) -> None:
    """The parent ends without delay, and the child finds a server and a worker all the same."""
    parent = running.python(LEAVING)
    parent.says("parent leaves")
    try:
        parent.wait(3)
    finally:
        (folder / "leave").touch()
    eventually(lambda: "child right" in parent.output)
    eventually(lambda: nothing_left(running, home), SOON)


IMPORTED = """
import sys
from millstream import flow, task

@task
def task_has(module):
    return module in sys.modules

@flow
def flow_has(module):
    return module in sys.modules

@flow
def looks():
    print("a task", task_has.submit("pydantic").result())
    print("the first flow", flow_has.submit("millstream.deployments").result())
    while not flow_has.submit("millstream.deployments").result():
        pass
    print("a later flow True")

if __name__ == "__main__":
    looks()
"""


def test_what_flows_need_is_imported_when_one_was_executed(running: Processes) -> None:
    """Not before: the first task of a script does not wait for it."""
    said = running.python(IMPORTED).succeed(30)
    assert "a task False" in said
    assert "the first flow False" in said
    assert "a later flow True" in said


THREADS = (
    STEP
    + """
from concurrent.futures import ThreadPoolExecutor

@flow
def sum_up(numbers):
    return sum(step.map(numbers, 0.01).result())

if __name__ == "__main__":
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(sum_up, [range(n) for n in range(24)]))
    assert sums == [n * (n - 1) for n in range(24)]
    print("all right")
"""
)


def test_flows_run_in_several_threads_at_once(running: Processes, home: homes.Home) -> None:
    """They share one session and one worker, and each gets its own results."""
    assert "all right" in running.python(THREADS).succeed()
    eventually(lambda: nothing_left(running, home), SOON)
    flows = [record for record in read_records(home) if record.kind == "flow"]
    assert [record.state_type for record in flows] == [StateType.COMPLETED] * 24


# -- whatever is killed

VICTIMS: dict[str, Callable[[Processes, homes.Home], int | None]] = {
    "worker": lambda running, _: running.programs("-m", "millstream_worker")[0],
    "child": lambda running, _: running.named("ms-tasks")[0],
    "nursery": lambda running, _: running.named("ms-nursery")[0],
    "server": lambda _, home: home.server_pid(),
    "supervisor": lambda _, home: home.supervisor_pid(),
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_flow_completes_whatever_is_killed(running: Processes, home: homes.Home, steps, victim: str) -> None:
    """kill -9 in the midst of 200 tasks: another process takes its place, and every result is right."""
    script = running.python(MANY, "200", "0.1", **QUICK)
    eventually(lambda: steps("begun"))
    killed = VICTIMS[victim](running, home)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert "all right" in script.succeed(30)
    assert {number for number, _ in steps("done")} == set(range(200))
    eventually(lambda: nothing_left(running, home), SOON)
