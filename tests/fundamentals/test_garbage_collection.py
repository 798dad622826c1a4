"""The garbage collector comes at any moment, in any thread, and ends there what uses the API: nothing stands still."""

import gc
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

from millstream import flow, get_run_logger, task
from millstream.concurrency.sync import concurrency
from millstream.futures import Future, as_completed
from millstream.task_runners import TaskRunner


@task
def double(x: int) -> int:
    return 2 * x


@task
def numbers(count: int) -> Generator[int]:
    yield from range(count)


@contextmanager
def at_each_collection(function: Callable[[], object]) -> Generator[None]:
    """Within, the collector comes whenever something is made that it looks after, and `function` is called there."""
    made: list[list[object]] = []

    def called(phase: str, _: object) -> None:
        if phase == "start":
            function()
            made.clear()
        else:
            # So many that it comes again for the next one, and that this is not one of those kept for use again.
            made.extend([] for _ in range(100))

    thresholds = gc.get_threshold()
    gc.callbacks.append(called)
    gc.set_threshold(1, 100, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(called)


@pytest.fixture(autouse=True)
def _without_collections_of_others() -> Generator[None]:
    """What earlier tests left is collected before, as a collection of much at each step takes long."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def work() -> int:
    """Some of all that flows do."""
    futures = double.map(range(20))
    total = sum(future.result() for future in as_completed(futures))
    first = double.submit(1)
    total += sum(double.map([first, double.submit(first)]).result())
    return total + sum(numbers(3)) + double(1)


EXPECTED = 380 + 4 + 8 + 3 + 2


def test_waits_may_be_given_up_anywhere(task_runner: TaskRunner) -> None:
    """Such as those of an iterator that was dropped before its end."""
    ended: list[Future[int]] = []
    given_up = 0

    def give_up_waiting() -> None:
        nonlocal given_up
        steps = iter(as_completed(ended))
        next(steps)
        steps.close()
        given_up += 1

    @flow(task_runner=task_runner)
    def working() -> int:
        ended.extend(double.map(range(3)))
        for future in ended:
            future.wait()
        with at_each_collection(give_up_waiting):
            return work()

    assert working() == EXPECTED
    assert given_up > 100


def test_runs_may_be_started_and_slots_given_back_anywhere(task_runner: TaskRunner) -> None:
    """As a destructor may do; also lines may be logged."""
    started: list[Future[int]] = []
    collections = 0

    def finish() -> None:
        nonlocal collections
        if threading.current_thread() is not threading.main_thread():
            return  # where runs may have ended, which can start no others
        collections += 1
        # What is started here is collected too.
        if collections % 17 or len(started) >= 50:
            return
        get_run_logger().info("Collected")
        with concurrency("no such limit"):
            started.append(double.submit(1))

    @flow(task_runner=task_runner)
    def working() -> int:
        with at_each_collection(finish):
            return work()

    assert working() == EXPECTED
    assert len(started) >= 5
    assert {future.result() for future in started} == {2}
