"""Concurrency limits with real workers, real scripts and real kills: never exceeded, and nothing stays taken."""

import collections
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from millstream_shared.limits import Limits
from millstream_shared.settings import get_settings
from millstream_shared.store import Store
from tests.harness import eventually
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer

QUICK = {"MILLSTREAM_LEASE_SECONDS": "2", "MILLSTREAM_HEARTBEAT_SECONDS": "0.5", "MILLSTREAM_CRASH_LIMIT": "20"}

PROGRAM = '''
import asyncio, json, os, sys, time
from millstream import flow, task
from millstream.concurrency import concurrency
from millstream.context import TaskRunContext

def note(what):
    """Append a line to the ledger: it outlives every process and every server."""
    context = TaskRunContext.get()
    run = context.task_run.run_id if context else "script"
    seen = {"run": run, "pid": os.getpid(), "at": time.time(), "what": what}
    file = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, json.dumps(seen).encode() + b"\\n")
    os.close(file)

@task(tags=["db"])
def tagged(seconds):
    note("start")
    time.sleep(seconds)
    note("end")

@task(tags=["db"])
async def tagged_async(seconds):
    note("start")
    await asyncio.sleep(seconds)
    note("end")

@task
def inside(seconds):
    with concurrency("tag:db"):
        note("start")
        time.sleep(seconds)
        note("end")

@task(tags=["db"])
def nothing(seconds):
    time.sleep(seconds)

@flow
def mapped(name, count, seconds):
    globals()[name].map([seconds] * count).result()

@flow
def mixed(count, seconds):
    each = [task.map([seconds] * count) for task in (tagged, tagged_async, inside)]
    for futures in each:
        futures.result()

@flow
async def direct(count, seconds):
    """As many direct calls in one async flow as you like."""
    outcomes = await asyncio.gather(*(tagged_async(seconds) for _ in range(count)), return_exceptions=True)
    assert outcomes == [None] * count, outcomes

def hold(seconds):
    with concurrency("tag:db"):
        note("start")
        time.sleep(seconds)

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    begun = time.monotonic()
    if name == "hold":
        hold(float(arguments[0]))
    elif name == "mixed":
        mixed(int(arguments[0]), float(arguments[1]))
    elif name == "direct":
        asyncio.run(direct(int(arguments[0]), float(arguments[1])))
    else:
        mapped(name, int(arguments[0]), float(arguments[1]))
    print("took", time.monotonic() - begun)
'''


class Ledger:
    """What tasks wrote down about their own beginning and end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self, what: str | None = None) -> list[dict]:
        if not self.path.exists():
            return []
        seen = map(json.loads, self.path.read_text().splitlines())
        return [line for line in seen if what in (None, line["what"])]

    def most_at_once(self, deaths: dict[int, float] | None = None) -> int:
        """The largest number of pieces of work that were at it at the same time.

        A piece of which no end is written ended when its process was killed: `deaths` has the times, by process id.
        """
        events: list[tuple[float, int]] = []
        begun: dict[tuple[str, int], dict] = {}
        for line in self.lines():
            key = line["run"], line["pid"]
            if line["what"] == "start":
                begun[key] = line
            else:
                start = begun.pop(key)
                events += [(start["at"], 1), (line["at"], -1)]
        for (_, pid), start in begun.items():
            assert deaths is not None, f"never ended: {start}"
            events += [(start["at"], 1), (max(start["at"], deaths[pid]), -1)]
        running = most = 0
        for _, step in sorted(events):
            running += step
            most = max(most, running)
        return most


@pytest.fixture
def ledger(folder: Path, running: Processes, valkey: RealServer) -> Ledger:
    running.environment |= {
        "LEDGER": str(folder / "ledger"),
        "MILLSTREAM_REDIS_URL": valkey.url,
        "MILLSTREAM_LOGGING_LEVEL": "WARNING",
    }
    return Ledger(folder / "ledger")


@pytest.fixture
def limits(valkey: RealServer) -> Limits:
    return Limits(Store(valkey.url, get_settings()).script)


@pytest.fixture
def start_workers(running: Processes) -> Callable[..., list[Process]]:
    """Starts so many workers, of one process each."""

    def start(count: int, **environment: str) -> list[Process]:
        environment = {"MILLSTREAM_LOGGING_LEVEL": "INFO"} | environment
        workers = [running.cli("worker", "start", "--processes", "1", **environment) for _ in range(count)]
        for worker in workers:
            worker.says("worker started")
        return workers

    return start


def free(limits: Limits) -> bool:
    [limit] = limits.read("tag:db")
    return (limit.taken, limit.waiting) == (0, 0)


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


@pytest.mark.timeout(120)
def test_a_limit_is_never_exceeded_while_workers_are_killed(
    running: Processes, ledger: Ledger, limits: Limits, start_workers: Callable[..., list[Process]]
) -> None:
    """Four workers, of which one or one's child is killed again and again: sync, async and code share 5 slots."""
    limits.write("tag:db", "new", limit=5)
    workers = start_workers(4, **QUICK)
    script = running.python(PROGRAM, "mixed", "120", "0.05", **QUICK)
    eventually(lambda: len(ledger.lines("end")) > 20, 30)
    dice = random.Random(7)
    deaths: dict[int, float] = {}
    for _ in range(5):
        before = len(ledger.lines("end"))
        victim = dice.choice(workers)
        children = children_of(victim.pid)
        deaths |= dict.fromkeys(children, time.time())
        if dice.random() < 0.5 and children:
            os.kill(children[0], signal.SIGKILL)
        else:
            victim.kill()
            workers.remove(victim)
            workers += start_workers(1, **QUICK)
        eventually(lambda before=before: len(ledger.lines("end")) > before + 15 or not script.runs, 30)
    script.succeed(60)
    ends = collections.Counter(line["run"] for line in ledger.lines("end"))
    assert len(ends) == 360
    assert ledger.most_at_once(deaths) == 5
    eventually(lambda: free(limits), 20)


