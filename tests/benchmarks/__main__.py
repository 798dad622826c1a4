"""`python -m tests.benchmarks [--quick] [--json FILE]`: all measurements, as a table with ratios, and as JSON."""

import argparse
import json
import logging
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import harness, measures


@dataclass(frozen=True)
class Line:
    """One row of the table. `least` and `aim` are what DESIGN asks for; `lower` says that less is better."""

    name: str
    value: float
    unit: str = ""
    least: float | None = None
    aim: float | None = None
    lower: bool = False

    @property
    def verdict(self) -> str:
        if self.least is None:
            return ""
        reached = [
            (self.value <= bound if self.lower else self.value >= bound) if bound is not None else False
            for bound in (self.least, self.aim)
        ]
        return "aim" if reached[1] else "met" if reached[0] else "MISSED"


def main() -> None:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, for a first look")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    given = parser.parse_args()
    os.environ["MILLSTREAM_LOGGING_LEVEL"] = "INFO"
    # The flow's own two lines go nowhere; the worker writes all of its lines to a file.
    logging.getLogger("millstream").addHandler(logging.NullHandler())
    lines = table(10 if given.quick else 1)
    print(f"{'':58} {'measured':>12} {'at least':>10} {'aim':>10}")
    for line in lines:
        bounds = "".join(f" {'' if bound is None else f'{bound:,g}':>10}" for bound in (line.least, line.aim))
        print(f"{line.name:58} {_number(line.value):>12}{bounds}  {line.verdict:7} {line.unit}")
    if given.json:
        machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
        given.json.write_text(json.dumps({"on": machine, "lines": [vars(line) for line in lines]}, indent=2) + "\n")


def table(divisor: int) -> list[Line]:
    """All measurements, on one server, each after the other."""
    n, times = 10_000 // divisor, 5 if divisor == 1 else 1
    with harness.server() as server:

        def fresh(measure: Callable[..., Any], *arguments: Any) -> Any:
            server.client().flushall()
            return measure(server, *arguments)

        simple = fresh(measures.rq_throughput, "rq.SimpleWorker", 1, 1000 // divisor)
        simple_two = fresh(measures.rq_throughput, "rq.SimpleWorker", 2, 1000 // divisor)
        forking = fresh(measures.rq_throughput, "rq.Worker", 1, 200 // divisor)
        rq_latency = fresh(measures.rq_latency, "rq.SimpleWorker", 500 // divisor)
        rq_commands = fresh(measures.rq_commands_per_job, 500 // divisor)
        one = fresh(measures.throughput, 1, n, times)
        two = fresh(measures.throughput, 2, n, times)
        rates = fresh(measures.enqueue_rates, n)
        latency = fresh(measures.latency, 2000 // divisor)
        cost = fresh(measures.cost_by_size, (1000, 10_000, 100_000 // divisor))
        commands = fresh(measures.commands_per_task, n)
        memory = measures.bytes_per_run(n)
        worker = fresh(measures.worker_memory)
        limited = fresh(measures.limited, 1000 // divisor, times)
        triggered = fresh(measures.trigger_latency, 100 // divisor)
        burst = fresh(measures.triggered_at_once, 200 // divisor)
        listed = fresh(measures.listing, (100, 100_000 // divisor))
        measures.sessions.close_current()
    cold = measures.cold_start(times)
    largest = str(100_000 // divisor)
    return [
        Line("raw RQ, SimpleWorker, 1 process", simple["rate"], "jobs/s"),
        Line("raw RQ, SimpleWorker, 2 processes", simple_two["rate"], "jobs/s"),
        Line("raw RQ, Worker (forks), 1 process", forking["rate"], "jobs/s"),
        Line("millstream, 1 worker of 1 process", one, "tasks/s", 8000, 20_000),
        Line("millstream, 1 worker of 2 processes", two, "tasks/s"),
        Line("  1 process against raw RQ SimpleWorker", one / simple["rate"], "times", 20, 50),
        Line("  2 processes against 2 SimpleWorkers", two / simple_two["rate"], "times"),
        Line("raw RQ: enqueue", simple["enqueue"], "jobs/s"),
        Line("millstream: map", rates["map"], "tasks/s"),
        Line("millstream: submit, one by one", rates["submit"], "tasks/s"),
        Line("raw RQ: enqueue -> result, p50", rq_latency["p50"], "ms"),
        Line("raw RQ: enqueue -> result, p99", rq_latency["p99"], "ms"),
        Line("millstream: submit -> result, p50", latency["p50"], "ms", 1.5, 0.7, lower=True),
        Line("millstream: submit -> result, p95", latency["p95"], "ms"),
        Line("millstream: submit -> result, p99", latency["p99"], "ms"),
        *(Line(f"cost per task, map of {int(size):,}", value, "µs") for size, value in cost.items()),
        Line("  the largest against 1,000", cost[largest] / cost["1000"], "times", 1.2, 1.0, lower=True),
        Line("raw RQ: Redis commands per job", rq_commands),
        Line("millstream: Redis commands per mapped task", commands, "", 6, 1, lower=True),
        Line("Redis bytes per queued run", memory["queued"], "bytes", 1200, 600, lower=True),
        Line("Redis bytes per finished run", memory["finished"], "bytes", 400, 100, lower=True),
        Line("worker and one child process, idle", worker["idle"], "MB"),
        Line("the same after 20,000 tasks", worker["used"], "MB"),
        Line("1,000 tasks of 10 ms under a limit of 10", limited["sync"] * divisor, "s"),
        Line("  against a bare pool of 10 threads", limited["sync to bare"], "times", 1.5, 1.0, lower=True),
        Line("1,000 async tasks of 10 ms under a limit of 10", limited["async"] * divisor, "s"),
        Line("  against bare asyncio with a semaphore", limited["async to bare"], "times", 1.5, 1.0, lower=True),
        Line("deployment run: trigger -> ended, p50", triggered["p50"], "ms", 500, 100, lower=True),
        Line("deployment run: trigger -> ended, p95", triggered["p95"], "ms"),
        Line("200 flow runs queued at once: until all have ended", burst["seconds"], "s"),
        Line("  the most memory of worker and processes", burst["most"], "MB"),
        Line("  the same after it", burst["after"], "MB"),
        Line("the newest 50 failed runs of a flow, of 100 runs", listed["100"], "ms"),
        Line(f"  of {int(largest):,}", listed[largest], "ms"),
        Line("  against 100", listed[largest] / listed["100"], "times", 2.0, 1.0, lower=True),
        Line("python hello_flow.py, all from cold", cold, "s", 1.5, 0.5, lower=True),
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


if __name__ == "__main__":
    main()
