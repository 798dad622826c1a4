"""Submitting: arguments as in the task's signature, or futures in their place; a future of the value comes back."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, assert_type

from millstream import Future, FutureList, State, allow_failure, flow, quote, task, unmapped


@task
def number(text: str) -> int:
    return int(text)


@task
async def text(x: int) -> str:
    return str(x)


@task
def power(base: int, exponent: int = 2) -> float:
    return float(base**exponent)


@task
def total(*numbers: int) -> int:
    return sum(numbers)


@task
def mean(numbers: list[int], *, weight: float = 1.0) -> float:
    return sum(numbers) / len(numbers) * weight


@task
def keyword_only(*, a: int, b: str) -> bool:
    return a == len(b)


@task
def nothing() -> None: ...


@task
def items(n: int) -> Generator[int, None, None]:
    yield from range(n)


@task
def iterator(n: int) -> Iterator[int]:
    yield from range(n)


@task
async def async_iterator(n: int) -> AsyncIterator[int]:
    yield n


@task
async def async_items(n: int) -> AsyncGenerator[str, None]:
    for i in range(n):
        yield str(i)


@flow
def values() -> None:
    """Plain values are checked, by position and by name."""
    assert_type(number.submit("1"), Future[int])
    assert_type(number.submit(text="1"), Future[int])
    assert_type(text.submit(1), Future[str])
    assert_type(power.submit(2), Future[float])
    assert_type(power.submit(2, exponent=3), Future[float])
    assert_type(total.submit(1, 2, 3), Future[int])
    assert_type(nothing.submit(), Future[None])
    assert_type(items.submit(3), Future[list[int]])
    assert_type(async_items.submit(3), Future[list[str]])
    assert_type(iterator.submit(3), Future[list[int]])
    assert_type(async_iterator.submit(3), Future[list[int]])
    assert_type(iterator.map([3]), FutureList[list[int]])
    assert_type(power.with_options(retries=1).submit(2), Future[float])


@flow
def upstream() -> None:
    """Futures, states, annotations and collections of futures may stand for values."""
    one = number.submit("1")
    assert_type(power.submit(one), Future[float])
    assert_type(power.submit(one, 3), Future[float])
    assert_type(power.submit(2, one), Future[float])
    assert_type(power.submit(one, one), Future[float])
    assert_type(power.submit(2, exponent=one), Future[float])
    assert_type(power.submit(base=one, exponent=3), Future[float])
    assert_type(text.submit(one), Future[str])
    assert_type(items.submit(one), Future[list[int]])
    assert_type(total.submit(one, 2, one), Future[int])
    assert_type(total.submit(1, 2, one), Future[int])
    assert_type(mean.submit([one, 2]), Future[float])
    assert_type(mean.submit([one, one], weight=power.submit(1)), Future[float])
    assert_type(mean.submit(number.map(["1", "2"])), Future[float])
    assert_type(keyword_only.submit(a=one, b="b"), Future[bool])
    assert_type(power.submit(allow_failure(one)), Future[float])
    assert_type(power.submit(one.state), Future[float])
    assert_type(mean.submit(quote([1, 2])), Future[float])
    assert_type(power(one), float)
    assert_type(power(2, one), float)
    assert_type(child(one), int)


@flow
def child(n: int) -> int:
    return n


@flow
def options_of_the_call() -> None:
    """`wait_for` and `return_state` go with arguments of any kind."""
    one = number.submit("1", wait_for=[nothing.submit()])
    assert_type(one, Future[int])
    assert_type(number.submit("1", return_state=True), State[int])
    assert_type(text.submit(one, return_state=True), State[str])
    assert_type(power.submit(2, one, return_state=True, wait_for=[one]), State[float])
    assert_type(keyword_only.submit(a=one, b="b", return_state=True), State[bool])
    assert_type(items.submit(3, return_state=True), State[list[int]])
    assert_type(nothing.submit(return_state=True), State[None])
    assert_type(nothing.submit(wait_for=one), Future[None])
    assert_type(power(2, return_state=True), State[float])
    assert_type(power(2, wait_for=[one]), float)
    assert_type(child(2, return_state=True), State[int])


@flow
async def in_async_flows() -> None:
    """A call of an async task or flow is a coroutine; submitting is not."""
    assert_type(await text(1), str)
    assert_type(await text(1, return_state=True), State[str])
    assert_type(await text(number.submit("1")), str)
    assert_type(text.submit(1), Future[str])
    assert_type(await text.submit(1), str)
    assert_type(await text.submit(1).state.aresult(), str)
    assert_type(await number.map(["1"]), list[int])
    assert_type(await in_async_flows(return_state=True), State[None])


@flow
def mistakes() -> None:
    """What cannot be right is an error. (mypy lets pass what stands where a future might stand.)"""
    one = number.submit("1")
    number.submit(1)  # pyright: ignore
    power.submit(2, "3")  # pyright: ignore
    power.submit("2", one)  # pyright: ignore
    number.submit("1", "2")  # pyright: ignore
    nothing.submit(1)  # pyright: ignore
    number.submit(1, wait_for=[one])  # pyright: ignore
    one.result() + "a"  # type: ignore[operator] # pyright: ignore


@flow
def mistakes_in_direct_calls() -> None:
    """A direct call takes futures by position only."""
    one = number.submit("1")
    number(1)  # type: ignore[call-overload] # pyright: ignore
    number(wrong="1")  # type: ignore[call-overload] # pyright: ignore
    number()  # type: ignore[call-overload] # pyright: ignore
    child(n="1")  # type: ignore[call-overload] # pyright: ignore
    child(n=one)  # type: ignore[call-overload] # pyright: ignore


@flow
def mapping() -> None:
    """A map gives a list of futures, whatever is mapped over."""
    ones = number.map(["1", "2"])
    assert_type(ones, FutureList[int])
    assert_type(text.map(ones), FutureList[str])
    assert_type(power.map(ones, unmapped(3)), FutureList[float])
    assert_type(power.map(base=range(3), exponent=ones, wait_for=[ones]), FutureList[float])
    assert_type(items.map([1]), FutureList[list[int]])
    assert_type(text.map([1], return_state=True), list[State[str]])
    assert_type(ones.result(), list[int])
    assert_type(ones[0], Future[int])
    assert_type([future.result() for future in ones], list[int])


def untyped(task: "Any", future: Future[Any]) -> None:
    """What has no types is not complained about."""
    task.submit(1)
    number.submit(future)
    power.submit(future.result(), exponent=future)


@flow
def doubled(x: int) -> int:
    return 2 * x


@flow
async def halved(x: int) -> float:
    return x / 2


@flow
def children() -> None:
    assert_type(doubled.submit(1), Future[int])
    assert_type(halved.submit(1), Future[float])
    assert_type(doubled.submit(1).result(), int)
    assert_type(doubled.submit(doubled.submit(1)), Future[int])
    assert_type(doubled.submit(1, return_state=True), State[int])
    assert_type(doubled.map([1, 2]), FutureList[int])
    assert_type(halved.map([1, 2], return_state=True), list[State[float]])
    doubled.submit("x")  # pyright: ignore[reportCallIssue, reportArgumentType]
