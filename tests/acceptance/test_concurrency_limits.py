"""Concurrency limits with real workers, real scripts and real kills: never exceeded, and nothing stays taken."""

import collections
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from millstream_shared.limits import Limits
from millstream_shared.settings import get_settings
from millstream_shared.store import Store
from tests.harness import eventually, ledgers
from tests.harness.commands import millstream
from tests.harness.ledgers import Ledger
from tests.harness.processes import Process, Processes, executing
from tests.harness.servers import RealServer

QUICK = {"MILLSTREAM_LEASE_SECONDS": "2", "MILLSTREAM_HEARTBEAT_SECONDS": "0.5", "MILLSTREAM_CRASH_LIMIT": "20"}

PROGRAM = (
    ledgers.PROGRAM
    + """
from millstream.concurrency import concurrency

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

@task(tags=["db"])
async def nothing_async(seconds):
    await asyncio.sleep(seconds)

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
    # As many direct calls in one async flow as you like.
    outcomes = await asyncio.gather(*(tagged_async(seconds) for _ in range(count)), return_exceptions=True)
    assert outcomes == [None] * count, outcomes

def hold(name, seconds, strict=False):
    with concurrency(name, strict=strict):
        note("start")
        time.sleep(seconds)

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    begun = time.monotonic()
    if name == "hold":
        hold(arguments[0], float(arguments[1]), *arguments[2:])
    elif name == "mixed":
        mixed(int(arguments[0]), float(arguments[1]))
    elif name == "direct":
        asyncio.run(direct(int(arguments[0]), float(arguments[1])))
    else:
        mapped(name, int(arguments[0]), float(arguments[1]))
    print("took", time.monotonic() - begun)
"""
)


def most_at_once(ledger: Ledger, deaths: dict[int, float] | None = None) -> int:
    """The largest number of pieces of work that were at it at the same time.

    A piece of which no end is written ended when its process was killed: `deaths` has the times, by process id.
    """
    events: list[tuple[float, int]] = []
    begun: dict[tuple[str, int], dict[str, Any]] = {}
    for line in ledger.lines():
        key = line["run"], line["pid"]
        if line["what"] == "start":
            assert key not in begun, f"begun twice in one process: {line}"
            begun[key] = line
        else:
            events += [(begun.pop(key)["at"], 1), (line["at"], -1)]
    for (_, pid), start in begun.items():
        assert deaths is not None, f"never ended: {start}"
        events += [(start["at"], 1), (max(start["at"], deaths[pid]), -1)]
    running = most = 0
    for _, step in sorted(events):
        running += step
        most = max(most, running)
    return most


@pytest.fixture
def ledger(ledger: Ledger, running: Processes) -> Ledger:
    running.environment["MILLSTREAM_LOGGING_LEVEL"] = "WARNING"
    return ledger


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


