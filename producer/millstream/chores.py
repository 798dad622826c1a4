"""Blocking calls on behalf of coroutines, in a thread of their own: they are done whatever becomes of the coroutine.

A coroutine that is cancelled while it takes something, or gives it back, must not leave that half done.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any


@dataclass(frozen=True, slots=True)
class Chore:
    """An instruction for `drivers`: call `function(*arguments)`."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    def block(self) -> Any:
        return self.function(*self.arguments)

    async def suspend(self) -> Any:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()

        def run() -> None:
            outcome: Any = None
            failure: BaseException | None = None
            try:
                outcome = self.function(*self.arguments)
            except BaseException as error:
                failure = error
            # The loop may be closed by now: then nobody waits any more.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_tell, answer, outcome, failure)

        _thread.do(run)
        return await answer


def _tell(answer: asyncio.Future[Any], outcome: Any, failure: BaseException | None) -> None:
    if answer.done():
        return
    if failure is None:
        answer.set_result(outcome)
    else:
        answer.set_exception(failure)


class _Thread:
    """One thread for all chores of the process, started when there is the first."""

    def __init__(self) -> None:
        self._chores: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()

    def do(self, chore: Callable[[], None]) -> None:
        self._chores.put(chore)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="millstream-chores", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._chores.get()()


_thread = _Thread()


def _forget() -> None:
    global _thread
    _thread = _Thread()


os.register_at_fork(after_in_child=_forget)
