"""Mapping a task submits one run for each element of its arguments."""

import asyncio

import pytest

from millstream import FutureList, allow_failure, flow, opaque, quote, task, unmapped
from millstream.exceptions import (
    MappingLengthMismatch,
    MappingMissingIterable,
    ParameterBindError,
    UpstreamTaskError,
)
from millstream.task_runners import TaskRunner


@task
def pair(a, b=0):
    return (a, b)


@task
async def double(x: int) -> int:
    await asyncio.sleep(0)
    return 2 * x


@task
def numbers() -> list[int]:
    return [1, 2, 3]


@task
def fail_on_two(x: int) -> int:
    if x == 2:
        raise ValueError("two")
    return x


def mapped(runner: TaskRunner, *args, **kwargs):
    """The results of `pair.map` in a flow."""

    @flow(task_runner=runner)
    def mapping():
        return pair.map(*args, **kwargs).result()

    return mapping()


@pytest.mark.parametrize("given", [[1, 2], (1, 2), range(1, 3), {1: "a", 2: "b"}, {1: 0, 2: 0}.keys()])
def test_whatever_can_be_iterated_is_mapped(given: object, task_runner: TaskRunner) -> None:
    """A dictionary by its keys."""
    assert mapped(task_runner, given) == [(1, 0), (2, 0)]


def test_a_generator_is_mapped(task_runner: TaskRunner) -> None:
    """It is read once, in the caller."""
    assert mapped(task_runner, (x for x in (1, 2))) == [(1, 0), (2, 0)]


def test_arguments_are_taken_in_step(task_runner: TaskRunner) -> None:
    """The first of each, the second of each."""
    assert mapped(task_runner, [1, 2], b=[3, 4]) == [(1, 3), (2, 4)]


@pytest.mark.parametrize("constant", [5, "ab", b"ab", None, unmapped([8, 9])])
def test_what_is_not_iterated_goes_to_every_run(constant: object, task_runner: TaskRunner) -> None:
    """Numbers, text, and what stands in `unmapped`."""
    value = constant.value if isinstance(constant, unmapped) else constant
    assert mapped(task_runner, [1, 2], b=constant) == [(1, value), (2, value)]


def test_defaults_are_not_mapped(task_runner: TaskRunner) -> None:
    """Even where they can be iterated."""

    @task
    def with_default(x, options=(1, 2, 3)):
        return x, options

    @flow(task_runner=task_runner)
    def mapping():
        return with_default.map([1, 2]).result()

    assert mapping() == [(1, (1, 2, 3)), (2, (1, 2, 3))]


def test_elements_that_are_lists_are_passed_whole(task_runner: TaskRunner) -> None:
    """Mapping goes one level deep."""
    assert mapped(task_runner, [[1, 2], [3]]) == [([1, 2], 0), ([3], 0)]


@pytest.mark.parametrize("args", [(1,), ("ab",), (unmapped([1]),)])
def test_there_must_be_something_to_map_over(args: tuple, task_runner: TaskRunner) -> None:
    """Otherwise one call was meant."""
    with pytest.raises(MappingMissingIterable):
        mapped(task_runner, *args)


def test_lengths_must_agree(task_runner: TaskRunner) -> None:
    """Nothing is cut short or repeated; the message tells the lengths."""
    with pytest.raises(MappingLengthMismatch, match="a has 2, b has 1"):
        mapped(task_runner, [1, 2], [1])


def test_arguments_must_fit(task_runner: TaskRunner) -> None:
    """As in a call."""
    with pytest.raises(ParameterBindError):
        mapped(task_runner, [1], c=[2])


def test_nothing_to_do_gives_an_empty_list(task_runner: TaskRunner) -> None:
    """Which can be waited for and has a result."""

    @flow(task_runner=task_runner)
    def mapping():
        futures = pair.map([])
        futures.wait()
        return type(futures), futures.result()

    assert mapping() == (FutureList, [])


def test_futures_keep_the_order_of_the_input(task_runner: TaskRunner) -> None:
    """Whenever they end; they are a list, of async tasks too."""

    @flow(task_runner=task_runner)
    def mapping():
        futures = double.map(range(20))
        return len(futures), futures[3].result(), [future.result() for future in futures + FutureList()]

    assert mapping() == (20, 6, [2 * x for x in range(20)])


