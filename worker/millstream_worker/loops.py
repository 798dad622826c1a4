"""The event loops of a child process, on which async runs are executed, thousands at a time."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any


class Loops:
    """One loop, in a thread of its own, for each depth of nesting.

    A run that blocks its loop, because it waits for a child without `await`, stops only the runs of its own depth; its
    children are on another loop and go on. So a blocking wait in async code is slow but never a deadlock.
    """

    def __init__(self) -> None:
        self._loops: dict[int, asyncio.AbstractEventLoop] = {}
        self._lock = threading.Lock()

    def start(self, depth: int, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Execute the coroutine that `make` gives, on the loop for `depth`."""
        self._loop(depth).call_soon_threadsafe(_spawn, make)

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call this on each loop."""
        with self._lock:
            for loop in self._loops.values():
                loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """Cancel what runs, and let the threads end."""
        with self._lock:
            for loop in self._loops.values():
                loop.call_soon_threadsafe(loop.stop)
            self._loops.clear()

    def _loop(self, depth: int) -> asyncio.AbstractEventLoop:
        with self._lock:
            loop = self._loops.get(depth)
            if loop is None:
                loop = self._loops[depth] = asyncio.new_event_loop()
                name = f"millstream-loop-{depth}"
                threading.Thread(target=_run, args=(loop,), name=name, daemon=True).start()
            return loop


# A loop keeps only weak references to its tasks.
_running: set[asyncio.Task[None]] = set()


def _spawn(make: Callable[[], Coroutine[Any, Any, None]]) -> None:
    task = asyncio.get_running_loop().create_task(make())
    _running.add(task)
    task.add_done_callback(_running.discard)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
