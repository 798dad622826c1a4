"""Waiting for futures, one, all, or each as it ends: by callbacks, so that waiting for many takes one lock."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from millstream.futures import Future

R = TypeVar("R")
BlockingHook = Callable[[], AbstractContextManager[Any]]

_SIGNAL_SECONDS = 1.0

_process_hook: BlockingHook = nullcontext
_thread_hooks = threading.local()


def blocking() -> AbstractContextManager[Any]:
    """What every wait enters that really has to block: whoever lends slots to runs takes one back meanwhile."""
    hook: BlockingHook = getattr(_thread_hooks, "hook", _process_hook)
    return hook()


def suspending() -> AbstractContextManager[Any]:
    """What a wait in an event loop enters: only a thread that belongs to one run lends its place then."""
    hook: BlockingHook = getattr(_thread_hooks, "hook", nullcontext)
    return hook()


def set_blocking_hook(hook: BlockingHook) -> None:
    """Make `hook` the context manager factory behind `blocking()`, for threads that have none of their own."""
    global _process_hook
    _process_hook = hook


def set_thread_blocking_hook(hook: BlockingHook) -> None:
    """The same for the calling thread only."""
    _thread_hooks.hook = hook


class Countdown:
    """Calls `function` when `count` futures have called it."""

    __slots__ = ("_count", "_function", "_lock")

    def __init__(self, count: int, function: Callable[[], object]) -> None:
        self._count = count
        self._function = function
        self._lock = threading.Lock()

    def __call__(self, _: "Future[Any]") -> None:
        with self._lock:
            self._count -= 1
            left = self._count
        if left == 0:
            self._function()


def call_after(futures: "Sequence[Future[Any]]", function: Callable[[], object]) -> None:
    """Call `function` once all of `futures` are done: at once, or in the thread that ends the last one."""
    if not futures:
        function()
        return
    countdown = Countdown(len(futures), function)
    for future in futures:
        future.when_done(countdown)


def wait_for_all(futures: "Iterable[Future[Any]]", timeout: float | None = None) -> None:
    """Block until all of `futures` are done, `timeout` seconds at most (default: for ever)."""
    pending = [future for future in futures if not future.done()]
    if not pending or (timeout is not None and timeout <= 0):
        return
    gate = threading.Lock()
    gate.acquire()
    countdown = Countdown(len(pending), gate.release)
    for future in pending:
        future.when_done(countdown)
    try:
        if not gate.acquire(blocking=False):
            deadline = _deadline_in(timeout)
            with blocking():
                while not gate.acquire(timeout=_nap(deadline)) and not _has_passed(deadline):
                    pass
    finally:
        if timeout is not None:
            for future in pending:
                future.forget(countdown)


class DoneAndNotDoneFutures(NamedTuple, Generic[R]):
    """What `wait` returns: two sets."""

    done: "set[Future[R]]"
    not_done: "set[Future[R]]"


def wait(futures: "Iterable[Future[R]]", timeout: float | None = None) -> DoneAndNotDoneFutures[R]:
    """Wait for all of `futures`, at most `timeout` seconds, and tell which are done.

    Never raises for a run that failed, nor when time is up. Raises ValueError for a negative timeout, TypeError for
    what is not futures.
    """
    check_timeout(timeout)
    unique = set(_checked(futures, "wait"))
    wait_for_all(unique, timeout)
    done = {future for future in unique if future.done()}
    return DoneAndNotDoneFutures(done, unique - done)


class as_completed(Generic[R]):
    """Each of `futures` once, in the order in which they end, with those first that have ended already.

    For `for` and for `async for`. Raises TimeoutError when `timeout` seconds (default: no limit) pass before the last
    one, counted from the first step; 0 gives what is done now. A negative timeout raises ValueError at the first step.
    What is not futures raises TypeError.
    """

    def __init__(self, futures: "Iterable[Future[R]]", timeout: float | None = None) -> None:
        self._futures = list(dict.fromkeys(_checked(futures, "as_completed")))
        self._timeout = timeout
        self._steps = self._in_order()

    def __iter__(self) -> "Generator[Future[R], None, None]":
        return self._steps

    def __next__(self) -> "Future[R]":
        return next(self._steps)

    def _in_order(self) -> "Generator[Future[R], None, None]":
        deadline = _deadline_in(self._timeout)
        ended: SimpleQueue[Future[R]] = SimpleQueue()
        put = ended.put
        for future in self._futures:
            future.when_done(put)
        try:
            for count in range(len(self._futures)):
                future = _next_ended(ended, deadline)
                if future is None:
                    raise self._too_late(count)
                yield future
        finally:
            self._forget(put)

    async def __aiter__(self) -> "AsyncIterator[Future[R]]":
        deadline = _deadline_in(self._timeout)
        loop = asyncio.get_running_loop()
        ended: asyncio.Queue[Future[R]] = asyncio.Queue()
        put = _into_loop(loop, ended.put_nowait)
        for future in self._futures:
            if future.done():
                ended.put_nowait(future)
            else:
                future.when_done(put)
        try:
            for count in range(len(self._futures)):
                try:
                    with suspending():
                        async with asyncio.timeout(_remaining(deadline)):
                            future = await ended.get()
                except TimeoutError:
                    raise self._too_late(count) from None
                yield future
        finally:
            self._forget(put)

    def _too_late(self, count: int) -> TimeoutError:
        total = len(self._futures)
        return TimeoutError(f"{total - count} (of {total}) futures unfinished")

    def _forget(self, callback: "Callable[[Future[Any]], object]") -> None:
        for future in self._futures:
            future.forget(callback)


def ended(future: "Future[Any]") -> Generator[Any, None, None]:
    """The steps of `await`: suspends the running coroutine until `future` is done, without blocking its loop.

    When the waiting coroutine is cancelled, only the waiting ends.
    """
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    callback = _into_loop(loop, wake)
    future.when_done(callback)
    try:
        with suspending():
            yield from waiter
    finally:
        future.forget(callback)


async def until_all(futures: "Iterable[Future[Any]]") -> None:
    """Suspend until all of `futures` are done, whatever their outcome."""
    for future in futures:
        if not future.done():
            await _Ended(future)


async def until_all_or_timeout(futures: "Iterable[Future[Any]]", timeout: float) -> None:
    """The same, for at most `timeout` seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await until_all(futures)