def test_a_future_of_a_list_is_mapped_over(task_runner: TaskRunner) -> None:
    """It is waited for in the caller; one of a number goes to every run."""

    @flow(task_runner=task_runner)
    def mapping():
        return pair.map(numbers.submit(), b=double.submit(4)).result()

    assert mapping() == [(1, 8), (2, 8), (3, 8)]


def test_a_list_of_futures_gives_a_run_for_each(task_runner: TaskRunner) -> None:
    """Each run waits for its own."""

    @flow(task_runner=task_runner)
    def mapping():
        return double.map(double.map([1, 2, 3])).result()

    assert mapping() == [4, 8, 12]


def test_unmapped_futures_are_resolved(task_runner: TaskRunner) -> None:
    """Every run gets the value, whole."""

    @flow(task_runner=task_runner)
    def mapping():
        return pair.map([1, 2], b=unmapped(numbers.submit())).result()

    assert mapping() == [(1, [1, 2, 3]), (2, [1, 2, 3])]


def test_a_failed_future_cannot_be_mapped_over(task_runner: TaskRunner) -> None:
    """`.map` itself raises."""

    @flow(task_runner=task_runner)
    def mapping():
        return pair.map(fail_on_two.submit(2))

    with pytest.raises(UpstreamTaskError):
        mapping()


def test_allow_failure_goes_around_each_element(task_runner: TaskRunner) -> None:
    """Runs get the exceptions of the elements that failed."""

    @flow(task_runner=task_runner)
    def mapping():
        return pair.map(allow_failure(fail_on_two.map([1, 2, 3])), b=allow_failure(unmapped([7]))).result()

    (one, seven), (two, _), (three, _) = mapping()
    assert (one, three, seven) == (1, 3, [7])
    assert isinstance(two, ValueError)


def test_a_quoted_list_is_mapped(task_runner: TaskRunner) -> None:
    """Each run gets a plain element."""
    assert mapped(task_runner, quote([1, 2])) == [(1, 0), (2, 0)]


def test_an_opaque_list_is_mapped(task_runner: TaskRunner) -> None:
    """Its elements are not searched either."""
    assert mapped(task_runner, opaque([[1], 2])) == [([1], 0), (2, 0)]


def test_keywords_that_the_function_collects_are_mapped_each(task_runner: TaskRunner) -> None:
    """Member by member."""

    @task
    def collect(**kwargs):
        return kwargs

    @flow(task_runner=task_runner)
    def mapping():
        return collect.map(x=[1, 2], y=3).result()

    assert mapping() == [{"x": 1, "y": 3}, {"x": 2, "y": 3}]


def test_positions_that_the_function_collects_are_the_iterable(task_runner: TaskRunner) -> None:
    """A run for each argument, not for each element of them."""

    @task
    def collect(*args):
        return args

    @flow(task_runner=task_runner)
    def mapping():
        return collect.map([1, 2], [3, 4]).result()

    assert mapping() == [(1, 2), (3, 4)]


def test_return_state_waits_for_all(task_runner: TaskRunner) -> None:
    """And gives their states, those that failed among them."""

    @flow(task_runner=task_runner)
    def mapping():
        return [state.name for state in fail_on_two.map([1, 2, 3], return_state=True)]

    assert mapping() == ["Completed", "Failed", "Completed"]


def test_wait_for_holds_for_every_run(task_runner: TaskRunner) -> None:
    """A failure in it stops all."""

    @flow(task_runner=task_runner)
    def mapping():
        return [state.name for state in pair.map([1, 2], wait_for=[fail_on_two.submit(2)], return_state=True)]

    assert mapping() == ["NotReady", "NotReady"]


def test_a_failure_stops_none_of_the_others(task_runner: TaskRunner) -> None:
    """It is raised when results are asked for, or stands in its place."""

    @flow(task_runner=task_runner)
    def mapping():
        futures = fail_on_two.map([1, 2, 3])
        with pytest.raises(ValueError, match="two"):
            futures.result()
        return futures.result(raise_on_failure=False)

    one, two, three = mapping()
    assert (one, three) == (1, 3)
    assert isinstance(two, ValueError)
