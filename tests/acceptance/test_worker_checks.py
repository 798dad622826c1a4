"""`millstream worker check`, names of workers and what they say of themselves, with real workers and servers."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tests.harness import eventually
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer

QUICK = {"MILLSTREAM_LEASE_SECONDS": "2", "MILLSTREAM_HEARTBEAT_SECONDS": "0.2"}


@pytest.fixture(autouse=True)
def _point_to_the_server(running: Processes, valkey: RealServer) -> None:
    running.environment |= QUICK | {"MILLSTREAM_REDIS_URL": valkey.url}


def start_worker(running: Processes, *arguments: str, **environment: str) -> Process:
    worker = running.cli("worker", "start", "--processes", "1", *arguments, **environment)
    worker.says("worker started")
    return worker


def check(running: Processes, *arguments: str) -> tuple[int, str]:
    """Its exit status, and what it says."""
    process = running.cli("worker", "check", *arguments)
    return process.wait(), process.output


def test_a_worker_that_goes_round_is_well(running: Processes) -> None:
    """The check finds it while it runs, also by name and with Redis asked; no other, and none once it has ended."""
    assert "no worker runs here" in check(running)[1]
    worker = start_worker(running, "--name", "mail")
    status, said = check(running, "--name", "mail", "--readiness")
    assert (status, "mail-" in said) == (0, True)
    assert check(running)[0] == 0
    assert check(running, "--name", "other")[0] == 1
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert check(running, "--name", "mail")[0] == 1


def test_a_frozen_worker_is_not_well(running: Processes) -> None:
    """Its process lives, but the loop stands still: the check fails, and says which process and for how long."""
    worker = start_worker(running)
    worker.send(signal.SIGSTOP)
    said = eventually(lambda: [said for status, said in [check(running, "--max-age", "0.5")] if status == 1])
    assert f"process {worker.pid}, has been silent for" in said[0]
    worker.send(signal.SIGCONT)
    eventually(lambda: check(running, "--max-age", "0.5")[0] == 0)


def test_a_server_that_is_away_makes_a_worker_unready_but_not_unwell(running: Processes, valkey: RealServer) -> None:
    """Liveness must not restart workers that ride out an outage; readiness says what is missing, and comes back."""
    worker = start_worker(running)
    valkey.kill()
    status, said = check(running, "--readiness")
    assert (status, "No answer from Redis" in said) == (1, True)
    # Only after the loop has had to wait for the server is it known to go round without one.
    beats = next((running.folder / "home" / "workers").glob("*.json"))
    seen = beats.stat().st_mtime
    eventually(lambda: beats.stat().st_mtime > seen + 1)
    assert check(running, "--max-age", "5")[0] == 0
    valkey.start()
    eventually(lambda: check(running, "--readiness")[0] == 0)
    assert worker.runs


def test_a_worker_that_was_killed_is_missed(running: Processes) -> None:
    """Its file stays behind, and counts for nothing; the next worker of this machine takes it away."""
    worker = start_worker(running)
    worker.kill()
    assert "no worker runs here" in check(running)[1]
    start_worker(running)
    assert len(list((running.folder / "home" / "workers").iterdir())) == 1


def test_of_two_workers_with_one_name_the_second_is_refused(running: Processes, valkey: RealServer) -> None:
    """By an error that names the first; once that is gone, killed even, the name is free. It shows in RQ's tools."""
    first = start_worker(running, "--name", "mail")
    second = running.cli("worker", "start", "--name", "mail")
    assert second.wait() == 1
    assert f"There is a worker named 'mail' (mail-{first.pid}-" in second.output
    first.kill()
    start_worker(running, "--name", "mail")
    client = valkey.client()
    assert any(key.startswith(b"rq:worker:mail-") for key in client.smembers("rq:workers"))
    client.close()


def test_a_worker_is_looked_up_and_stopped_by_its_name(running: Processes) -> None:
    """The commands that take a worker take the name that people gave it."""
    worker = start_worker(running, "--name", "mail")
    assert f"mail-{worker.pid}-" in running.cli("worker", "inspect", "mail").succeed()
    running.cli("worker", "stop", "mail", "--wait", "--timeout", "20").succeed()
    assert worker.wait() == 0
    assert "There is no worker 'mail'" in running.cli("worker", "inspect", "mail").says("Error")


