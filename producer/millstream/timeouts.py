"""Time limits for function calls: who takes too long is interrupted, wherever in Python code it is."""

import ctypes
import heapq
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

R = TypeVar("R")

_ALARM: Final = getattr(signal, "SIGRTMAX", signal.SIGALRM)
"""Breaks a blocking call of the main thread. Where there are real-time signals, one that programs hardly ever use."""


class TimeLimitExceeded(TimeoutError):
    """The function of a run took longer than its `timeout_seconds`."""


class Interrupt(BaseException):
    """Raised in the thread of a call that takes too long. No Exception, so that no `except Exception` stops it."""


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
        raise exceeded(seconds).with_traceback(interrupt.__traceback__) from None


def exceeded(seconds: float) -> TimeLimitExceeded:
    """The error for a limit of so many seconds."""
    return TimeLimitExceeded(f"It took longer than its time limit of {seconds:g} seconds.")


class _Limit:
    """One call with its deadline.

    The watchdog and the call agree without a lock, as an interrupt in the middle of taking one would leave it locked:
    the watchdog says that it is about to fire and then looks whether the call is over; the call says that it is over
    and then looks whether the watchdog is firing.
    """

    def __init__(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.fired = False
        self._thread = threading.get_ident()
        self._is_main = threading.current_thread() is threading.main_thread() and _takes_alarms()
        self._firing = False
        self._over = False

    def fire(self) -> None:
        self._firing = True
        if not self._over:
            self.fired = True
            if self._is_main:
                _fired.append(self)
                signal.pthread_kill(self._thread, _ALARM)
            else:
                _raise_in(self._thread, Interrupt)
        self._firing = False

    def end(self) -> None:
        self._over = True
        while self._firing:
            time.sleep(0)
        if self.fired:
            if not self._is_main:
                _raise_in(self._thread, None)
            elif self in _fired:
                _fired.remove(self)


_fired: list[_Limit] = []
"""Limits of the main thread whose interrupt has not arrived."""


def _takes_alarms() -> bool:
    """Have a signal interrupt the main thread, unless the program uses that signal for something of its own."""
    handler = signal.getsignal(_ALARM)
    if handler in (signal.SIG_DFL, signal.SIG_IGN):
        signal.signal(_ALARM, _on_alarm)
        return True
    return handler is _on_alarm


def _on_alarm(*_: object) -> None:
    if _fired:
        _fired.pop()
        raise Interrupt


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    raised = ctypes.py_object(error) if error else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


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
    _fired.clear()


os.register_at_fork(after_in_child=_forget)