def seconds_without_cpu(pid: int) -> float:
    """How long the threads of a process could have run and did not, as the machine was busy with others."""
    found = [path.read_text().split()[1] for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(map(int, found)) / 1e9


def children_alone(worker: Process) -> dict[int, float]:
    """Kill what executes the worker's runs, as the OOM killer does; gives the times of death."""
    at = time.time()
    killed = executing(worker.pid)
    for child in killed:
        os.kill(child, signal.SIGKILL)
    return dict.fromkeys(killed, at)


def worker_and_children(worker: Process) -> dict[int, float]:
    """Kill the worker, and with it what executes its runs; gives the times of death."""
    at = time.time()
    # A child that is started while this looks begins with nothing before its worker is dead.
    killed = executing(worker.pid)
    worker.kill()
    return dict.fromkeys(killed, at)


@pytest.mark.timeout(120)
def test_a_limit_is_never_exceeded_while_workers_are_killed(
    running: Processes, ledger: Ledger, limits: Limits, start_workers: Callable[..., list[Process]]
) -> None:
    """Four workers, of which one or one's child is killed again and again: sync, async and code share 5 slots."""
    limits.write("tag:db", "new", limit=5)
    workers = start_workers(4, **QUICK)
    script = running.python(PROGRAM, "mixed", "120", "0.05", **QUICK)
    eventually(lambda: len(ledger.lines("end")) > 20, 30)
    # Both ways of dying, in any order, and anybody's turn.
    dice = random.Random()
    ways = [children_alone, worker_and_children] * 3
    dice.shuffle(ways)
    deaths: dict[int, float] = {}
    for kill in ways:
        before = len(ledger.lines("end"))
        victim = dice.choice(workers)
        deaths |= kill(victim)
        if not victim.runs:
            workers.remove(victim)
            workers += start_workers(1, **QUICK)
        eventually(lambda before=before: len(ledger.lines("end")) > before + 15 or not script.runs, 30)
    script.succeed(60)
    ends = collections.Counter(line["run"] for line in ledger.lines("end"))
    assert len(ends) == 360
    assert most_at_once(ledger, deaths) == 5
    eventually(lambda: free(limits), 20)


def test_runs_under_a_limit_are_shared_by_all_workers(
    running: Processes, ledger: Ledger, limits: Limits, start_workers: Callable[..., list[Process]]
) -> None:
    """A slot that becomes free goes to the next run, and this to an idle worker, not to where the last one was."""
    limits.write("tag:db", "new", limit=4)
    start_workers(2)
    running.python(PROGRAM, "tagged", "60", "0.05").succeed()
    shares = collections.Counter(line["pid"] for line in ledger.lines("start"))
    assert len(shares) == 2
    assert min(shares.values()) >= 10


@pytest.mark.timeout(90)
@pytest.mark.leaves_work("all who could finish it are killed")
def test_the_slot_of_a_killed_holder_is_free_again_in_twenty_seconds(
    running: Processes, ledger: Ledger, limits: Limits, start_workers: Callable[..., list[Process]]
) -> None:
    """With the settings as they are, and no worker left: of a worker that executes a run, and of a script."""
    limits.write("tag:db", "new", limit=1)
    limits.write("code", "new", limit=1)
    [worker] = start_workers(1)
    running.python(PROGRAM, "tagged", "1", "60")
    holder = running.python(PROGRAM, "hold", "code", "60")
    eventually(lambda: len(ledger.lines("start")) == 2)
    waiters = [running.python(PROGRAM, "hold", name, "60") for name in ("tag:db", "code")]
    eventually(lambda: [limit.waiting for limit in limits.read()] == [1, 1])
    worker.kill()
    holder.kill()
    killed = time.time()
    eventually(lambda: len(ledger.lines("start")) == 4, 25)
    seconds = {line["pid"]: line["at"] - killed for line in ledger.lines("start")}
    assert all(seconds[waiter.pid] < 20 for waiter in waiters), seconds


def test_a_holder_that_was_frozen_past_its_lease_hears_that_its_slots_are_lost(
    running: Processes, ledger: Ledger, limits: Limits
) -> None:
    """Others have had them meanwhile; its block ends with the error if it is strict, else with a warning."""
    for name in ("code", "strict"):
        limits.write(name, "new", limit=1)
    lenient = running.python(PROGRAM, "hold", "code", "1", **QUICK)
    strict = running.python(PROGRAM, "hold", "strict", "1", "strict", **QUICK)
    eventually(lambda: len(ledger.lines("start")) == 2)
    for holder in (lenient, strict):
        holder.send(signal.SIGSTOP)
    for name in ("code", "strict"):
        running.python(PROGRAM, "hold", name, "0", **QUICK).succeed()
    for holder in (lenient, strict):
        holder.send(signal.SIGCONT)
    assert "'code' are lost" in lenient.succeed()
    assert strict.wait() == 1
    assert "ConcurrencySlotAcquisitionError" in strict.output


@pytest.mark.parametrize("name", ["nothing", "nothing_async"])
def test_a_thousand_short_tasks_keep_their_limit_busy(
    running: Processes,
    valkey: RealServer,
    ledger: Ledger,
    limits: Limits,
    start_workers: Callable[..., list[Process]],
    name: str,
) -> None:
    """1,000 tasks of 10 ms with 10 slots take at most half more than the second that is the least possible."""
    limits.write("tag:db", "new", limit=10)
    [worker] = start_workers(1)

    def seconds() -> float:
        """How long it took, without the time in which the next step had no CPU because others had them."""
        eventually(lambda: executing(worker.pid))
        # Ten threads wait for a CPU side by side, one loop waits for all its coroutines.
        side_by_side = 1 if name == "nothing_async" else 10

        def waited() -> float:
            children = sum(map(seconds_without_cpu, executing(worker.pid)))
            return sum(map(seconds_without_cpu, (valkey.pid, worker.pid))) + children / side_by_side

        before = waited()
        took = float(running.python(PROGRAM, name, "1000", "0.01").succeed(30).split("took")[1])
        return took - (waited() - before)

    # The first time, the worker warms up.
    assert any(seconds() < 1.5 for _ in range(4))
    assert ledger.lines() == []
    eventually(lambda: free(limits))


def test_direct_calls_in_an_async_flow_keep_to_a_limit_made_by_the_command(running: Processes, ledger: Ledger) -> None:
    """500 coroutines at once, of which 10 run; the commands make the limit, show it, and delete it."""
    assert "10" in running.cli("concurrency-limit", "create", "db", "10").succeed()
    script = running.python(PROGRAM, "direct", "500", "0.02")
    eventually(lambda: ledger.lines("start"))
    seen = json.loads(running.cli("concurrency-limit", "inspect", "db", "--json").succeed())
    assert len(seen["holders"]) <= 10
    script.succeed()
    assert most_at_once(ledger) == 10
    assert len(ledger.lines("end")) == 500
    [limit] = json.loads(running.cli("concurrency-limit", "ls", "--json").succeed())
    assert (limit["name"], limit["limit"], limit["taken"], limit["waiting"]) == ("tag:db", 10, 0, 0)
    running.cli("concurrency-limit", "delete", "db").succeed()
    assert json.loads(running.cli("concurrency-limit", "ls", "--json").succeed()) == []


def test_the_commands_say_what_is_no_limit(valkey: RealServer) -> None:
    """A number below 0 is no option that nobody knows; one that was not made is named as it was asked for."""
    assert "-1 is not in the range" in millstream(valkey.url, "concurrency-limit", "create", "db", "-1", code=2)
    assert "on the tag 'db'" in millstream(valkey.url, "concurrency-limit", "inspect", "db", code=1)


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
    assert most_at_once(ledger) == 1
    eventually(lambda: free(limits))


def test_the_commands_for_global_limits(valkey: RealServer) -> None:
    """Made, listed, changed, switched off and on, reset, looked at and deleted; mistakes have exit code 1."""
    gcl = partial(millstream, valkey.url, "gcl")
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
    assert "gcl create api" in gcl("inspect", "api", code=1)
