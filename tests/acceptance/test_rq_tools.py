"""Every queued run is a genuine RQ job: RQ's own tools see it, and a stock RQ worker executes it."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
from rq import Queue
from rq.command import send_shutdown_command
from rq.suspension import resume, suspend

from tests.acceptance.test_worker_faults import start_worker
from tests.harness import eventually
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer

PROGRAM = """
import asyncio, json
from millstream import flow, task
from millstream.futures import wait

@task
def double(x):
    return 2 * x

@task
async def slowly(x):
    await asyncio.sleep(0.01)
    return x + 1

@task
def fails(x):
    raise ValueError(f"no {x}")

@flow
def many():
    doubles = double.map(range(5))
    sums = slowly.map(doubles)
    bad = fails.submit(7)
    wait([*sums, bad])
    return [doubles.result(), sums.result(), repr(bad.result(raise_on_failure=False))]

if __name__ == "__main__":
    print(json.dumps(many()))
"""
EXPECTED = [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9], "ValueError('no 7')"]


@pytest.fixture
def remote(running: Processes, valkey: RealServer) -> Processes:
    running.environment |= {"MILLSTREAM_REDIS_URL": valkey.url, "MILLSTREAM_LOGGING_LEVEL": "ERROR"}
    return running


def rq(running: Processes, command: str, url: str, *arguments: str) -> Process:
    program = os.path.join(os.path.dirname(sys.executable), "rq")
    # A stock RQ worker needs no configuration of ours: it finds the store by its own connection.
    return running.start(program, command, "--url", url, *arguments, MILLSTREAM_REDIS_URL="redis://nobody.invalid")


def result_of(script: Process) -> list:
    return json.loads(script.succeed(60).splitlines()[-1])


def test_a_stock_rq_worker_gives_the_same_results(remote: Processes, valkey: RealServer) -> None:
    """`rq worker --burst` executes what a flow queued, sync and async, with dependents and failures."""
    script = remote.python(PROGRAM)
    eventually(lambda: valkey.client().llen("rq:queue:default") == 6)
    assert rq(remote, "worker", valkey.url, "--burst").wait(60) == 0
    by_rq = result_of(script)
    start_worker(remote, MILLSTREAM_LOGGING_LEVEL="INFO")
    by_us = result_of(remote.python(PROGRAM))
    assert by_rq == by_us == EXPECTED
    assert list(valkey.client().scan_iter("rq:job:*")) == []


def test_rq_info_shows_queues_and_workers(remote: Processes, valkey: RealServer) -> None:
    """Queued runs count as RQ jobs, with a description, and our worker as a worker of their queue."""
    script = remote.python(PROGRAM)
    eventually(lambda: valkey.client().llen("rq:queue:default") == 6)
    assert "queue default 6" in rq(remote, "info", valkey.url, "--raw").succeed()
    jobs = Queue("default", connection=valkey.client()).jobs
    assert {job.description.rpartition("-")[0] for job in jobs} == {"double", "fails"}
    assert {job.func_name for job in jobs} == {"millstream_worker.jobs.execute"}
    worker = start_worker(remote, "-q", "default", "-q", "other", MILLSTREAM_LOGGING_LEVEL="INFO")
    assert result_of(script) == EXPECTED
    output = rq(remote, "info", valkey.url).succeed()
    assert f"-{worker.pid}-" in output
    assert "default, other" in output
    assert "1 workers" in output


def test_rq_suspend_pauses_our_workers(remote: Processes, valkey: RealServer) -> None:
    """`rq suspend` keeps our workers from claiming, `rq resume` lets them go on."""
    worker = start_worker(
        remote, "--processes", "1", MILLSTREAM_LOGGING_LEVEL="INFO", MILLSTREAM_HEARTBEAT_SECONDS="0.2"
    )
    client = valkey.client()
    suspend(client)
    worker.says("suspended")
    script = remote.python(PROGRAM)
    eventually(lambda: client.llen("rq:queue:default") == 6)
    resume(client)
    assert result_of(script) == EXPECTED


def test_a_suspended_worker_rests(remote: Processes, valkey: RealServer) -> None:
    """A worker that may not take the runs which are there waits for that without using the processor."""
    client = valkey.client()
    suspend(client)
    worker = start_worker(
        remote, "--processes", "1", MILLSTREAM_LOGGING_LEVEL="INFO", MILLSTREAM_HEARTBEAT_SECONDS="0.4"
    )
    worker.says("suspended")
    script = remote.python(PROGRAM)
    eventually(lambda: client.llen("rq:queue:default") == 6)
    [name] = [key.decode() for key in client.smembers("rq:workers")]
    begun, spent = time.monotonic(), seconds_of_cpu(worker.pid)
    for _ in range(4):
        beat = client.hget(name, "last_heartbeat")
        eventually(lambda beat=beat: client.hget(name, "last_heartbeat") != beat)
    assert seconds_of_cpu(worker.pid) - spent < (time.monotonic() - begun) / 4
    resume(client)
    assert result_of(script) == EXPECTED


def seconds_of_cpu(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def test_rqs_shutdown_command_ends_our_worker(remote: Processes, valkey: RealServer) -> None:
    """The command that RQ sends to a worker by its name makes ours end as SIGTERM does."""
    worker = start_worker(remote, "--processes", "1", MILLSTREAM_LOGGING_LEVEL="INFO")
    client = valkey.client()
    [name] = [key.decode().removeprefix("rq:worker:") for key in client.smembers("rq:workers")]
    send_shutdown_command(client, name)
    assert worker.wait() == 0
    assert client.smembers("rq:workers") == set()
