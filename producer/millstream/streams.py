"""Runs of generator functions whose items are handed out as they come.

The steps of such a run are those of every run, with one more instruction among them: an item, at which whoever walks
through the steps stops until the next one is asked for. What the caller does meanwhile is no part of the run: the steps
have a context of their own, and their time limit counts the time of the function alone.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from millstream import timeouts
from millstream.drivers import Await, Instruction, Steps

Within = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Item:
    """Hand out a value. Gives what was sent for it, and raises what was thrown."""

    value: Any

    def block(self) -> Any:
        raise RuntimeError("Items are for those who ask for them one by one.")

    async def suspend(self) -> Any:
        self.block()


class _Left(BaseException):
    """Nobody takes the items any more. GeneratorExit itself would close all generators on its way to the innermost."""


@dataclass(frozen=True, slots=True)
class _End:
    value: Any


# --- the steps --------------------------------------------------------------------------------------------------------


def streamed(function: Any, run: Any, seconds: float | None) -> Steps[Any]:
    """Hand out the items of a generator function; what it returns. Raises TimeLimitExceeded after `seconds`.

    Who closes the stream ends the function as `close()` ends a generator, and gets None.
    """
    source = _Source(function.invoke(run.parameters), function.isasync, seconds)
    found = yield from source.step("send", None)
    while isinstance(found, Item):
        try:
            given = yield found
        except _Left:
            run.is_left = True
            yield from source.step("close")
            return None
        except BaseException as thrown:
            found = yield from source.step("throw", thrown)
        else:
            found = yield from source.step("send", given)
    return found.value


class _Source:
    """A generator, sync or not, which may take so many `seconds` in all."""

    def __init__(self, items: Any, is_async: bool, seconds: float | None) -> None:
        self._items = items
        self._is_async = is_async
        self._seconds = seconds
        self._left = seconds

    def step(self, method: str, *given: Any) -> Steps["Item | _End"]:
        """Go on to the next item, or to the end."""
        begun = time.monotonic()
        try:
            if self._is_async:
                return Item((yield Await(self._resumed(method, given), self._left)))
            if self._left is None:
                return Item(getattr(self._items, method)(*given))
            return Item(timeouts.call(self._left, getattr(self._items, method), *given))
        except StopIteration as end:
            return _End(end.value)
        except StopAsyncIteration:
            return _End(None)
        except timeouts.TimeLimitExceeded as late:
            # What is left of the time is nothing to tell the user.
            raise timeouts.exceeded(cast("float", self._seconds)).with_traceback(late.__traceback__) from None
        finally:
            if self._left is not None:
                self._left = max(self._left - (time.monotonic() - begun), 0.0)

    def _resumed(self, method: str, given: tuple[Any, ...]) -> Awaitable[Any]:
        return getattr(self._items, f"a{method}")(*given)


# --- two ways to walk through them ------------------------------------------------------------------------------------


def handed_out(steps: Steps[Any], within: Within = nullcontext) -> Generator[Any, Any, Any]:
    """The items as a generator, which returns what the steps come to. `within` is entered while they are walked."""
    return _handed_out(steps, copy_context(), within)


def _handed_out(steps: Steps[Any], around: Context, within: Within) -> Generator[Any, Any, Any]:
    resume: Callable[[], Instruction] = partial(steps.send, None)
    while True:
        with within():
            found = around.run(_next_item, steps, resume)
        if isinstance(found, _End):
            return found.value
        try:
            given = yield found.value
        except GeneratorExit:
            resume = partial(steps.throw, _Left())
        except BaseException as thrown:
            resume = partial(steps.throw, thrown)
        else:
            resume = partial(steps.send, given)


def _next_item(steps: Steps[Any], resume: Callable[[], Instruction]) -> Item | _End:
    try:
        instruction = resume()
        while not isinstance(instruction, Item):
            try:
                value = instruction.block()
            except BaseException as error:
                instruction = steps.throw(error)
            else:
                instruction = steps.send(value)
        return instruction
    except StopIteration as stop:
        return _End(stop.value)


def handed_out_async(steps: Steps[Any], within: Within = nullcontext) -> AsyncGenerator[Any, Any]:
    """The items as an async generator."""
    return _handed_out_async(_Walk(steps, copy_context()), within)


async def _handed_out_async(walk: "_Walk", within: Within) -> AsyncGenerator[Any, Any]:
    resume: Callable[[], Instruction] = partial(walk.steps.send, None)
    while True:
        with within():
            found = await _InContext(walk.around, walk.next_item(resume))
        if isinstance(found, _End):
            return
        try:
            given = yield found.value
        except GeneratorExit:
            resume = partial(walk.steps.throw, _Left())
        except asyncio.CancelledError:
            # Nobody waits for an item here: the loop that was to close this generator, as it was dropped, ends itself,
            # and would not go on with what awaits now.
            walk.end()
            raise
        except BaseException as thrown:
            resume = partial(walk.steps.throw, thrown)
        else:
            resume = partial(walk.steps.send, given)


class _Walk:
    """Where the walk through the steps is. If it is dropped with an item in hand, as its loop is gone, it ends here."""

    def __init__(self, steps: Steps[Any], around: Context) -> None:
        self.steps = steps
        self.around = around
        self._is_at_item = False

    async def next_item(self, resume: Callable[[], Instruction]) -> Item | _End:
        """Go on with `resume` until there is an item, or the end."""
        self._is_at_item = False
        try:
            instruction = resume()
            while not isinstance(instruction, Item):
                try:
                    value = await instruction.suspend()
                except GeneratorExit:
                    self.steps.close()
                    raise
                except BaseException as error:
                    instruction = self.steps.throw(error)
                else:
                    instruction = self.steps.send(value)
            self._is_at_item = True
            return instruction
        except StopIteration as stop:
            return _End(stop.value)

    def end(self) -> None:
        """Go to the end without an event loop, as nobody takes the items any more."""
        if self._is_at_item:
            self._is_at_item = False
            self.around.run(_next_item, self.steps, partial(self.steps.throw, _Left()))

    def __del__(self) -> None:
        # What it raises is the run's failure, and logged as that.
        with suppress(Exception):
            self.end()


class _InContext:
    """A coroutine that is awaited in a context of its own, and yet in the task of whoever awaits it.

    A task of its own would be simpler, but what the function opens between two items, such as a time limit or a task
    group, belongs to the task in which it was opened.
    """

    def __init__(self, around: Context, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._around = around
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = self._coroutine.send
        given: Any = None
        while True:
            try:
                waited_for = self._around.run(step, given)
            except StopIteration as stop:
                return stop.value
            try:
                given = yield waited_for
            except BaseException as error:
                step, given = self._coroutine.throw, error
            else:
                step = self._coroutine.send
