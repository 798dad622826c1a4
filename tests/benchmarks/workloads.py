"""What is executed while it is measured: functions that do nothing, as tasks and as plain RQ jobs."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from millstream import flow, task
from millstream.deployments import run_deployment


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


@task(tags=["limited"])
def nap(seconds: float) -> None:
    time.sleep(seconds)


@task(tags=["limited"])
async def nap_async(seconds: float) -> None:
    await asyncio.sleep(seconds)


@flow
def naps(n: int, seconds: float, *, is_async: bool) -> float:
    """Map over n short naps: the seconds until all have ended."""
    began = time.perf_counter()
    (nap_async if is_async else nap).map([seconds] * n).result()
    return time.perf_counter() - began


def bare_naps(n: int, seconds: float, at_once: int) -> float:
    """The same with a pool of threads and nothing else."""
    with ThreadPoolExecutor(at_once) as pool:
        began = time.perf_counter()
        list(pool.map(time.sleep, [seconds] * n))
        return time.perf_counter() - began


async def bare_naps_async(n: int, seconds: float, at_once: int) -> float:
    """The same with a semaphore on an event loop and nothing else."""
    room = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with room:
            await asyncio.sleep(seconds)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(n)))
    return time.perf_counter() - began


@flow
def noop_flow(x: int = 0) -> int:
    return x


@flow
def waiting_flow(x: int, seconds: float) -> int:
    time.sleep(seconds)
    return x


@task
def triggers(x: int, queue: str) -> str:
    """Queue a flow run, and do not wait for it: its id."""
    run = run_deployment(f"waiting-flow/{queue}", {"x": x}, timeout=0, as_subflow=False)
    return run.id.hex


@flow
def triggered(n: int, queues: list[str]) -> list[str]:
    """Have tasks trigger n flow runs, on one queue after the other: their ids."""
    numbers = range(n)
    return triggers.map(list(numbers), [queues[number % len(queues)] for number in numbers]).result()
