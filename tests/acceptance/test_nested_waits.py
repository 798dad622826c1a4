"""Runs that wait for the runs they submitted: a tree of any shape completes on one worker with one slot."""

import re
from pathlib import Path

import pytest

from tests.acceptance.test_worker_faults import start_worker
from tests.harness.processes import Processes, executing
from tests.harness.servers import RealServer

TREES = """
import asyncio, sys, time
from millstream import flow, task

@task
def node(depth):
    if depth == 0:
        return 1
    return 1 + sum(node.map([depth - 1] * 4).result())

@task
async def blocking_node(depth):
    if depth == 0:
        return 1
    # Blocks the event loop that it runs on.
    return 1 + sum(future.result() for future in blocking_node.map([depth - 1] * 3))

@task
async def awaiting_node(depth):
    if depth == 0:
        return 1
    return 1 + sum(await asyncio.gather(*awaiting_node.map([depth - 1] * 3)))

@flow
def tree(kind, depth):
    return kind.submit(depth).result()

if __name__ == "__main__":
    print("nodes:", tree(globals()[sys.argv[1]], int(sys.argv[2])))
"""

NAPS = """
import asyncio, time
from millstream import flow, task

@task
async def nap(i):
    await asyncio.sleep(1)
    return i

@flow
def naps(n):
    return nap.map(range(n)).result()

if __name__ == "__main__":
    naps(1)
    began = time.perf_counter()
    assert naps(500) == list(range(500))
    print(f"seconds: {time.perf_counter() - began:.2f}")
"""


@pytest.fixture
def quiet(running: Processes, valkey: RealServer) -> Processes:
    running.environment |= {"MILLSTREAM_REDIS_URL": valkey.url, "MILLSTREAM_LOGGING_LEVEL": "WARNING"}
    return running


def start_one_slot(running: Processes) -> int:
    worker = start_worker(running, "--processes", "1", "--threads", "1", MILLSTREAM_LOGGING_LEVEL="INFO")
    return worker.pid


def threads_in(pid: int) -> int:
    """How many threads a process has."""
    return int(re.search(r"Threads:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


@pytest.mark.timeout(90)
def test_a_deep_tree_of_waiting_tasks_completes_on_one_slot(quiet: Processes) -> None:
    """Depth 6 and fan-out 4: 5,461 tasks that block on their children, one process, one thread, no thread explosion."""
    pid = start_one_slot(quiet)
    assert "nodes: 5461" in quiet.python(TREES, "node", "6").succeed(60)
    # A few threads for the depth of the tree, not one for each of its 1,365 inner nodes.
    [child] = executing(pid)
    assert threads_in(child) < 60


@pytest.mark.parametrize("kind", ["blocking_node", "awaiting_node"])
def test_a_tree_of_async_tasks_completes_on_one_slot(quiet: Processes, kind: str) -> None:
    """Async tasks may await their children, or even block the loop for them: neither is a deadlock."""
    start_one_slot(quiet)
    assert "nodes: 121" in quiet.python(TREES, kind, "4").succeed(60)


def test_five_hundred_async_tasks_sleep_at_the_same_time(quiet: Processes) -> None:
    """Async tasks take no thread: 500 that sleep for a second end on one worker in under four."""
    start_one_slot(quiet)
    output = quiet.python(NAPS).succeed(30)
    assert float(output.partition("seconds: ")[2]) < 4
