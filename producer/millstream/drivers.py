"""Two ways to walk through the steps of a run: blocking, and in an event loop.

The steps are a generator, written once. It yields an instruction where it has to wait, and gets back what the
instruction gives or raises.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from millstream import waiting
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
    """Wait for an awaitable of the user's: in the running loop, or in one made for it."""

    awaitable: Awaitable[Any]

    def block(self) -> Any:
        return asyncutils.run_blocking(self.awaitable)

    async def suspend(self) -> Any:
        return await self.awaitable


@dataclass(frozen=True, slots=True)
class Call:
    """Call something of ours that may take a while; under a loop, in another thread."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    def block(self) -> Any:
        return self.function(*self.arguments)

    async def suspend(self) -> Any:
        return await asyncio.to_thread(self.function, *self.arguments)


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
