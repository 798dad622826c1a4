"""What happens to runs when workers are killed, frozen or told to stop: nothing is lost, nothing ends twice."""

import collections
import os
import signal
import time

import pytest

from millstream_shared.settings import get_settings
from millstream_shared.states import StateType
from millstream_shared.store import Store
from tests.harness import eventually, ledgers
from tests.harness.ledgers import Ledger
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer

QUICK = {"MILLSTREAM_LEASE_SECONDS": "2", "MILLSTREAM_HEARTBEAT_SECONDS": "0.5"}


def start_worker(running: Processes, *arguments: str, **environment: str) -> Process:
    worker = running.cli("worker", "start", *arguments, **environment)
    worker.says("worker started")
    return worker


def task_records(server: RealServer) -> list:
    store = Store(server.url, get_settings())
    trees = [key.decode().removeprefix("ms:runs:") for key in store.client.scan_iter("ms:runs:*")]
    return [record for tree in trees for record in store.tree(tree) if record.kind == "task"]


TWO_QUEUES = (
    ledgers.PROGRAM
    + """
@task
def step(i):
    note("start")
    time.sleep(0.02)
    note("end")
    return i

@flow
def many():
    futures = step.with_options(queue="a").map(range(1000)) + step.with_options(queue="b").map(range(1000, 2000))
    return [future.result() for future in futures]

if __name__ == "__main__":
    assert many() == list(range(2000))
    print("all there")
"""
)


@pytest.mark.timeout(120)
def test_no_run_is_lost_when_a_worker_of_two_queues_is_killed(
    running: Processes, valkey: RealServer, ledger: Ledger
) -> None:
    """kill -9 in the midst of 2,000 tasks on two queues: all end, once, and work resumes within 20 s by default."""
    first = start_worker(running, "-q", "a", "-q", "b")
    script = running.python(TWO_QUEUES, MILLSTREAM_LOGGING_LEVEL="WARNING")
    eventually(lambda: len(ledger.lines("end")) > 400, 30)
    first.kill()
    killed = time.time()
    start_worker(running, "-q", "a", "-q", "b")
    assert "all there" in script.succeed(60)
    records = task_records(valkey)
    assert collections.Counter(record.state_type for record in records) == {StateType.COMPLETED: 2000}
    again = [line["at"] - killed for line in ledger.lines("start") if line["attempt"] > 1]
    assert again, "the worker was killed between two runs"
    assert max(again) < 20
    # Nothing that had ended was executed again: only what was in flight at the kill has a second attempt.
    ends = collections.Counter(line["run"] for line in ledger.lines("end"))
    assert len(ends) == 2000
    assert set(ends.values()) <= {1, 2}


SLEEPER = (
    ledgers.PROGRAM
    + """
@task
def step(seconds):
    note("start")
    time.sleep(seconds)
    note("end")
    return seconds

@flow
def some(n, seconds):
    return step.map([seconds] * n).result()

if __name__ == "__main__":
    import sys
    print(sum(some(int(sys.argv[1]), float(sys.argv[2]))))
"""
)


def test_a_child_that_dies_takes_no_sibling_with_it(running: Processes, ledger: Ledger) -> None:
    """When a child process is killed, as the OOM killer does it, all its runs are executed again, from under 2 s on."""
    worker = start_worker(running, "--processes", "1", "--threads", "4")
    script = running.python(SLEEPER, "8", "0.5")
    [child] = {line["pid"] for line in eventually(lambda: ledger.lines("start"))}
    os.kill(child, signal.SIGKILL)
    killed = time.time()
    assert "4.0" in script.succeed()
    assert "SIGKILL" in worker.output
    again = [line["at"] - killed for line in ledger.lines("start") if line["attempt"] > 1]
    assert again
    assert min(again) < 2  # the others have to wait for a thread
    assert len({line["run"] for line in ledger.lines("end")}) == 8


POISON = (
    ledgers.PROGRAM
    + """
import signal
from millstream.futures import wait
from millstream.exceptions import CrashedRun

@task
def poison():
    note("start")
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)

@task
def innocent(i):
    time.sleep(0.1)
    return i

@flow
def mixed():
    bad = poison.submit()
    good = innocent.map(range(40))
    wait([bad, *good])
    assert [future.result() for future in good] == list(range(40))
    assert bad.state.is_crashed(), bad.state
    try:
        bad.result()
    except CrashedRun as error:
        print("told:", error)

if __name__ == "__main__":
    mixed()
"""
)


