"""The measurements, each a function that gives a number or a few."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rq import Queue

from millstream import limits, sessions, waiting
from millstream.client.orchestration import get_client
from millstream.deployments import run_deployment
from millstream_shared import ids, settings
from millstream_shared.claims import RecordedRun, flow_facets
from millstream_shared.records import Record
from millstream_shared.states import StateType
from tests.benchmarks import harness, workloads
from tests.harness import eventually
from tests.harness.servers import RealServer


def use(over: RealServer) -> None:
    """Have this process submit to `over`."""
    sessions.close_current()
    os.environ["MILLSTREAM_REDIS_URL"] = over.url
    settings.get_settings.cache_clear()


def median(measure: Callable[[], float], times: int) -> float:
    return statistics.median(measure() for _ in range(times))


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds."""
    ordered = sorted(seconds)
    return {f"p{p}": round(ordered[int(len(ordered) * p / 100)] * 1000, 3) for p in (50, 95, 99)}


# -- millstream


def throughput(over: RealServer, processes: int, n: int, times: int) -> float:
    """No-op tasks per second, from the map to the last result read."""
    use(over)
    with harness.millstream_worker(over, processes):
        workloads.mapped(1000)
        return median(lambda: n / workloads.mapped(n)["total"], times)


def cost_by_size(over: RealServer, sizes: tuple[int, ...]) -> dict[str, float]:
    """Microseconds per task for maps of different size: medians, the sizes taking turns.

    A shared machine is faster in one minute than in the next: sizes that are compared have to be measured together.
    """
    use(over)
    took: dict[int, list[float]] = {n: [] for n in sizes}
    with harness.millstream_worker(over):
        workloads.mapped(1000)
        for _ in range(3):
            for n in sizes:
                took[n] += [workloads.mapped(n)["total"] / n * 1e6 for _ in range(max(1, min(9, 20_000 // n)))]
    return {str(n): round(statistics.median(each), 1) for n, each in took.items()}


def latency(over: RealServer, n: int) -> dict[str, float]:
    """Milliseconds from submit to result on an idle system."""
    use(over)
    with harness.millstream_worker(over):
        workloads.one_by_one(100)
        return percentiles(workloads.one_by_one(n))


def enqueue_rates(over: RealServer, n: int) -> dict[str, float]:
    """Runs queued per second, by one map and by single submits."""
    use(over)
    with harness.millstream_worker(over):
        workloads.mapped(1000)
        by_map = median(lambda: n / workloads.mapped(n)["submit"], 3)
        by_submit = n / 5 / workloads.only_submitted(n // 5)["submit"]
    return {"map": by_map, "submit": by_submit}


def commands_per_task(over: RealServer, n: int) -> float:
    """Commands that all clients send for one mapped task, over its whole life."""
    use(over)
    with harness.millstream_worker(over):
        workloads.mapped(1000)
        with harness.Commands(over) as commands:
            workloads.mapped(n)
        return commands.count / n


def bytes_per_run(n: int) -> dict[str, float]:
    """Server memory for a queued and for a finished no-op run, beside what a server keeps that did this before."""
    with harness.server() as over:
        use(over)
        client = over.client()
        # Slow calls would be kept with their arguments.
        client.config_set("slowlog-log-slower-than", -1)

        def used(count: int) -> tuple[int, int]:
            script = [sys.executable, "-c", f"from tests.benchmarks.workloads import mapped; mapped({count})"]
            with harness.process(script, over.url, over.folder) as submitter:
                eventually(lambda: client.llen("rq:queue:default") == count, 30)
                queued = harness.used_memory(client)
                with harness.millstream_worker(over):
                    submitter.wait(60)
            return queued, harness.used_memory(client)

        _, before = used(100)
        queued, finished = used(n)
        assert sum(client.hlen(key) for key in client.scan_iter("ms:runs:*")) >= n
        sessions.close_current()
    return {"queued": (queued - before) / n, "finished": (finished - before) / n}


def worker_memory(over: RealServer) -> dict[str, float]:
    """Megabytes of a worker with one child process and all that it needs, idle and after 20,000 tasks."""
    use(over)
    with harness.millstream_worker(over) as worker:
        workloads.mapped(10)
        idle = harness.family_megabytes(worker.pid)
        for _ in range(2):
            workloads.mapped(10_000)
        return {"idle": idle, "used": harness.family_megabytes(worker.pid)}


def limited(over: RealServer, n: int, times: int) -> dict[str, float]:
    """Seconds that n tasks of 10 ms take under a limit of 10; that by what they take in Python without millstream."""
    use(over)
    limits.create(limits.of_tag("limited"), 10)
    with harness.millstream_worker(over):
        found: dict[str, float] = {}
        for kind, is_async in (("sync", False), ("async", True)):
            workloads.naps(50, 0.01, is_async=is_async)
            took, bare = [], []
            for _ in range(times):
                took.append(workloads.naps(n, 0.01, is_async=is_async))
                bare.append(
                    asyncio.run(workloads.bare_naps_async(n, 0.01, 10))
                    if is_async
                    else workloads.bare_naps(n, 0.01, 10)
                )
            found[kind] = statistics.median(took)
            found[f"{kind} to bare"] = statistics.median(took) / statistics.median(bare)
        return found


def trigger_latency(over: RealServer, times: int) -> dict[str, float]:
    """Milliseconds from the trigger of a no-op deployment to its end, on a worker that has executed flows before."""
    use(over)
    workloads.noop_flow.deploy("default")
    with harness.millstream_worker(over):
        took: list[float] = []
        for _ in range(times + 3):
            began = time.perf_counter()
            run = run_deployment("noop-flow/default", as_subflow=False)
            took.append(time.perf_counter() - began)
            assert run.state.is_completed()
        return percentiles(took[3:])


def triggered_at_once(over: RealServer, count: int) -> dict[str, float]:
    """Seconds until `count` runs have ended that were triggered at once, and the most MB that the worker took."""
    use(over)
    with harness.millstream_worker(over) as worker:
        workloads.noop_flow.submit().result()
        began = time.perf_counter()
        futures = workloads.noop_flow.map(range(count))
        most = 0.0
        while waiting.wait(futures, timeout=0.2).not_done:
            most = max(most, harness.family_megabytes(worker.pid))
        seconds = time.perf_counter() - began
        assert futures.result() == list(range(count))
        after = harness.family_megabytes(worker.pid)
        return {"seconds": seconds, "most": most, "after": after}


def listing(over: RealServer, sizes: tuple[int, ...]) -> dict[str, float]:
    """Milliseconds to read the newest 50 Failed flow runs of one flow, where there are so many runs in the store."""
    use(over)
    store, client = sessions.current().store, get_client(sync_client=True)
    took: dict[str, float] = {}
    made = 0
    for size in sizes:
        owner = ids.new_owner_id("client")
        store.record(owner, [_ended_flow_run(number) for number in range(made, size)])
        made = size
        seconds: list[float] = []
        for _ in range(200):
            began = time.perf_counter()
            assert len(client.read_flow_runs(state="Failed", flow_name="etl", limit=50)) == 50
            seconds.append(time.perf_counter() - began)
        took[str(size)] = statistics.median(seconds) * 1000
    return took


def _ended_flow_run(number: int) -> RecordedRun:
    """One that ended a millisecond after the one before; every second one failed."""
    at = time.time() - 3600 + number / 1000
    failed = number % 2 == 1
    record = Record(
        run_id=ids.new_flow_run_id(),
        kind="flow",
        state_type=StateType.FAILED if failed else StateType.COMPLETED,
        state_name="Failed" if failed else "Completed",
        name=f"run-{number}",
        function_name="etl",
        created=at,
        started=at,
        ended=at,
    )
    return RecordedRun(record.run_id, record.encode(), flow_facets(at, "etl"))


HELLO = """
from millstream import flow, task

@task
def hello(name):
    return f"hello {name}"

@flow
def hello_flow():
    return hello.submit("world").result()

if __name__ == "__main__":
    print(hello_flow())
"""


def cold_start(times: int) -> float:
    """Seconds for `python hello_flow.py`, embedded server and worker included, process start to process end."""
    with tempfile.TemporaryDirectory(prefix="ms-") as folder:
        script = Path(folder) / "hello_flow.py"
        script.write_text(HELLO)
        environment = os.environ | {"MILLSTREAM_HOME": f"{folder}/home", "MILLSTREAM_LOGGING_LEVEL": "INFO"}
        environment.pop("MILLSTREAM_REDIS_URL", None)

        def start() -> float:
            began = time.perf_counter()
            output = subprocess.run(
                [sys.executable, str(script)], env=environment, capture_output=True, check=True, text=True
            )
            took = time.perf_counter() - began
            assert output.stdout == "hello world\n"
            # The server ends a moment after its last user: each start is to be a cold one.
            eventually(lambda: not (Path(folder) / "home" / "server.sock").exists())
            return took

        return median(start, times)


# -- raw RQ


def rq_throughput(over: RealServer, kind: str, workers: int, n: int) -> dict[str, float]:
    """Jobs per second from the first enqueue to the last result read, and enqueued per second."""
    queue = Queue("default", connection=over.client())
    with harness.rq_workers(over, kind, workers):
        for _ in range(10):
            queue.enqueue(workloads.nothing, 0).latest_result(timeout=10)
        began = time.perf_counter()
        jobs = [queue.enqueue(workloads.nothing, number) for number in range(n)]
        enqueued = time.perf_counter()
        results = [_result_of(job) for job in jobs]
        ended = time.perf_counter()
        assert results == list(range(n))
    return {"rate": n / (ended - began), "enqueue": n / (enqueued - began)}


def rq_latency(over: RealServer, kind: str, n: int) -> dict[str, float]:
    """Milliseconds from enqueue to result, waiting with RQ's own blocking read."""
    queue = Queue("default", connection=over.client())
    took: list[float] = []
    with harness.rq_workers(over, kind):
        for number in range(n + 10):
            began = time.perf_counter()
            assert _result_of(queue.enqueue(workloads.nothing, number)) == number
            took.append(time.perf_counter() - began)
    return percentiles(took[10:])


def rq_commands_per_job(over: RealServer, n: int) -> float:
    """Commands that all clients send for one job."""
    with harness.Commands(over) as commands:
        rq_throughput(over, "rq.SimpleWorker", 1, n)
    return commands.count / n


def _result_of(job: Any) -> Any:
    result = job.latest_result(timeout=60)
    assert result is not None
    return result.return_value
