"""Logs of runs on real workers: what a chatty task costs others, what is left when something dies, how to read them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from millstream import sessions
from millstream.logging import read_logs
from millstream_shared import settings
from tests.acceptance.test_rq_tools import rq
from tests.acceptance.test_worker_faults import start_worker
from tests.harness import eventually
from tests.harness.processes import Process, Processes
from tests.harness.servers import RealServer


@pytest.fixture
def remote(running: Processes, valkey: RealServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    """Programs that use a server as a team's Redis, and so does this process when it reads logs."""
    running.environment |= {"MILLSTREAM_REDIS_URL": valkey.url}
    monkeypatch.setenv("MILLSTREAM_REDIS_URL", valkey.url)
    settings.get_settings.cache_clear()
    end_session()  # Other tests in this process may have left one, with another server.
    yield running
    end_session()


def end_session() -> None:
    """Close the session of this process, and its connections."""
    session = sessions.current()
    sessions.close_current()
    session.store.close()


END = "Finished in state Completed()"


def id_of(script: Process) -> str:
    """The digits in the line with which the script's first flow run begins."""
    script.says("Beginning flow run")
    found = re.search(r"Beginning flow run .* \(([0-9a-f]{12})\)", script.output)
    assert found is not None
    return found[1]


def messages(flow_run_id: str, task: str | None = None) -> list[str]:
    """What runs have said, those of one task or all."""
    return [line.message for line in read_logs(flow_run_id, task=task)]


def log_of(running: Processes, flow_run_id: str, *options: str) -> list[str]:
    """The lines that the command prints, without their clock."""
    output = running.cli("flow-run", "logs", flow_run_id, *options).succeed()
    return [line.partition(" | ")[2] for line in output.splitlines()]


CHATTY = """
import json, resource, threading, time
from millstream import flow, get_run_logger, task

@task
def chat(lines):
    logger = get_run_logger()
    began, before = time.thread_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(lines):
        logger.info("This is line %06d of what a chatty task has to say", number)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return time.thread_time() - began, grown / 1024

@task
def small(number):
    return number

@flow
def beside():
    small.submit(0).wait()
    chatting = chat.submit(100_000)
    began = time.monotonic()
    assert sum(future.result() for future in small.map(range(200))) == 19900
    took = time.monotonic() - began
    seconds, megabytes = chatting.result()
    return dict(took=took, seconds=seconds, megabytes=megabytes)

if __name__ == "__main__":
    print("found", json.dumps(beside()))
"""


@pytest.mark.timeout(120)
def test_a_chatty_task_is_in_nobodys_way(remote: Processes, valkey: RealServer) -> None:
    """Of its 100,000 lines a thousand are kept; neither it nor 200 others take longer for it, nor more memory."""

    def measured(**environment: str) -> tuple[dict[str, float], str]:
        worker = start_worker(remote, "--processes", "1", **environment)
        script = remote.python(CHATTY, **environment)
        (found,) = re.findall(r"found (.*)", script.succeed(60))
        worker.send(15)
        assert worker.wait() == 0
        return json.loads(found), id_of(script)

    without, silent_id = measured(MILLSTREAM_LOGS_TO_REDIS="false")
    shipped, flow_run_id = measured()
    assert shipped["took"] < 3 * without["took"] + 1
    assert shipped["seconds"] < 2 * without["seconds"] + 0.5
    assert shipped["megabytes"] < without["megabytes"] + 30
    client = valkey.client()
    (key,) = client.scan_iter(f"ms:logs:{flow_run_id}*")
    assert client.memory_usage(key, samples=0) < 150_000
    client.close()
    dropped, *lines, last = messages(flow_run_id, "chat")
    assert dropped == "... 99,000 earlier lines dropped"
    assert lines == [f"This is line {number:06} of what a chatty task has to say" for number in range(99_000, 100_000)]
    assert messages(silent_id, "chat") == [last] == [END]


BLOCKED = """
import os, time
from millstream import flow, get_run_logger, task

@task
def wait_for_file():
    print("attempt", flush=True)
    for number in range(20):
        get_run_logger().info("line %d", number)
    while not os.path.exists("go-on"):
        time.sleep(0.01)
    get_run_logger().info("went on")

@flow
def main():
    wait_for_file.submit().result()

main()
"""


@pytest.mark.timeout(120)
def test_what_was_logged_before_a_kill_is_there(remote: Processes, folder: Path) -> None:
    """kill -9 of a worker and of its children; the next attempt's lines follow those of the first."""
    quick = {"MILLSTREAM_LEASE_SECONDS": "2", "MILLSTREAM_HEARTBEAT_SECONDS": "0.5"}
    worker = start_worker(remote, **quick)
    script = remote.python(BLOCKED, **quick)
    flow_run_id = id_of(script)
    worker.says("line 19")
    numbers = [f"line {number}" for number in range(20)]
    eventually(lambda: messages(flow_run_id, "wait_for_file") == numbers, 20)
    worker.kill()
    (folder / "go-on").touch()
    start_worker(remote, **quick)
    script.succeed(30)
    assert messages(flow_run_id, "wait_for_file") == [*numbers, *numbers, "went on", END]