@pytest.mark.timeout(90)
@pytest.mark.leaves_work("all who could finish it are killed")
def test_the_slot_of_a_killed_holder_is_free_again_in_twenty_seconds(
    running: Processes, ledger: Ledger, limits: Limits, start_workers: Callable[..., list[Process]]
) -> None:
    """With the settings as they are: first a worker that executes a run, then, with no worker left, a script."""
    limits.write("tag:db", "new", limit=1)
    [worker] = start_workers(1)
    running.python(PROGRAM, "tagged", "1", "60")
    eventually(lambda: len(ledger.lines("start")) == 1)
    scripts: list[Process] = []
    for count in (1, 2):
        scripts.append(running.python(PROGRAM, "hold", "60"))
        eventually(lambda count=count: limits.read("tag:db")[0].waiting == count)
    for killed, next_one in ((worker, scripts[0]), (scripts[0], scripts[1])):
        before = len(ledger.lines("start"))
        killed.kill()
        at = time.time()
        eventually(lambda before=before: len(ledger.lines("start")) > before, 25)
        assert time.time() - at < 20
        assert ledger.lines("start")[-1]["pid"] == next_one.pid


def test_a_thousand_short_tasks_keep_their_limit_busy(
    running: Processes, ledger: Ledger, limits: Limits, start_workers: Callable[..., list[Process]]
) -> None:
    """1,000 tasks of 10 ms with 10 slots take at most 1.5 s, half more than the least that is possible."""
    limits.write("tag:db", "new", limit=10)
    start_workers(1)
    # The machine may be busy with other tests: once is enough.
    assert any(_seconds(running.python(PROGRAM, "nothing", "1000", "0.01")) < 1.5 for _ in range(4))
    assert ledger.lines() == []
    eventually(lambda: free(limits))


def _seconds(script: Process) -> float:
    return float(script.succeed(30).split("took")[1])


def test_direct_calls_in_an_async_flow_keep_to_a_limit_made_by_the_command(running: Processes, ledger: Ledger) -> None:
    """500 coroutines at once, of which 10 run; the commands make the limit, show it, and delete it."""
    assert "10" in running.cli("concurrency-limit", "create", "db", "10").succeed()
    script = running.python(PROGRAM, "direct", "500", "0.02")
    eventually(lambda: ledger.lines("start"))
    seen = json.loads(running.cli("concurrency-limit", "inspect", "db", "--json").succeed())
    assert len(seen["holders"]) <= 10
    script.succeed()
    assert ledger.most_at_once() == 10
    assert len(ledger.lines("end")) == 500
    [limit] = json.loads(running.cli("concurrency-limit", "ls", "--json").succeed())
    assert (limit["name"], limit["limit"], limit["taken"], limit["waiting"]) == ("tag:db", 10, 0, 0)
    running.cli("concurrency-limit", "delete", "db").succeed()
    assert json.loads(running.cli("concurrency-limit", "ls", "--json").succeed()) == []


def test_an_interrupted_flow_takes_its_waiting_runs_along(
    running: Processes, ledger: Ledger, limits: Limits, start_workers: Callable[..., list[Process]]
) -> None:
    """Ctrl-C: runs that stand in line end as Cancelled, and nobody is left in it."""
    limits.write("tag:db", "new", limit=2)
    start_workers(1)
    script = running.python(PROGRAM, "tagged", "20", "0.5")
    eventually(lambda: len(ledger.lines("start")) >= 2)
    eventually(lambda: limits.read("tag:db")[0].waiting > 10)
    script.interrupt()
    assert script.wait() != 0
    eventually(lambda: free(limits))
    assert len(ledger.lines("start")) < 10


def test_a_stock_rq_worker_keeps_to_the_limit(running: Processes, ledger: Ledger, limits: Limits) -> None:
    """It cannot set a run aside: it waits with it."""
    limits.write("tag:db", "new", limit=1)
    url = running.environment["MILLSTREAM_REDIS_URL"]
    for _ in range(2):
        running.start(str(Path(sys.executable).with_name("rq")), "worker", "--url", url, "default")
    running.python(PROGRAM, "tagged", "4", "0.2").succeed(60)
    assert ledger.most_at_once() == 1
    eventually(lambda: free(limits))


def test_the_commands_for_global_limits(running: Processes, ledger: Ledger) -> None:
    """Made, listed, changed, switched off and on, reset, looked at and deleted; mistakes have exit code 1."""

    def gcl(*arguments: str) -> str:
        return running.cli("gcl", *arguments).succeed()

    assert ledger.lines() == []
    gcl("create", "api", "--limit", "3", "--slot-decay-per-second", "0.5")
    assert "0.5 come back a second" in gcl("ls")
    gcl("update", "api", "--limit", "4")
    gcl("disable", "api")
    assert "inactive" in gcl("inspect", "api")
    gcl("enable", "api")
    gcl("reset", "api")
    [limit] = json.loads(gcl("ls", "--json"))
    assert (limit["limit"], limit["active"], limit["slot_decay_per_second"]) == (4, True, 0.5)
    gcl("delete", "api")
    assert "There are no limits." in gcl("ls")
    missing = running.cli("gcl", "inspect", "api")
    assert missing.wait() == 1
    assert "gcl create api" in missing.output
