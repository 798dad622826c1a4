"""What happens to futures, states and marks among the arguments of a run."""

import itertools
from dataclasses import dataclass

import pydantic
import pytest

from millstream import Future, allow_failure, flow, opaque, quote, task, unmapped
from millstream.exceptions import UnfinishedRun
from millstream.states import Cancelled, Completed, Failed
from millstream.task_runners import TaskRunner


@dataclass(frozen=True)
class Point:
    x: object
    y: int = 0


class Model(pydantic.BaseModel):
    x: object


@task
def give(value):
    return value


@task
def kind(value) -> str:
    return type(value).__name__


@task
def fail() -> None:
    raise ValueError("no")


@task
def crash() -> None:
    raise SystemExit


def test_a_future_becomes_its_value(task_runner: TaskRunner) -> None:
    """In a direct call, a submitted run, and a flow."""

    @flow(task_runner=task_runner)
    def child(value: int) -> int:
        return value + 1

    @flow(task_runner=task_runner)
    def passing() -> list[int]:
        future = give.submit(1)
        return [give(future), give.submit(future).result(), child(future), give(value=future)]

    assert passing() == [1, 1, 2, 1]


def test_a_state_becomes_its_value(task_runner: TaskRunner) -> None:
    """As a future does."""

    @flow(task_runner=task_runner)
    def passing() -> list[int]:
        return [give(Completed(data=4)), give.submit(give(5, return_state=True)).result()]

    assert passing() == [4, 5]


def test_futures_are_found_at_any_depth(task_runner: TaskRunner) -> None:
    """In collections, dataclasses and models, and in dictionary keys."""

    @flow(task_runner=task_runner)
    def passing() -> list[object]:
        one = give.submit(1)
        given = [[[one]], (one, 2), {one}, {"a": {"b": one}}, {one: 1}, Point(one), Model(x=[one])]
        return [give.submit(value).result() for value in given]

    assert passing() == [[[1]], (1, 2), {1}, {"a": {"b": 1}}, {1: 1}, Point(1), Model(x=[1])]


def test_what_holds_no_future_is_not_copied() -> None:
    """The task gets the very object of a direct call."""
    given = {"a": [1, (2, 3)], "b": Point([4])}
    assert give(given) is given


def test_a_bad_upstream_run_stops_the_receiver(task_runner: TaskRunner) -> None:
    """And those that come after the receiver as well."""

    @flow(task_runner=task_runner)
    def passing() -> list[str]:
        failed, crashed = fail.submit(), crash.submit()
        first = give.submit(failed)
        futures = [first, give.submit(first), give.submit([crashed]), give.submit(Cancelled())]
        for future in futures:
            future.wait()
        return [future.state.name for future in futures]

    assert passing() == ["NotReady"] * 4


def test_a_bad_upstream_run_stops_a_flow(task_runner: TaskRunner) -> None:
    """The call raises, the state says why."""

    @flow
    def child(value: object = None) -> None: ...

    @flow(task_runner=task_runner)
    def passing() -> list[str]:
        failed = fail.submit()
        with pytest.raises(UnfinishedRun, match="NotReady"):
            child(failed)
        states = [child(failed, return_state=True), child(wait_for=[failed], return_state=True)]
        return [state.name for state in states]

    assert passing() == ["NotReady", "NotReady"]


def test_allow_failure_passes_the_exception(task_runner: TaskRunner) -> None:
    """And None for a run that never started; a crash stops all the same."""

    @flow(task_runner=task_runner)
    def passing() -> list[object]:
        failed, crashed = fail.submit(), crash.submit()
        never = give.submit(failed)
        return [
            kind(allow_failure(failed)),
            kind.submit(allow_failure(never)).result(),
            kind(allow_failure(give.submit(1))),
            kind(allow_failure(Failed(data=KeyError("x")))),
            give(1, wait_for=[allow_failure(failed)]),
            give(1, wait_for=[allow_failure(crashed)], return_state=True).name,
        ]

    assert passing() == ["ValueError", "NoneType", "int", "KeyError", 1, "NotReady"]


def test_quote_passes_a_value_untouched(task_runner: TaskRunner) -> None:
    """It is not searched: a future in it arrives as a future."""

    @flow(task_runner=task_runner)
    def passing() -> list[object]:
        return [give([quote([1, 2])]), isinstance(give(quote(give.submit(1))), Future)]

    assert passing() == [[[1, 2]], True]


def test_opaque_values_are_not_searched(task_runner: TaskRunner) -> None:
    """A future gives its value, one within a list stays a future."""

    @flow(task_runner=task_runner)
    def passing() -> list[object]:
        (kept,) = give(opaque([give.submit(1)]))
        return [isinstance(kept, Future), give.submit(opaque(give.submit([2]))).result()]

    assert passing() == [True, [2]]


def test_unmapped_outside_of_a_map_is_just_the_value(task_runner: TaskRunner) -> None:
    """With futures in it resolved."""

    @flow(task_runner=task_runner)
    def passing() -> list[object]:
        return [give(unmapped(3)), give.submit(unmapped([give.submit(4)])).result()]

    assert passing() == [3, [4]]


def test_wait_for_sets_the_order_without_passing_data(task_runner: TaskRunner) -> None:
    """Here a chain of three."""

    @flow(task_runner=task_runner)
    def ordering() -> bool:
        a = give.submit(1)
        b = give.submit(2, wait_for=[a])
        c = give.submit(3, wait_for=[b, a])
        c.wait()
        return a.state.timestamp <= b.state.timestamp <= c.state.timestamp

    assert ordering() is True


def test_a_generator_is_left_alone() -> None:
    """It may be endless; the receiver takes what it needs."""

    @task
    def first(numbers) -> int:
        return next(numbers)

    assert first(itertools.count(5)) == 5
    assert first(x for x in [6, 7]) == 6
