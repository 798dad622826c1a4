"""Submitting a task hands it to the flow's task runner and gives a future at once."""

import asyncio
import uuid

import pytest

from millstream import Future, flow, task
from millstream.exceptions import ParameterBindError
from millstream.task_runners import TaskRunner


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task
async def add_later(a: int, b: int = 1) -> int:
    await asyncio.sleep(0)
    return a + b


@task
def fail(message: str = "no") -> None:
    raise ValueError(message)


def test_a_future_gives_the_value(task_runner: TaskRunner) -> None:
    """For sync and async tasks alike, in a sync flow."""

    @flow(task_runner=task_runner)
    def submitting() -> tuple[int, int]:
        first, second = add.submit(1), add_later.submit(2, b=5)
        assert isinstance(first, Future)
        return first.result(), second.result()

    assert submitting() == (2, 7)


async def test_a_future_gives_the_value_in_an_async_flow(task_runner: TaskRunner) -> None:
    """`result()` blocks the loop, and still comes back."""

    @flow(task_runner=task_runner)
    async def submitting() -> tuple[int, int]:
        return add.submit(1).result(), add_later.submit(2).result()

    assert await submitting() == (2, 3)


def test_the_run_id_is_known_at_once(task_runner: TaskRunner) -> None:
    """Each run has its own."""

    @flow(task_runner=task_runner)
    def submitting() -> list[uuid.UUID]:
        return [add.submit(1).task_run_id, add.submit(1).task_run_id]

    first, second = submitting()
    assert isinstance(first, uuid.UUID)
    assert first != second


def test_a_failure_is_raised_by_result(task_runner: TaskRunner) -> None:
    """Not by submit."""

    @flow(task_runner=task_runner)
    def submitting() -> None:
        future = fail.submit("later")
        with pytest.raises(ValueError, match="later"):
            future.result()
        assert isinstance(future.result(raise_on_failure=False), ValueError)
        assert future.state.is_failed()

    submitting()


def test_return_state_waits_and_gives_the_state(task_runner: TaskRunner) -> None:
    """Also of a run that failed."""

    @flow(task_runner=task_runner)
    def submitting() -> tuple[bool, bool]:
        return add.submit(1, return_state=True).is_completed(), fail.submit(return_state=True).is_failed()

    assert submitting() == (True, True)


def test_arguments_that_do_not_fit_are_refused_at_once(task_runner: TaskRunner) -> None:
    """By submit itself."""

    @flow(task_runner=task_runner)
    def submitting() -> None:
        with pytest.raises(ParameterBindError):
            add.submit()
        with pytest.raises(ParameterBindError):
            add.submit(1, 2, 3)

    submitting()


@pytest.mark.parametrize("method", ["submit", "map"])
def test_submitting_needs_a_flow(method: str) -> None:
    """Outside of one there is no runner; the error is a RuntimeError and says what to do."""
    with pytest.raises(RuntimeError, match="@flow"):
        getattr(add, method)([1])


def test_submitting_in_a_task_outside_of_flows_is_refused_too() -> None:
    """A task does not make a runner."""

    @task
    def parent() -> None:
        add.submit(1)

    with pytest.raises(RuntimeError, match="@flow"):
        parent()


def test_a_task_submits_others_to_the_runner_of_its_flow(task_runner: TaskRunner) -> None:
    """Called directly or submitted itself."""

    @task
    def parent(x: int) -> int:
        return sum(add.map(range(x)).result())

    @flow(task_runner=task_runner)
    def nesting() -> list[int]:
        return [parent(3), parent.submit(4).result()]

    assert nesting() == [6, 10]


async def test_an_async_task_submits_others(task_runner: TaskRunner) -> None:
    """By a plain call, from its coroutine."""

    @task
    async def parent() -> int:
        return await add.submit(1)

    @flow(task_runner=task_runner)
    async def nesting() -> list[int]:
        return [await parent(), await parent.submit()]

    assert await nesting() == [2, 2]


def test_a_flow_waits_for_what_it_submitted(task_runner: TaskRunner) -> None:
    """Although nobody asked for the results, and without their failure being the flow's."""

    @flow(task_runner=task_runner)
    def leaving() -> str:
        kept.extend([add_later.submit(1), fail.submit()])
        return "left"

    kept: list[Future] = []
    assert leaving() == "left"
    assert [future.state.name for future in kept] == ["Completed", "Failed"]
