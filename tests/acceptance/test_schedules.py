"""Schedules with real processes and real kills: each time is fired, by whichever process is left."""

import itertools
import json
import random
import signal
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from millstream.schedules import Cron, Interval, collect
from millstream_shared.deployments import DeploymentRecord, Deployments
from millstream_shared.scheduling import Scheduling
from millstream_shared.settings import get_settings
from millstream_shared.store import Store
from tests.harness import eventually
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer

PROGRAM = """
import json, os, sys, time
from millstream_shared.settings import get_settings
from millstream_shared.store import Store
from millstream_worker.scheduling import Scheduler

def fire(deployment, schedule, at, key):
    line = {"key": key, "schedule": schedule.slug, "time": at.isoformat(), "pid": os.getpid(), "at": time.time()}
    file = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, json.dumps(line).encode() + b"\\n")
    os.close(file)

settings = get_settings()
store = Store(settings.redis_url, settings)
scheduler = Scheduler(store, f"worker-{os.getpid()}", fire, lease_seconds=float(sys.argv[1]))
while True:
    time.sleep(scheduler.tend())
"""


@pytest.fixture
def store(valkey: RealServer) -> Store:
    return Store(valkey.url, get_settings())


@pytest.fixture
def ledger(folder: Path, running: Processes, valkey: RealServer) -> Path:
    running.environment |= {"LEDGER": str(folder / "ledger"), "MILLSTREAM_REDIS_URL": valkey.url}
    return folder / "ledger"


def lines(ledger: Path, slug: str) -> list[dict[str, str]]:
    seen = map(json.loads, ledger.read_text().splitlines()) if ledger.exists() else ()
    return [line for line in seen if line["schedule"] == slug]


def leader(store: Store, processes: list[Process]) -> Process:
    """The process that fires schedules now."""
    named = eventually(lambda: Scheduling(store).leader())
    return next(process for process in processes if named == f"worker-{process.pid}")


@pytest.mark.timeout(90)
def test_each_second_is_fired_while_the_process_that_fires_is_killed_again_and_again(
    running: Processes, ledger: Path, store: Store
) -> None:
    """Three processes, of which the one that fires is killed four times: no time is lost, each has one key."""
    deployment = DeploymentRecord(
        flow_name="etl",
        name="often",
        entrypoint="etl:etl",
        schedules=collect(schedules=[Interval(1, slug="often"), Cron("0 0 29 2 *", slug="seldom")]),
    )
    Deployments(store).write(deployment)
    processes = [running.python(PROGRAM, "1") for _ in range(3)]
    dice = random.Random()
    for _ in range(4):
        before = len(lines(ledger, "often"))
        eventually(lambda before=before: len(lines(ledger, "often")) >= before + dice.choice([1, 2]), 20)
        victim = leader(store, processes)
        victim.kill()
        processes.remove(victim)
        processes.append(running.python(PROGRAM, "1"))
    before = len(lines(ledger, "often"))
    eventually(lambda: len(lines(ledger, "often")) > before + 1, 20)
    seen = lines(ledger, "often")
    times = sorted({datetime.fromisoformat(line["time"]) for line in seen})
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {timedelta(seconds=1)}
    assert {line["key"] for line in seen} == {f"{deployment.id}/often/{time.isoformat()}" for time in times}
    # What was under way when a process was killed is fired again, under its key, by the next one.
    assert max(Counter(line["key"] for line in seen).values()) <= 5
    assert len({line["pid"] for line in seen}) >= 3


def test_another_process_takes_over_soon_after_a_lease_has_run_out(
    running: Processes, ledger: Path, store: Store
) -> None:
    """In not much more than a lease: of two seconds here, of ten by default, so in well under twenty."""
    Deployments(store).write(
        DeploymentRecord(flow_name="etl", name="x", entrypoint="etl:etl", schedules=collect(interval=1))
    )
    processes = [running.python(PROGRAM, "2") for _ in range(2)]
    eventually(lambda: lines(ledger, "interval"), 20)
    first = leader(store, processes)
    # The other one has had its turn, and knows that it has to wait.
    eventually(lambda: len(lines(ledger, "interval")) > 2, 20)
    first.kill()
    killed = time.time()
    eventually(lambda: lines(ledger, "interval")[-1]["pid"] != first.pid, 20)
    others = [float(line["at"]) for line in lines(ledger, "interval") if line["pid"] != first.pid]
    assert others[0] - killed < 6


def test_a_process_that_slept_through_its_lease_does_no_harm(running: Processes, ledger: Path, store: Store) -> None:
    """Another one fires meanwhile; woken up, it fires nothing again, and leaves it to that one."""
    Deployments(store).write(
        DeploymentRecord(flow_name="etl", name="x", entrypoint="etl:etl", schedules=collect(interval=1))
    )
    processes = [running.python(PROGRAM, "2") for _ in range(2)]
    eventually(lambda: len(lines(ledger, "interval")) > 2, 20)
    sleeper = leader(store, processes)
    sleeper.send(signal.SIGSTOP)
    eventually(lambda: lines(ledger, "interval")[-1]["pid"] != sleeper.pid, 20)
    sleeper.send(signal.SIGCONT)
    woken = time.time()
    eventually(lambda: datetime.fromisoformat(lines(ledger, "interval")[-1]["time"]).timestamp() > woken + 1, 20)
    seen = lines(ledger, "interval")
    assert seen[-1]["pid"] != sleeper.pid
    # At the most what it was about to fire when it fell asleep.
    assert len(seen) - len({line["key"] for line in seen}) <= 3
    times = sorted({datetime.fromisoformat(line["time"]) for line in seen})
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {timedelta(seconds=1)}


def test_a_schedule_that_is_new_is_seen_within_a_second_or_two(running: Processes, ledger: Path, store: Store) -> None:
    """Nobody has to be told: who fires schedules looks whether deployments have changed."""
    process = running.python(PROGRAM, "10")
    assert leader(store, [process]) is process
    begun = time.time()
    Deployments(store).write(
        DeploymentRecord(flow_name="etl", name="x", entrypoint="etl:etl", schedules=collect(interval=1))
    )
    eventually(lambda: lines(ledger, "interval"), 20)
    assert float(lines(ledger, "interval")[0]["at"]) - begun < 5