class _Ended:
    """Makes the steps of `ended` awaitable by themselves."""

    __slots__ = ("_future",)

    def __init__(self, future: "Future[Any]") -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, None]:
        return ended(self._future)


def _into_loop(loop: asyncio.AbstractEventLoop, function: Callable[[Any], object]) -> "Callable[[Future[Any]], None]":
    def call(future: "Future[Any]") -> None:
        # The loop may be closed by the time the run ends: then nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(function, future)

    return call


def _checked(futures: "Iterable[Future[R]]", caller: str) -> "list[Future[R]]":
    if hasattr(futures, "when_done"):
        raise TypeError(f"{caller}() takes several futures, and {futures!r} is one: call its own `wait` or `result`.")
    found = list(futures)
    for each in found:
        if not hasattr(each, "when_done"):
            raise TypeError(f"{caller}() takes futures; one of these is of type {type(each).__name__}.")
    return found


def check_timeout(timeout: float | None) -> None:
    """Raise ValueError for a negative timeout."""
    if timeout is not None and timeout < 0:
        raise ValueError(f"A timeout is a number of seconds, zero or more; got {timeout}.")


def _deadline_in(timeout: float | None) -> float | None:
    check_timeout(timeout)
    return None if timeout is None else time.monotonic() + timeout


def _remaining(deadline: float | None) -> float | None:
    return None if deadline is None else deadline - time.monotonic()


def _next_ended(ended: "SimpleQueue[Future[R]]", deadline: float | None) -> "Future[R] | None":
    with suppress(Empty):
        return ended.get_nowait()
    if _has_passed(deadline):
        return None
    with blocking():
        while not _has_passed(deadline):
            with suppress(Empty):
                return ended.get(timeout=_nap(deadline))
    return None


def _has_passed(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _nap(deadline: float | None) -> float:
    """How long to block in one go.

    Python's handler of a signal that comes just before the main thread blocks, or in another thread, is called only
    when the main thread wakes.
    """
    longest = _SIGNAL_SECONDS if threading.current_thread() is threading.main_thread() else threading.TIMEOUT_MAX
    return longest if deadline is None else min(max(deadline - time.monotonic(), 0.0), longest)
