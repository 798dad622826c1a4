"""Time limits for function calls: who takes too long is interrupted, wherever in Python code it is."""

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from millstream.interrupts import Interrupt, Target

R = TypeVar("R")

_MUCH_LATER = 0.3


class TimeLimitExceeded(TimeoutError):
    """The function of a run took longer than its `timeout_seconds`."""


def checked(given: Any) -> float | None:
    """`timeout_seconds` as an option takes it; None and 0 mean no limit. Raises TypeError or ValueError."""
    if given is None:
        return None
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise TypeError(f"timeout_seconds takes a number of seconds, got {given!r}.")
    if given < 0:
        raise ValueError(f"timeout_seconds is 0 or more, got {given}.")
    return float(given) or None


def call(seconds: float, function: Callable[..., R], *args: Any) -> R:
    """What `function(*args)` gives. Raises TimeLimitExceeded if it takes longer than `seconds`.

    It is interrupted between two bytecodes; in the main thread, in a blocking system call as well. In other threads a
    blocking call has to come back first.
    """
    limit = _Limit(seconds)
    try:
        try:
            _watchdog.watch(limit)
            return function(*args)
        finally:
            limit.end()
    except Interrupt as interrupt:
        limit.end()
        if not limit.fired:
            raise  # a limit further out
        # With the line that was interrupted.
        late = time.monotonic() - limit.deadline
        raise exceeded(seconds, late).with_traceback(interrupt.__traceback__) from None


def exceeded(seconds: float, late: float = 0.0) -> TimeLimitExceeded:
    """The error for a limit of so many seconds, to which the function was held `late` by so many."""
    told = f"It took longer than its time limit of {seconds:g} seconds"
    if late > _MUCH_LATER:
        told += f", by {late:.1f}: a blocking call in it could not be interrupted"
    return TimeLimitExceeded(f"{told}.")


class _Limit(Target):
    """One call with its deadline."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.deadline = time.monotonic() + seconds


class _Watchdog:
    """One thread that fires all limits of the process, started when there is the first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._limits: list[tuple[float, int, _Limit]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    def watch(self, limit: _Limit) -> None:
        with self._changed:
            heapq.heappush(self._limits, (limit.deadline, next(self._numbers), limit))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="millstream-time-limits", daemon=True)
                self._thread.start()
            elif self._limits[0][2] is limit:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._limits:
                    self._changed.wait()
                left = self._limits[0][0] - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                limit = heapq.heappop(self._limits)[2]
            limit.fire()


_watchdog = _Watchdog()


def _forget() -> None:
    global _watchdog
    _watchdog = _Watchdog()


os.register_at_fork(after_in_child=_forget)
