"""What a flow that is tried again does with the flows that it called before."""

import asyncio
from typing import Any

import pytest

from millstream import flow
from millstream.states import State


class Unequal:
    """Like an array: whether two are equal cannot be said in one word."""

    def __eq__(self, other: object) -> Any:
        raise ValueError("which element?")

    __hash__ = None  # type: ignore[assignment]


def test_a_completed_child_is_not_executed_again() -> None:
    """Its result is used; one that failed is called once more, as is one that has not been called before."""
    called: list[str] = []

    @flow
    def child(name: str, fails: bool = False) -> str:
        called.append(name)
        if fails and called.count(name) == 1:
            raise ValueError(name)
        return f"{name} {called.count(name)}"

    @flow(retries=1)
    def parent() -> list[str]:
        return [child("a"), child("b"), child("c", fails=True), child("d")]

    assert parent() == ["a 1", "b 1", "c 2", "d 1"]
    assert called == ["a", "b", "c", "c", "d"]
    assert parent() == ["a 2", "b 2", "c 3", "d 2"]


def test_states_of_children_are_kept_too() -> None:
    """With the ids of the run that reached them; futures of arguments were resolved."""
    states: list[State[int]] = []

    @flow
    def child(numbers: list[int]) -> int:
        return sum(numbers)

    @flow(retries=2)
    def parent() -> None:
        states.append(child([1, 2], return_state=True))
        raise ValueError("again")

    with pytest.raises(ValueError, match="again"):
        parent()
    assert len(states) == 3
    assert states[0] is states[1] is states[2]
    assert states[0].result() == 3


@pytest.mark.parametrize("argument", [lambda tries: tries, lambda _: Unequal()])
def test_another_call_is_executed(argument: Any) -> None:
    """Where parameters differ, or cannot be compared."""
    tries: list[object] = []

    @flow
    def child(x: object) -> object:
        tries.append(x)
        return x

    @flow(retries=1)
    def parent() -> None:
        child(argument(len(tries)))
        if len(tries) < 2:
            raise ValueError("again")

    parent()
    assert len(tries) == 2


def test_async_children_side_by_side() -> None:
    """Calls are told apart by their order, not by when they end."""
    called: list[int] = []

    @flow
    async def child(number: int) -> int:
        await asyncio.sleep(0.02 * (3 - number))
        called.append(number)
        if number == 1 and called.count(1) == 1:
            raise ValueError("first")
        return number

    @flow(retries=1)
    async def parent() -> list[int]:
        states: list[State[int]] = await asyncio.gather(*[child(number, return_state=True) for number in range(3)])
        if any(state.is_failed() for state in states):
            raise ValueError("a child failed")
        return [state.data for state in states]

    assert asyncio.run(parent()) == [0, 1, 2]
    assert sorted(called) == [0, 1, 1, 2]


def test_a_flow_without_retries_remembers_nothing() -> None:
    """Every call is a run."""
    called: list[int] = []
    child = flow(lambda: called.append(1), name="child")

    @flow
    def parent() -> None:
        child()
        child()

    parent()
    parent()
    assert len(called) == 4
