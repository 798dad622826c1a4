"""Two ways to walk through the steps of a run: blocking, and in an event loop.

The steps are a generator, written once. It yields an instruction where it has to wait, and gets back what the
instruction gives or raises.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from dataclasses import dataclass
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Protocol, TypeVar, cast

from millstream import timeouts, waiting
from millstream.futures import Future
from millstream.utilities import asyncutils

R = TypeVar("R")


class Instruction(Protocol):
    """Something to wait for, in two ways with one outcome."""

    def block(self) -> Any:
        """Wait in this thread."""

    async def suspend(self) -> Any:
        """Wait without blocking the loop."""


Steps = Generator[Instruction, Any, R]


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Wait until all futures are done, whatever their outcome."""

    futures: Sequence[Future[Any]]

    def block(self) -> None:
        waiting.wait_for_all(self.futures)

    async def suspend(self) -> None:
        await waiting.until_all(self.futures)


@dataclass(frozen=True, slots=True)
class Await:
    """Wait for an awaitable of the user's: in the running loop, or in one made for it.

    After `seconds` it is cancelled, and TimeLimitExceeded raised.
    """

    awaitable: Awaitable[Any]
    seconds: float | None = None

    def block(self) -> Any:
        return asyncutils.run_blocking(self.suspend())

    async def suspend(self) -> Any:
        if self.seconds is None:
            return await self.awaitable
        limit = asyncio.timeout(self.seconds)
        try:
            async with limit:
                return await self.awaitable
        except TimeoutError:
            if not limit.expired():
                raise
            raise timeouts.exceeded(self.seconds) from None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for a while."""

    seconds: float

    def block(self) -> None:
        with waiting.blocking():
            time.sleep(self.seconds)

    async def suspend(self) -> None:
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True, slots=True)
class Call:
    """Call something of ours that may take a while; under a loop, in another thread."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    def block(self) -> Any:
        return self.function(*self.arguments)

    async def suspend(self) -> Any:
        return await asyncio.to_thread(self.function, *self.arguments)


def invoked(function: Any, parameters: dict[str, Any], seconds: float | None) -> Steps[Any]:
    """What a task's or flow's function gives for `parameters`. Raises TimeLimitExceeded after `seconds`."""
    if seconds is None:
        return (yield from returned(function.invoke(parameters)))
    if function.isasync:
        return (yield from returned(function.invoke(parameters), seconds))
    # Its time includes that of a coroutine which it may return, and that of the items of a generator.
    begun = time.monotonic()
    value = timeouts.call(seconds, _complete, function, parameters)
    return (yield from returned(value, max(seconds - (time.monotonic() - begun), 0.0)))


def returned(value: Any, seconds: float | None = None) -> Steps[Any]:
    """What a function returned; where that is a coroutine, what it gives; where an async generator, its items."""
    if isinstance(value, CoroutineType):
        return (yield Await(cast("Coroutine[Any, Any, Any]", value), seconds))
    if isinstance(value, AsyncGeneratorType):
        return (yield Await(_collected(cast("AsyncGenerator[Any]", value)), seconds))
    return value


def _complete(function: Any, parameters: dict[str, Any]) -> Any:
    value = function.invoke(parameters)
    return list(cast("Iterable[Any]", value)) if isinstance(value, GeneratorType) else value


async def _collected(items: AsyncGenerator[Any]) -> list[Any]:
    return [item async for item in items]


def closing(error: BaseException, steps: Steps[R]) -> Steps[R]:
    """Do the `steps` left after `error`; they block where that closes the generator, which cannot yield then."""
    return drive(steps) if isinstance(error, GeneratorExit) else (yield from steps)


def drive(steps: Steps[R]) -> R:
    """Walk through `steps` in this thread."""
    try:
        instruction = next(steps)
        while True:
            try:
                value = instruction.block()
            except BaseException as error:
                instruction = steps.throw(error)
            else:
                instruction = steps.send(value)
    except StopIteration as stop:
        return stop.value


async def drive_async(steps: Steps[R]) -> R:
    """Walk through `steps` in the running event loop."""
    try:
        instruction = next(steps)
        while True:
            try:
                value = await instruction.suspend()
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:
                instruction = steps.throw(error)
            else:
                instruction = steps.send(value)
    except StopIteration as stop:
        return stop.value
