"""A run that takes longer than its `timeout_seconds` is stopped, and Failed under the name TimedOut."""

import asyncio
import time
from typing import Any

import pytest

from millstream import flow, task
from millstream.states import State
from millstream.task_runners import TaskRunner


@task(timeout_seconds=0.2)
def computing() -> None:
    while True:
        sum(range(1000))


@task(timeout_seconds=0.2)
async def waiting() -> None:
    await asyncio.sleep(30)


@task(timeout_seconds=0.2)
def stubborn() -> None:
    while True:
        try:
            while True:
                sum(range(1000))
        except Exception:
            continue


@task(timeout_seconds=30)
def quick() -> str:
    return "in time"


@task
def raising() -> None:
    raise TimeoutError("mine")


@pytest.mark.parametrize("kind", [computing, waiting, stubborn])
def test_a_task_that_takes_too_long_is_stopped(task_runner: TaskRunner, kind: Any) -> None:
    """Sync code between two bytecodes, whatever it catches; async code at its `await`."""

    @flow(task_runner=task_runner)
    def limited() -> tuple[State[Any], float]:
        begun = time.monotonic()
        future = kind.submit()
        future.wait()
        return future.state.name, future.state.message, time.monotonic() - begun

    name, message, seconds = limited()
    assert name == "TimedOut"
    assert "0.2 seconds" in message
    assert seconds < 3


def test_a_time_limit_raises_a_timeout_error(task_runner: TaskRunner) -> None:
    """The future's result raises it, as does a direct call."""

    @flow(task_runner=task_runner)
    def limited() -> None:
        computing.submit().result()

    with pytest.raises(TimeoutError, match=r"0\.2 seconds"):
        limited()
    with pytest.raises(TimeoutError, match=r"0\.2 seconds"):
        computing()


def test_a_call_that_could_not_be_interrupted_is_told(concurrent_runner: TaskRunner) -> None:
    """By how much the run was late, and why."""

    @task(timeout_seconds=0.1)
    def blocked() -> None:
        time.sleep(0.8)

    @flow(task_runner=concurrent_runner)
    def limited() -> str | None:
        return blocked.submit(return_state=True).message

    assert "by 0.7: a blocking call" in str(limited())


def test_who_is_in_time_is_left_alone(task_runner: TaskRunner) -> None:
    """A limit costs nothing that can be seen."""

    @flow(task_runner=task_runner)
    def limited() -> list[str]:
        return [future.result() for future in [quick.submit() for _ in range(20)]]

    assert limited() == ["in time"] * 20


def test_a_timeout_error_of_ones_own_is_named_so_too(task_runner: TaskRunner) -> None:
    """With its own message."""

    @flow(task_runner=task_runner)
    def limited() -> State[Any]:
        state = raising.submit(return_state=True)
        return state.name, state.message

    name, message = limited()
    assert name == "TimedOut"
    assert "mine" in message


def test_a_flow_that_takes_too_long_is_stopped() -> None:
    """In the main thread a blocking call is interrupted as well."""

    @flow(timeout_seconds=0.2)
    def sleeping() -> None:
        time.sleep(30)

    begun = time.monotonic()
    assert sleeping(return_state=True).name == "TimedOut"
    assert time.monotonic() - begun < 3


async def test_an_async_flow_that_takes_too_long_is_cancelled() -> None:
    """At its `await`."""

    @flow(timeout_seconds=0.2)
    async def sleeping() -> None:
        await asyncio.sleep(30)

    with pytest.raises(TimeoutError, match=r"0\.2 seconds"):
        await sleeping()


def test_the_inner_limit_of_two_counts() -> None:
    """A task that is called in a flow may have less time than the flow, and the flow goes on."""

    @task(timeout_seconds=0.1)
    def inner() -> None:
        time.sleep(30)

    @flow(timeout_seconds=20)
    def outer() -> str:
        return inner(return_state=True).name

    assert outer() == "TimedOut"


def test_the_outer_limit_of_two_counts() -> None:
    """A task that may take longer than its flow is stopped with it."""

    @task(timeout_seconds=20)
    def inner() -> None:
        time.sleep(30)

    @flow(timeout_seconds=0.1)
    def outer() -> None:
        inner()

    assert outer(return_state=True).name == "TimedOut"


@pytest.mark.parametrize(("given", "error"), [("5", TypeError), (-1, ValueError), (True, TypeError)])
def test_bad_limits_are_refused_when_they_are_declared(given: Any, error: type[Exception]) -> None:
    """A time limit is a number of seconds."""
    with pytest.raises(error, match="timeout_seconds"):
        task(print, timeout_seconds=given)


def test_no_limit() -> None:
    """None and 0 mean none; an int becomes a float."""
    assert [task(print, timeout_seconds=given).timeout_seconds for given in (None, 0, 2)] == [None, None, 2.0]
