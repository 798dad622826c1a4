"""The commands that look after queues and workers, with real workers and real runs."""

import json
import re

import pytest

from tests.harness import eventually, ledgers
from tests.harness.commands import millstream, millstream_json
from tests.harness.ledgers import Ledger
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer

PROGRAM = (
    ledgers.PROGRAM
    + """
@task
def work(seconds):
    note("start")
    time.sleep(seconds)
    note("end")

@flow
def child():
    note("start")

@flow
def child_state():
    future = child.submit()
    future.wait()
    return [future.state.name]

@flow
def states(count, seconds):
    futures = work.map([seconds] * count)
    futures.wait()
    return sorted(future.state.name for future in futures)

if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        print(json.dumps(child_state()))
    else:
        print(json.dumps(states(int(sys.argv[1]), float(sys.argv[2]))))
"""
)


@pytest.fixture
def ledger(ledger: Ledger, running: Processes) -> Ledger:
    running.environment["MILLSTREAM_LOGGING_LEVEL"] = "WARNING"
    return ledger


def start_worker(running: Processes, *options: str) -> Process:
    worker = running.cli("worker", "start", "--processes", "1", *options, MILLSTREAM_LOGGING_LEVEL="INFO")
    worker.says("worker started")
    return worker


def states_in(script: Process) -> list[str]:
    """What it prints at its end; before that it may have warned that no worker is there."""
    return json.loads(script.succeed().splitlines()[-1])


def name_of(url: str) -> str:
    [worker] = millstream_json(url, "worker", "ls")
    return worker["name"]


def test_a_paused_queue_keeps_its_runs_until_it_is_resumed(
    running: Processes, ledger: Ledger, valkey: RealServer
) -> None:
    """An idle worker of it begins at once when it is resumed."""
    start_worker(running)
    assert "claim nothing" in millstream(valkey.url, "queue", "pause", "default")
    script = running.python(PROGRAM, "3", "0")
    eventually(lambda: millstream_json(valkey.url, "queue", "ls")[0]["queued"] == 3)
    listed = millstream(valkey.url, "queue", "ls")
    assert re.search(r"default +3 +0 +0 +0 +1 .*paused", listed), listed
    seen = millstream_json(valkey.url, "queue", "inspect", "default")
    assert [run["function"] for run in seen["next"]] == ["work"] * 3
    assert seen["next"][0]["run_id"] in millstream(valkey.url, "queue", "inspect", "default", "--limit", "1")
    assert ledger.lines() == []
    assert "again" in millstream(valkey.url, "queue", "resume", "default")
    assert states_in(script) == ["Completed"] * 3
    assert "is not paused" in millstream(valkey.url, "queue", "resume", "default")


def test_what_is_purged_ends_as_cancelled_and_its_flow_hears_of_it(
    running: Processes, ledger: Ledger, valkey: RealServer
) -> None:
    """Runs that a worker executes go on; without --yes nothing happens unless somebody agrees."""
    start_worker(running, "--threads", "1")
    script = running.python(PROGRAM, "600", "0.4")
    eventually(lambda: ledger.lines("start"))
    eventually(lambda: millstream_json(valkey.url, "queue", "ls")[0]["queued"] > 400)
    millstream(valkey.url, "queue", "purge", "default", code=1)
    assert "ended as Cancelled" in millstream(valkey.url, "queue", "purge", "default", "--yes")
    states = states_in(script)
    assert states.count("Cancelled") > 400
    assert states.count("Cancelled") + states.count("Completed") == 600
    assert states.count("Completed") == len(ledger.lines("end"))


def test_flow_runs_are_paused_and_purged_with_their_queue(
    running: Processes, ledger: Ledger, valkey: RealServer
) -> None:
    """They count among what is queued, and end as Cancelled; whoever submitted one hears of it."""
    start_worker(running)
    millstream(valkey.url, "queue", "pause", "default")
    script = running.python(PROGRAM, "child")
    eventually(lambda: millstream_json(valkey.url, "queue", "ls")[0]["flow_runs"] == 1)
    seen = millstream_json(valkey.url, "queue", "inspect", "default")
    assert [(run["kind"], run["function"]) for run in seen["next"]] == [("flow", "child")]
    assert ledger.lines() == []
    assert "1 run ended" in millstream(valkey.url, "queue", "purge", "default", "--yes")
    assert states_in(script) == ["Cancelled"]
    millstream(valkey.url, "queue", "resume", "default")
    assert states_in(running.python(PROGRAM, "child")) == ["Completed"]


