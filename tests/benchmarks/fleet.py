"""`python -m tests.benchmarks.fleet [--tasks N] [--seconds S]`: tasks that trigger flow runs; workers come and go.

Tasks trigger flow runs on two queues. Up to ten workers serve them: more and more are started while that goes on, then
some are told to stop and one is killed. Nothing may be lost; the rate is shown for each number of workers, and what it
could be at most: each flow run waits for a while, as for a service, and a worker executes two of them at a time. So it
is the workers that limit the rate, as on machines of their own, and not the processors of this one.
"""

import argparse
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from millstream import sessions
from millstream_shared import settings
from millstream_shared.states import StateType
from tests.benchmarks import harness, workloads
from tests.harness import eventually
from tests.harness.servers import RealServer

QUEUES = ["north", "south"]
_SECONDS_A_STEP = 12.0
_FLOWS = 2
"""How many flow runs a worker executes at a time."""


def main() -> None:
    """Run it, and print what was seen; exit code 1 if a run was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fleet", description=__doc__)
    parser.add_argument("--tasks", type=int, default=5000, help="how many flow runs are triggered (5,000)")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long each flow run waits (0.5)")
    given = parser.parse_args()
    with harness.server() as server:
        os.environ["MILLSTREAM_REDIS_URL"] = server.url
        settings.get_settings.cache_clear()
        try:
            sys.exit(0 if run(server, given.tasks, given.seconds) else 1)
        finally:
            sessions.close_current()


def run(server: RealServer, tasks: int, seconds: float) -> bool:
    """Whether all flow runs ended well, each once."""
    for queue in QUEUES:
        workloads.waiting_flow.deploy(queue, queue=queue, parameters={"seconds": seconds}, on_crash="resume")
    ids: list[str] = []
    began = time.monotonic()
    with ExitStack() as stack:
        fleet = [stack.enter_context(_worker(server, 0))]
        asking = threading.Thread(target=lambda: ids.extend(workloads.triggered(tasks, QUEUES)))
        asking.start()
        for size in (1, 2, 4, 10):
            while len(fleet) < size:
                fleet.append(stack.enter_context(_worker(server, len(fleet))))
            if not _observe(server, size, tasks, seconds):
                break
        stopped = random.sample(fleet, 4)
        for worker in stopped[:3]:
            worker.terminate()
        stopped[3].kill()
        print("3 workers are told to stop, 1 is killed")
        _observe(server, 6, tasks, seconds)
        asking.join()
        eventually(lambda: _ended(server) >= tasks, 600)
    states = {state: _count(server, state) for state in StateType}
    completed = states[StateType.COMPLETED]
    took = time.monotonic() - began
    print(f"{len(ids)} tasks triggered {len(set(ids))} flow runs; completed {completed}, in {took:.0f} s")
    others = {state.value: count for state, count in states.items() if count and state is not StateType.COMPLETED}
    if others:
        print(f"others: {others}")
    return len(set(ids)) == tasks and completed >= tasks


@contextmanager
def _worker(server: RealServer, number: int) -> Iterator["subprocess.Popen[bytes]"]:
    queues = [word for queue in [*QUEUES, "default"] for word in ("-q", queue)]
    size = ["--processes", "1", "--threads", "4", "--flows", str(_FLOWS), "--grace", "5"]
    command = [sys.executable, "-m", "millstream_worker", *queues, *size]
    with harness.process(command, server.url, server.folder) as process:
        eventually(lambda: server.client().scard("rq:workers:north") > number, 60)
        yield process


def _observe(server: RealServer, workers: int, tasks: int, seconds: float) -> bool:
    """Print the rate of some seconds, and the most that so many workers can do; False once all have ended."""
    before, began = _ended(server), time.monotonic()
    while time.monotonic() - began < _SECONDS_A_STEP and _ended(server) < tasks:
        time.sleep(0.25)
    ended, took = _ended(server) - before, time.monotonic() - began
    most = f" of {workers * _FLOWS / seconds:.0f}" if seconds else ""
    print(f"{workers:>3} workers: {ended / took:7.1f}{most} flow runs/s  ({_ended(server)} of {tasks})", flush=True)
    return _ended(server) < tasks


def _ended(server: RealServer) -> int:
    return sum(_count(server, state) for state in (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED))


def _count(server: RealServer, state: StateType) -> int:
    from millstream_shared import keys, records

    return server.client().zcard(keys.flow_runs_of("state", records.letter_of(state)))


if __name__ == "__main__":
    main()
