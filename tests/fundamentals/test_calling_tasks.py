"""Calling a task runs it here and now."""

import asyncio
from typing import Any

import pytest

from millstream import State, flow, task
from millstream.exceptions import ParameterBindError


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task
async def add_later(a: int, b: int = 1) -> int:
    await asyncio.sleep(0)
    return a + b


@task
def fail() -> None:
    raise ValueError("no")


def test_a_call_gives_the_value() -> None:
    """Outside of flows too."""
    assert add(1, b=2) == 3


@pytest.mark.parametrize("decorate", [task, flow])
def test_a_parameter_may_be_called_self(decorate: type) -> None:
    """Also of a plain function, and given by name."""
    pair = decorate(lambda self, other: (self, other))
    assert pair(self=1, other=2) == (1, 2)
    assert flow(lambda: pair.submit(self=1, other=2).result())() == (1, 2)


def test_a_call_within_a_flow_gives_the_value() -> None:
    """Inside of a flow the same."""

    @flow
    def calling() -> int:
        return add(1) + add(2)

    assert calling() == 5


def test_an_async_task_gives_a_coroutine() -> None:
    """It runs when it is awaited."""
    assert asyncio.run(add_later(1, b=2)) == 3


@pytest.mark.parametrize("of", [task, flow])
def test_a_coroutine_is_called_like_the_function(of: Any) -> None:
    """So says Python's warning that it was never awaited which call that was."""

    async def forgotten() -> None: ...

    call = of(forgotten)()
    assert call.__qualname__ == "forgotten"
    call.close()


async def test_async_calls_run_beside_each_other() -> None:
    """Two calls meet at a barrier, which neither could pass alone."""
    barrier = asyncio.Barrier(2)

    @task
    async def meet() -> int:
        return await barrier.wait()

    assert sorted(await asyncio.gather(meet(), meet())) == [0, 1]


def test_return_state_gives_the_state_instead() -> None:
    """With the value in it."""
    state = add(1, return_state=True)
    assert isinstance(state, State)
    assert state.is_completed()
    assert state.result() == 2


def test_an_exception_is_raised_unchanged() -> None:
    """The very exception that the function raised."""
    with pytest.raises(ValueError, match=r"^no$"):
        fail()


def test_a_failed_state_holds_the_exception() -> None:
    """With `return_state` nothing is raised."""
    state = fail(return_state=True)
    assert state.is_failed()
    assert isinstance(state.result(raise_on_failure=False), ValueError)
    assert "no" in state.message


@pytest.mark.parametrize("call", [add, add_later])
def test_arguments_that_do_not_fit_are_refused_at_once(call: object) -> None:
    """Before any run exists, and before anything is awaited."""
    with pytest.raises(ParameterBindError, match="unexpected"):
        call(1, c=2)  # type: ignore[operator]
    with pytest.raises(TypeError):
        call()  # type: ignore[operator]


def test_all_kinds_of_parameters_arrive() -> None:
    """Positional-only, keyword-only, and any number of either."""

    @task
    def gather(a, /, b, *rest, c, d=4, **more):
        return a, b, rest, c, d, more

    assert gather(1, 2, 3, 3, c=5, e=6) == (1, 2, (3, 3), 5, 4, {"e": 6})


def test_wait_for_takes_futures_states_and_anything() -> None:
    """Values in it are ignored, a single future is tolerated."""

    @flow
    def waiting() -> list[int]:
        first = add.submit(1)
        return [add(1, wait_for=[first, None, 3]), add(2, wait_for=first), add(3, wait_for=[[first]])]

    assert waiting() == [2, 3, 4]


def test_a_task_whose_upstream_failed_is_not_called() -> None:
    """The call gives None, the state tells."""

    @flow
    def stopping() -> tuple[object, str, str]:
        failed = fail.submit()
        state = add(failed, return_state=True)
        return add(1, wait_for=[failed]), state.name, state.message

    value, name, message = stopping()
    assert value is None
    assert name == "NotReady"
    assert "fail-" in message