def test_a_task_that_kills_its_process_ends_as_crashed(running: Processes, valkey: RealServer, ledger: Ledger) -> None:
    """After three crashes of its process a run is Crashed and among RQ's failed jobs; all others complete."""
    start_worker(running, "--processes", "2", "--threads", "4")
    output = running.python(POISON).succeed(60)
    assert "told: " in output
    assert "SIGKILL" in output
    assert len(ledger.lines("start")) == 3
    assert valkey.client().zcard("rq:failed:default") == 1


@pytest.mark.timeout(90)
def test_a_frozen_worker_that_thaws_cannot_settle(running: Processes, valkey: RealServer, ledger: Ledger) -> None:
    """SIGSTOP for longer than the lease: another worker takes the runs over; the zombie notices and starts anew."""
    frozen = start_worker(running, "--processes", "1", **QUICK)
    script = running.python(SLEEPER, "2", "1", **QUICK)
    eventually(lambda: len(ledger.lines("start")) == 2)
    frozen.send(signal.SIGSTOP)
    start_worker(running, "--processes", "1", **QUICK)
    assert "2.0" in script.succeed()
    frozen.send(signal.SIGCONT)
    frozen.says("the lease ran out")
    assert collections.Counter(record.state_type for record in task_records(valkey)) == {StateType.COMPLETED: 2}
    # It serves again, under a new name.
    assert frozen.says("worker started").count("worker started") >= 1
    assert "3.0" in running.python(SLEEPER, "3", "1", **QUICK).succeed()


def test_sigterm_lets_running_tasks_end_and_hands_back_the_rest(
    running: Processes, valkey: RealServer, ledger: Ledger
) -> None:
    """A worker told to stop ends what runs, exits with 0, and what it had not begun is there for the next one."""
    worker = start_worker(running, "--processes", "1", "--threads", "2")
    script = running.python(SLEEPER, "6", "0.7")
    eventually(lambda: len(ledger.lines("start")) == 2)
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert len(ledger.lines("end")) == len(ledger.lines("start")) == 2
    assert valkey.client().llen("rq:queue:default") == 4
    start_worker(running, "--processes", "1", "--threads", "4")
    assert "4.2" in script.succeed()
    assert {line["attempt"] for line in ledger.lines("start")} == {1}


def test_a_second_sigterm_ends_a_worker_at_once(running: Processes, ledger: Ledger) -> None:
    """The second signal does not wait for running tasks: they are handed back, and executed by the next worker."""
    worker = start_worker(running, "--processes", "1")
    script = running.python(SLEEPER, "1", "4")
    eventually(lambda: ledger.lines("start"))
    worker.send(signal.SIGTERM)
    worker.says("stopping")
    told = time.monotonic()
    worker.send(signal.SIGTERM)
    worker.wait()
    assert time.monotonic() - told < 2
    start_worker(running, "--processes", "1")
    assert "4.0" in script.succeed()
    assert len(ledger.lines("start")) == 2


def test_workers_ride_out_a_restart_of_the_server(running: Processes, valkey: RealServer, ledger: Ledger) -> None:
    """Redis killed and back after a while: workers and the flow reconnect by themselves, and nothing is lost."""
    start_worker(running, "--processes", "1", "--threads", "4")
    script = running.python(SLEEPER, "30", "0.2")
    eventually(lambda: len(ledger.lines("end")) > 5)
    valkey.kill()
    valkey.start()
    assert "\n6.0" in script.succeed(40)


@pytest.mark.usefixtures("ledger")
def test_a_burst_worker_ends_when_the_queue_is_empty(running: Processes, valkey: RealServer) -> None:
    """`--burst` works off what is there, dependents included, and exits with 0."""
    script = running.python(SLEEPER, "5", "0.1")
    eventually(lambda: valkey.client().llen("rq:queue:default") == 5)
    assert running.cli("worker", "start", "--burst").wait() == 0
    assert "0.5" in script.succeed()


def test_a_flow_whose_process_is_killed_is_crashed(running: Processes, valkey: RealServer, ledger: Ledger) -> None:
    """A worker notices that a flow's process is gone and ends its flow run as Crashed; its queued tasks still end."""
    start_worker(running, "--processes", "1", "--threads", "2", **QUICK)
    script = running.python(SLEEPER, "8", "0.3", **QUICK)
    eventually(lambda: ledger.lines("start"))
    script.kill()
    store = Store(valkey.url, get_settings())

    def flow_states() -> list[StateType]:
        trees = [key.decode().removeprefix("ms:runs:") for key in store.client.scan_iter("ms:runs:*")]
        return [record.state_type for tree in trees for record in store.tree(tree) if record.kind == "flow"]

    eventually(lambda: flow_states() == [StateType.CRASHED])
    eventually(lambda: len(ledger.lines("end")) == 8)
