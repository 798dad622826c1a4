"""Retries over real workers: they wait in Redis, come on time, cost nobody anything, and outlive every worker."""

import json
import os
import signal
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from millstream_shared import keys
from tests.harness import eventually, ledgers
from tests.harness.ledgers import Ledger
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer

PROGRAM = (
    ledgers.PROGRAM
    + """
import signal

def count():
    return TaskRunContext.get().task_run.run_count

@task(retries=2, retry_delay_seconds=[1.5, 0.2])
def third_time_lucky():
    note("start")
    if count() < 3:
        raise ValueError("not yet")
    return count()

@task(retries=1, retry_delay_seconds=1)
def second_time_lucky(pause):
    note("start")
    if count() == 1:
        time.sleep(pause)
        note("failed")
        raise ValueError("not yet")
    return count()

@task(retries=1, retry_delay_seconds=0.1)
def slow_second_try():
    note("start")
    if count() == 1:
        raise ValueError("not yet")
    time.sleep(1.5)
    note("end")
    return count()

@task(retries=1, retry_delay_seconds=0.1)
def fails_dies_fails():
    note("start")
    if count() == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("never")

@task
def quick(i):
    note("quick")
    return i

@flow
def one(name):
    future = globals()[name].submit()
    future.wait()
    return [future.state.name, str(future.result(raise_on_failure=False))]

@flow
def many(runs):
    # One after the other on the worker's only thread, so that they are not all due at once.
    return second_time_lucky.map([0.02] * runs).result()

@flow
def meanwhile():
    patient = second_time_lucky.submit(0)
    while patient.state.name != "AwaitingRetry":
        time.sleep(0.01)
    done = quick.map(range(50)).result()
    return [len(done), patient.state.name, patient.result()]

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    print("told:", json.dumps(globals()[name](*map(json.loads, arguments))))
"""
)


@pytest.fixture
def ledger(folder: Path, running: Processes, valkey: RealServer) -> Ledger:
    running.environment |= {"LEDGER": str(folder / "ledger"), "MILLSTREAM_REDIS_URL": valkey.url}
    return Ledger(folder / "ledger")


@pytest.fixture
def start_worker(running: Processes) -> Callable[[], Process]:
    """Starts a worker with one process of one thread."""

    def start() -> Process:
        worker = running.cli("worker", "start", "--processes", "1", "--threads", "1")
        worker.says("worker started")
        return worker

    return start


def told(script: Process) -> list:
    return json.loads(script.succeed().split("told: ")[1].splitlines()[0])


def lateness(ledger: Ledger, delay: float) -> list[float]:
    """How many seconds after its delay each second try began."""
    failed = {line["run"]: line["at"] for line in ledger.lines("failed")}
    return [line["at"] - failed[line["run"]] - delay for line in ledger.lines("start") if line["attempt"] == 2]


def test_a_retry_outlives_the_worker(
    running: Processes, valkey: RealServer, ledger: Ledger, start_worker: Callable[[], Process]
) -> None:
    """Worker and children are killed while it waits; the next worker begins it in time, and the count goes on."""
    first = start_worker()
    script = running.python(PROGRAM, "one", '"third_time_lucky"')
    eventually(lambda: valkey.client().zcard(keys.scheduled("default")) == 1)
    os.killpg(first.pid, signal.SIGKILL)
    start_worker()
    assert told(script) == ["Completed", "3"]
    starts = ledger.lines("start")
    assert [line["attempt"] for line in starts] == [1, 2, 3]
    assert starts[0]["pid"] != starts[1]["pid"]
    assert 1.5 <= starts[1]["at"] - starts[0]["at"] < 6
    assert 0.2 <= starts[2]["at"] - starts[1]["at"] < 0.7


def test_a_crash_is_no_retry(running: Processes, ledger: Ledger, start_worker: Callable[[], Process]) -> None:
    """A run that failed once and whose process then dies is begun again, and has no more retries than before."""
    start_worker()
    assert told(running.python(PROGRAM, "one", '"fails_dies_fails"')) == ["Failed", "never"]
    assert [line["attempt"] for line in ledger.lines("start")] == [1, 2, 3]


def test_retries_begin_on_time(running: Processes, ledger: Ledger, start_worker: Callable[[], Process]) -> None:
    """Within 100 ms of their delay, on an idle worker."""
    start_worker()
    assert told(running.python(PROGRAM, "many", "20")) == [2] * 20
    late = lateness(ledger, 1.0)
    assert len(late) == 20
    assert min(late) >= 0
    assert statistics.median(late) < 0.1
    assert max(late) < 0.25


def test_a_run_that_waits_takes_no_thread(
    running: Processes, ledger: Ledger, start_worker: Callable[[], Process]
) -> None:
    """The only thread of the only worker does other work meanwhile."""
    start_worker()
    assert told(running.python(PROGRAM, "meanwhile")) == [50, "AwaitingRetry", 2]
    [again] = [line["at"] for line in ledger.lines("start") if line["attempt"] == 2]
    assert max(line["at"] for line in ledger.lines("quick")) < again


def rq_worker(running: Processes) -> Process:
    program = str(Path(sys.executable).with_name("rq"))
    url = running.environment["MILLSTREAM_REDIS_URL"]
    return running.start(program, "worker", "--url", url, "--with-scheduler", "default")


def test_a_stock_rq_worker_executes_a_retry(
    running: Processes, valkey: RealServer, ledger: Ledger, start_worker: Callable[[], Process]
) -> None:
    """`rq worker --with-scheduler` takes it up, a second late at most, when all workers of ours are gone."""
    ours = start_worker()
    script = running.python(PROGRAM, "many", "1")
    eventually(lambda: valkey.client().zcard(keys.scheduled("default")) == 1)
    os.killpg(ours.pid, signal.SIGKILL)
    rq_worker(running)
    assert told(script) == [2]
    # RQ counts whole seconds and looks once in each; its worker may need a while to start, and forks for each job.
    [late] = lateness(ledger, 1.0)
    assert -0.001 <= late < 5


def test_rqs_scheduler_beside_our_worker_repeats_nothing(
    running: Processes, valkey: RealServer, ledger: Ledger, start_worker: Callable[[], Process]
) -> None:
    """Whoever of the two finds a run that is due, it is begun once more and not twice."""
    rq_worker(running).says("Listening on default")
    start_worker()
    assert told(running.python(PROGRAM, "many", "20")) == [2] * 20
    assert sorted(line["attempt"] for line in ledger.lines("start")) == [1] * 20 + [2] * 20
    eventually(lambda: not list(valkey.client().scan_iter("rq:job:*")))


def test_a_run_that_is_queued_twice_is_executed_once(
    running: Processes, valkey: RealServer, ledger: Ledger, start_worker: Callable[[], Process]
) -> None:
    """RQ's scheduler may queue it again while a worker has it: a stock worker that takes it waits, and does nothing."""
    ours, client = start_worker(), valkey.client()
    script = running.python(PROGRAM, "one", '"slow_second_try"')
    second = eventually(lambda: ledger.lines("start")[1:])[0]
    # Ours would look at the queue, too.
    ours.send(signal.SIGSTOP)
    client.lpush(keys.queue("default"), second["run"])
    stock = rq_worker(running)
    stock.says("default: slow_second_try-")
    ours.send(signal.SIGCONT)
    assert told(script) == ["Completed", "2"]
    stock.says("Job OK")
    assert [line["attempt"] for line in ledger.lines("start")] == [1, 2]
    eventually(lambda: not list(client.scan_iter("rq:job:*")))
