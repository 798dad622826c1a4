"""Background runs: `delay` takes what the function takes, and its future knows what the function gives."""

from collections.abc import AsyncGenerator, Iterator
from typing import Any, assert_type

from millstream import Future, flow, task
from millstream.futures import future_of


@task
def add(x: int, y: int = 1) -> float:
    return x + y


@task
async def add_later(x: int) -> str:
    return str(x)


@task
def items(n: int) -> Iterator[int]:
    yield from range(n)


@task
async def items_later(n: int) -> AsyncGenerator[bytes]:
    yield bytes(n)


@flow
def chunks(n: int) -> Iterator[str]:
    yield str(n)


assert_type(add.delay(1, y=2), Future[float])
assert_type(add_later.delay(1), Future[str])
assert_type(items_later.delay(1), Future[list[bytes]])
assert_type(items.delay(1), Future[list[int]])
assert_type(add.delay(add.delay(1)), Future[Any])
assert_type(add.apply_async((1,), {"y": 2}, wait_for=[add.delay(1)]), Future[Any])
assert_type(future_of("0" * 32), Future[Any])
add.delay("a")  # type: ignore[call-overload] # pyright: ignore
add.delay(1, return_state=True)  # type: ignore[call-overload] # pyright: ignore


async def streams() -> None:
    """A call gives the items one by one."""
    for item in items(3):
        assert_type(item, int)
    async for chunk in items_later(3):
        assert_type(chunk, bytes)
    for text in chunks(1):
        assert_type(text, str)