def test_who_asks_for_a_queue_that_is_not_there_is_told_which_are(
    running: Processes, ledger: Ledger, valkey: RealServer
) -> None:
    """In one line, with exit code 1."""
    assert ledger.lines() == []
    start_worker(running, "-q", "gpu")
    for command in ("inspect", "pause", "resume", "purge"):
        said = millstream(valkey.url, "queue", command, "gpo", code=1)
        assert "'gpo'" in said
        assert "'gpu'" in said
        assert len(said.splitlines()) == 1


@pytest.mark.leaves_work("the runs that were looked at go on")
def test_workers_are_listed_with_what_they_are_and_do(running: Processes, ledger: Ledger, valkey: RealServer) -> None:
    """A table for people, JSON for programs; `inspect` names the runs that are executed."""
    worker = start_worker(running, "--threads", "2", "-q", "default", "-q", "other")
    running.python(PROGRAM, "2", "20")
    eventually(lambda: len(ledger.lines("start")) == 2)
    name = name_of(valkey.url)
    seen = millstream_json(valkey.url, "worker", "inspect", name)
    described = seen["worker"]
    assert (described["pid"], described["processes"], described["threads"]) == (worker.pid, 1, 2)
    assert described["queues"] == ["default", "other"]
    assert described["version"].startswith("millstream ")
    assert {run["run_id"] for run in seen["executing"]} == {line["run"] for line in ledger.lines("start")}
    text = millstream(valkey.url, "worker", "inspect", name)
    assert text.count("work-") == 2
    assert re.search(rf"{name}.*default,other.* 2 ", millstream(valkey.url, "worker", "ls"))
    assert name in millstream(valkey.url, "worker", "inspect", "nobody", code=1)


def test_a_worker_that_is_told_to_stop_ends_with_what_it_executes(
    running: Processes, ledger: Ledger, valkey: RealServer
) -> None:
    """With --wait the command returns when it has; what it had not begun is left for others."""
    worker = start_worker(running, "--threads", "1")
    script = running.python(PROGRAM, "3", "1")
    eventually(lambda: ledger.lines("start"))
    said = millstream(valkey.url, "worker", "stop", name_of(valkey.url), "--wait")
    assert "has ended" in said
    assert worker.wait() == 0
    assert len(ledger.lines("end")) == len(ledger.lines("start")) == 1
    start_worker(running)
    assert states_in(script) == ["Completed"] * 3


@pytest.mark.leaves_work("the run that is handed back is not executed again")
def test_a_worker_that_is_told_to_stop_now_hands_back_what_it_executes(
    running: Processes, ledger: Ledger, valkey: RealServer
) -> None:
    """As a second signal would have it."""
    worker = start_worker(running, "--threads", "1")
    running.python(PROGRAM, "1", "60")
    eventually(lambda: ledger.lines("start"))
    name = name_of(valkey.url)
    millstream(valkey.url, "worker", "stop", name, "--now", "--timeout", "20")
    assert worker.wait(5) == 1
    assert valkey.client().llen("rq:queue:default") == 1


@pytest.mark.leaves_work("the run that is executed goes on when the command has given up")
def test_who_waits_too_long_for_a_worker_is_told(running: Processes, ledger: Ledger, valkey: RealServer) -> None:
    """Exit code 1, and the worker goes on with its run."""
    worker = start_worker(running, "--threads", "1")
    running.python(PROGRAM, "1", "60")
    eventually(lambda: ledger.lines("start"))
    said = millstream(valkey.url, "worker", "stop", name_of(valkey.url), "--timeout", "0.2", code=1)
    assert "has not ended" in said
    assert worker.runs