STEADY = """
import time
from millstream import flow, get_run_logger, task

@task
def steady():
    logger, longest = get_run_logger(), 0.0
    for number in range(200):
        began = time.monotonic()
        logger.info("line %d", number)
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    return longest

@flow
def main():
    steadily = steady.submit()
    here = steady()
    return max(here, steadily.result())

print("longest", main())
"""


@pytest.mark.timeout(120)
def test_an_outage_costs_no_line_and_no_time(remote: Processes, valkey: RealServer) -> None:
    """What is logged while Redis is away waits for it; whoever logs does not."""
    worker = start_worker(remote)
    script = remote.python(STEADY)
    flow_run_id = id_of(script)
    for process in (script, worker):
        process.says("line 5")
    valkey.kill()
    for process in (script, worker):
        process.says("line 120")
    valkey.start()
    (longest,) = re.findall(r"longest (.*)", script.succeed(60))
    assert float(longest) < 0.9
    assert sorted(messages(flow_run_id, "steady")) == sorted([*(f"line {number}" for number in range(200)), END] * 2)


PRIVATE = """
from millstream import flow, get_run_logger, task

@task(log_prints=True)
def work(number):
    print("at work on", number)

@flow(flow_run_name="mine")
def main():
    get_run_logger().warning("careful")
    work.map([1, 2]).wait()

main()
"""


def test_the_log_of_a_script_on_a_private_server_can_be_read_after_it(running: Processes) -> None:
    """The server comes back for the command. What it does not know, it says where it looked for."""
    script = running.python(PRIVATE)
    script.succeed()
    flow_run_id = id_of(script)
    lines = log_of(running, flow_run_id)
    assert lines[1] == "WARNING | Flow run 'mine' - careful"
    assert sum("at work on" in line for line in lines) == 2
    assert log_of(running, flow_run_id, "--head", "2") == lines[:2]
    assert log_of(running, flow_run_id, "--tail", "1") == lines[-1:] == ["INFO    | Flow run 'mine' - " + END]
    (only,) = running.cli("flow-run", "logs", flow_run_id, "--level", "warning", "--json").succeed().splitlines()
    found = json.loads(only)
    assert (found["message"], found["level"], found["kind"], found["run_name"]) == (
        "careful",
        "WARNING",
        "flow",
        "mine",
    )
    unknown = running.cli("flow-run", "logs", "abcdefabcdef")
    assert unknown.wait() == 1
    assert "There is no flow run 'abcdefabcdef' in the private server in" in unknown.output
    for wrong in (("abc",), (flow_run_id, "--head", "1", "--tail", "1"), (flow_run_id, "--level", "loud")):
        refused = running.cli("flow-run", "logs", *wrong)
        assert refused.wait() == 2, refused.output


def test_a_log_is_followed_to_its_end(remote: Processes, folder: Path) -> None:
    """The command prints what comes, and ends with the flow run."""
    start_worker(remote)
    script = remote.python(BLOCKED)
    following = remote.cli("flow-run", "logs", id_of(script), "--follow")
    following.says("line 19")
    assert "went on" not in following.output
    (folder / "go-on").touch()
    output = following.succeed()
    assert output.count("went on") == output.count("line 7") == 1
    assert output.count("Finished in state Completed()") == 2
    script.succeed()


def test_a_stock_rq_worker_keeps_what_its_runs_log(remote: Processes, valkey: RealServer, folder: Path) -> None:
    """Before the outcome, as ours do."""
    (folder / "chores.py").write_text(PRIVATE.removesuffix("main()\n"))
    script = remote.python("import chores; chores.main()")
    flow_run_id = id_of(script)
    rq(remote, "worker", valkey.url, "--burst", "default").succeed(60)
    script.succeed()
    assert sum("at work on" in line for line in messages(flow_run_id)) == 2


def test_a_run_that_is_killed_for_its_time_limit_has_a_log(remote: Processes) -> None:
    """What it logged before, and why it ended."""
    start_worker(remote, MILLSTREAM_TIMEOUT_GRACE_SECONDS="0.5")
    script = remote.python(
        """
import time
from millstream import flow, get_run_logger, task

@task(timeout_seconds=0.2)
def stubborn():
    get_run_logger().info("busy")
    while True:
        try:
            time.sleep(0.05)
        except BaseException:
            pass

@flow
def main():
    stubborn.submit().wait()

main()
"""
    )
    flow_run_id = id_of(script)
    script.succeed()
    lines = messages(flow_run_id, "stubborn")
    assert lines[0] == "busy"
    assert lines[-1].startswith("Finished in state TimedOut")


AT_ONCE = """
import sys, threading
from millstream import task

sys.setswitchinterval(1e-6)
barrier = threading.Barrier(16)

@task
def step(i):
    return i

def call(i):
    barrier.wait()
    step(i)

for thread in [threading.Thread(target=call, args=(i,)) for i in range(16)]:
    thread.start()
"""


def test_threads_that_begin_to_log_at_once_lose_no_line(running: Processes) -> None:
    """The first lines of a process are written too, whichever thread has them."""
    for script in [running.python(AT_ONCE) for _ in range(6)]:
        assert script.succeed().count("Finished in state Completed()") == 16
