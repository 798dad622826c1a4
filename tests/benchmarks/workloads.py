"""What is executed while it is measured: functions that do nothing, as tasks and as plain RQ jobs."""

import time
from typing import Any

from millstream import flow, task


def nothing(x: int) -> int:
    return x


@task
def noop(x: int) -> int:
    return x


@flow
def mapped(n: int) -> dict[str, float]:
    """Map over n numbers and read all results: seconds for submitting, and in all."""
    began = time.perf_counter()
    futures = noop.map(range(n))
    submitted = time.perf_counter()
    results = futures.result()
    ended = time.perf_counter()
    assert results == list(range(n))
    return {"submit": submitted - began, "total": ended - began}


@flow
def one_by_one(n: int) -> list[float]:
    """Submit and read n times: the seconds that each took."""
    took: list[float] = []
    for number in range(n):
        began = time.perf_counter()
        assert noop.submit(number).result() == number
        took.append(time.perf_counter() - began)
    return took


@flow
def only_submitted(n: int) -> dict[str, float]:
    """Submit n times, one call each, and drop the futures' results: submissions take this many seconds."""
    began = time.perf_counter()
    futures: list[Any] = [noop.submit(number) for number in range(n)]
    took = time.perf_counter() - began
    for future in futures:
        future.wait()
    return {"submit": took}
