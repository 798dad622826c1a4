"""`python -m tests.benchmarks.soak [--minutes N]`: does anything grow on a worker and a server at steady load?

Records, lines and results are kept for a minute only, so that within the time that this takes all that comes also goes.
After a warm-up the memory of the server, of the worker and of its processes is noted every ten seconds; what counts is
how much more it is in the last third than in the first.
"""

import argparse
import logging
import os
import statistics
import sys
import time

from millstream import flow, get_run_logger, sessions, task
from millstream.deployments import run_deployment
from millstream_shared import settings
from tests.benchmarks import harness
from tests.harness.processes import executing, family
from tests.harness.servers import RealServer

KEPT = {"MILLSTREAM_RETENTION_SECONDS": "60", "MILLSTREAM_LOGGING_LEVEL": "INFO"}
_WARM_UP_SECONDS = 150.0
_SECONDS_BETWEEN_SAMPLES = 10.0
_MOST_GROWTH = 1.05


@task(retries=1, tags=["soak"], persist_result=True)
def work(number: int) -> str:
    """Logs, and fails now and then."""
    get_run_logger().info("number %d", number)
    if number % 50 == 0:
        raise ValueError(number)
    return "x" * 200


@flow
def round_of(number: int) -> int:
    """Some tasks, of which a few fail."""
    futures = work.map(range(number, number + 20))
    return sum(future.state.is_completed() for future in futures if not future.wait())


def main() -> None:
    """Run it, and print what was seen; exit code 1 if something grew by more than 5 %."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long, after a warm-up of 2.5 minutes (10)")
    given = parser.parse_args()
    os.environ |= KEPT
    logging.getLogger("millstream").addHandler(logging.NullHandler())
    with harness.server() as server:
        os.environ["MILLSTREAM_REDIS_URL"] = server.url
        settings.get_settings.cache_clear()
        try:
            sys.exit(0 if run(server, given.minutes * 60) else 1)
        finally:
            sessions.close_current()


def run(server: RealServer, seconds: float) -> bool:
    """Whether nothing grew."""
    samples: list[dict[str, float]] = []
    rounds = 0
    with harness.millstream_worker(server) as worker:
        round_of.deploy("soak")
        begin = time.monotonic() + _WARM_UP_SECONDS
        sample_at = begin
        while time.monotonic() < begin + seconds:
            rounds += 1
            if rounds % 5 == 0:
                assert run_deployment("round-of/soak", {"number": rounds * 20}, as_subflow=False).state.is_completed()
            round_of(rounds * 20)
            if time.monotonic() >= sample_at:
                sample_at += _SECONDS_BETWEEN_SAMPLES
                samples.append(_sample(server, worker.pid))
                print("  ".join(f"{name} {value:,.1f}" for name, value in samples[-1].items()), flush=True)
    print(f"{rounds} rounds of 20 tasks")
    flat = [_is_flat(name, [sample[name] for sample in samples]) for name in samples[0]]
    return all(flat)


def _sample(server: RealServer, pid: int) -> dict[str, float]:
    client = server.client()
    [child] = executing(pid)
    others = set(family(pid)) - {pid, child}
    return {
        "Redis MB": int(client.info("memory")["used_memory"]) / 1e6,
        "keys": client.dbsize(),
        "worker MB": harness.resident_megabytes(pid),
        "child MB": harness.resident_megabytes(child),
        "other processes MB": sum(map(harness.resident_megabytes, others)),
        "this process MB": harness.resident_megabytes(os.getpid()),
    }


def _is_flat(name: str, values: list[float]) -> bool:
    third = max(len(values) // 3, 1)
    first, last = statistics.median(values[:third]), statistics.median(values[-third:])
    grown = last / first if first else 1.0
    print(f"{name}: {first:,.1f} in the first third, {last:,.1f} in the last: {grown:.3f} times")
    return grown <= _MOST_GROWTH


if __name__ == "__main__":
    main()
