"""Crossing between sync code and event loops."""

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from millstream_shared import states

P = ParamSpec("P")
R = TypeVar("R")


async def run_sync_in_worker_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a blocking function in a thread, so that the loop goes on. It must be awaited."""
    return await asyncio.to_thread(function, *args, **kwargs)


def here_or_awaitable(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Any:
    """What a blocking function gives; where an event loop runs, an awaitable of that, which a thread works out."""
    if states.loop_is_running():
        return asyncio.to_thread(function, *args, **kwargs)
    return function(*args, **kwargs)


def run_blocking(awaitable: Awaitable[R]) -> R:
    """The value of `awaitable`, from sync code, in a loop of its own.

    Where a loop runs in this thread already, the new one gets another thread; the caller blocks in either case.
    """

    async def main() -> R:
        return await awaitable

    if not states.loop_is_running():
        return asyncio.run(main())
    return _in_thread(lambda: asyncio.run(main()))


def _in_thread(function: Callable[[], R]) -> R:
    outcome: list[R] = []
    failure: list[BaseException] = []

    def call() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    current: Any = contextvars.copy_context()
    thread = threading.Thread(target=current.run, args=(call,), name="millstream-loop", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
