"""Flows that real workers run on schedule, and go on to run when one of the workers is killed."""

import itertools
import json
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from millstream_shared.scheduling import Scheduling
from millstream_shared.settings import get_settings
from millstream_shared.store import Store
from tests.harness import eventually
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer

PROGRAM = """
import json, os
from millstream import flow, runtime, task
from millstream.schedules import Interval

@task
def scheduled_time():
    return runtime.flow_run.scheduled_start_time

@flow
def tick(label: str, count: int):
    due = runtime.flow_run.scheduled_start_time
    assert scheduled_time.submit().result() == due
    line = {"run": str(runtime.flow_run.id), "time": due.isoformat(), "label": label, "count": count}
    file = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, json.dumps(line).encode() + b"\\n")
    os.close(file)

if __name__ == "__main__":
    often = Interval(1, slug="often", parameters={"label": "of the schedule"})
    tick.deploy("often", schedule=often, parameters={"label": "of the deployment", "count": 3}, on_crash="resume")
"""
QUICK = {"MILLSTREAM_LEASE_SECONDS": "2", "MILLSTREAM_HEARTBEAT_SECONDS": "0.5"}


def lines(ledger: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def times(ledger: Path) -> list[datetime]:
    """For which times runs have been executed."""
    return sorted({datetime.fromisoformat(line["time"]) for line in lines(ledger)})


def start_worker(running: Processes) -> Process:
    worker = running.cli("worker", "start", "--processes", "1", **QUICK)
    worker.says("worker started")
    return worker


@pytest.mark.timeout(120)
@pytest.mark.leaves_work("the workers are killed, with runs of the next second under way")
def test_flows_run_on_schedule_whichever_worker_is_killed(running: Processes, folder: Path, valkey: RealServer) -> None:
    """One run for each second, with the schedule's parameters, though the worker that fired them is killed."""
    ledger = folder / "ledger"
    running.environment |= {"MILLSTREAM_REDIS_URL": valkey.url, "LEDGER": str(ledger)}
    scheduling = Scheduling(Store(valkey.url, get_settings()))
    workers = [start_worker(running) for _ in range(2)]
    (folder / "program.py").write_text(PROGRAM)
    running.python(folder / "program.py").succeed()
    eventually(lambda: len(lines(ledger)) >= 2, 30)
    leader = scheduling.leader()
    next(worker for worker in workers if f"worker-{worker.pid}-" in str(leader)).kill()
    killed = time.time()

    def has_gone_on() -> bool:
        # What was under way on the worker that was killed goes on a little later than what came after it.
        fired = times(ledger)
        has_gaps = {later - earlier for earlier, later in itertools.pairwise(fired)} != {timedelta(seconds=1)}
        return fired[-1].timestamp() > killed + 1 and not has_gaps

    eventually(has_gone_on, 40)
    assert scheduling.leader() != leader
    assert times(ledger)[0].timestamp() < killed
    seen = lines(ledger)
    # Each time is that of one run, which may have been resumed.
    assert len({line["run"] for line in seen}) == len({line["time"] for line in seen})
    assert {(line["label"], line["count"]) for line in seen} == {("of the schedule", 3)}