def test_the_name_of_a_worker_on_another_machine_is_its_own(running: Processes, valkey: RealServer) -> None:
    """Nobody here can see whether its process lives: the name is taken until its time is over."""
    client = valkey.client()
    client.set("ms:worker-name:mail", "mail-1-0123456789 elsewhere", px=60_000)
    second = running.cli("worker", "start", "--name", "mail")
    assert second.wait() == 1
    assert "on elsewhere" in second.output
    client.delete("ms:worker-name:mail")
    client.close()
    assert "is no name of a worker" in running.cli("worker", "start", "--name", "a b").says("Error")


def test_a_worker_says_what_it_is_for_machines_too(running: Processes, valkey: RealServer) -> None:
    """The line at its start has queues, size, server with version and millstream's version; in JSON, if so wished."""
    worker = start_worker(running, "-q", "a", "-q", "b", "--threads", "3", "--log-format", "json")
    said = json.loads(worker.output.splitlines()[0])
    assert said["event"] == "worker started"
    assert (said["queues"], said["processes"], said["threads"]) == ("a,b", 1, 3)
    assert said["redis"] == valkey.url
    assert said["server"].startswith("Valkey ")
    assert said["millstream"] == metadata.version("millstream")
    assert said["timestamp"].endswith("Z")
    worker.send(signal.SIGTERM)
    worker.wait()
    assert [json.loads(line)["level"] for line in worker.output.splitlines()] == ["info"] * 3


def test_a_worker_has_a_child_process_for_each_cpu_that_it_may_use(running: Processes) -> None:
    """Which may be fewer than there are; the environment can say another number, and the command a third one."""
    may_use = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(may_use)})
        running.cli("worker", "start").says("processes=1 ")
    finally:
        os.sched_setaffinity(0, may_use)
    running.cli("worker", "start", MILLSTREAM_WORKER_PROCESSES="3").says("processes=3 ")
    running.cli("worker", "start", "--processes", "2", MILLSTREAM_WORKER_PROCESSES="3").says("processes=2 ")
    refused = running.cli("worker", "start", MILLSTREAM_WORKER_PROCESSES="0")
    assert refused.wait() == 1
    assert "MILLSTREAM_WORKER_PROCESSES" in refused.output


def test_the_format_of_a_workers_lines_can_be_set_for_all(running: Processes) -> None:
    """By the environment, as containers do; by default they are for people."""
    worker = start_worker(running, MILLSTREAM_LOGGING_FORMAT="json")
    assert json.loads(worker.output.splitlines()[0])["queues"] == "default"
    assert "queues=default" in start_worker(running).output


FAILING = """
from millstream import flow, get_run_logger, task

@task
def fails(i):
    get_run_logger().info("about to fail")
    raise ValueError(i)

@flow
def one():
    fails.submit(7).wait()

if __name__ == "__main__":
    one()
"""


def test_lines_of_runs_are_for_machines_too(running: Processes) -> None:
    """All that a worker and its processes write is JSON then, with the ids of the run, and tracebacks inside."""
    worker = start_worker(running, "--log-format", "json")
    assert running.python(FAILING).succeed()
    worker.says("Finished in state Failed")
    lines = [json.loads(line) for line in worker.output.splitlines()]
    [told] = [line for line in lines if line["event"] == "about to fail"]
    assert (told["level"], told["task_name"]) == ("info", "fails")
    [failed] = [line for line in lines if "exception" in line]
    assert "ValueError: 7" in failed["exception"]
    assert failed["task_run_id"] == told["task_run_id"]


@pytest.fixture
def manager(folder: Path) -> Iterator[socket.socket]:
    """What systemd would be: a socket that hears what a service has to say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(folder / "notify"))
        heard.settimeout(10)
        yield heard


def test_systemd_is_told(running: Processes, manager: socket.socket) -> None:
    """That the worker is ready, that its loop goes round, and that it stops; of a frozen one it hears no more."""
    worker = start_worker(running, NOTIFY_SOCKET=manager.getsockname())
    assert manager.recv(100) == b"READY=1"
    assert [manager.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    os.kill(worker.pid, signal.SIGTERM)
    eventually(lambda: manager.recv(100) == b"STOPPING=1")
    assert worker.wait() == 0
