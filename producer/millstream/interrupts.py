"""Interrupts: an exception raised in another thread, wherever in Python code that is."""

import ctypes
import os
import signal
import threading
import time
from typing import Final

_ALARM: Final = getattr(signal, "SIGRTMAX", signal.SIGALRM)
"""Breaks a blocking call of the main thread. Where there are real-time signals, one that programs hardly ever use."""


class Interrupt(BaseException):
    """Raised in the thread of a call that is to end. No Exception, so that no `except Exception` stops it."""


class Target:
    """A call in the thread that makes this, which another thread may interrupt.

    It is interrupted between two bytecodes; in the main thread, in a blocking system call as well. In other threads a
    blocking call has to come back first.

    Who fires and the call agree without a lock, as an interrupt in the middle of taking one would leave it locked: who
    fires says that he is about to and then looks whether the call is over; the call says that it is over and then
    looks whether somebody is firing.
    """

    def __init__(self) -> None:
        self.fired = False
        self.thread = threading.get_ident()
        self._is_main = threading.current_thread() is threading.main_thread() and _takes_alarms()
        self._firing = False
        self._over = False

    def fire(self) -> None:
        """Raise Interrupt in the call, unless it is over. Called once, by another thread."""
        self._firing = True
        if not self._over:
            self.fired = True
            if self._is_main:
                _fired.append(self)
                _interrupted.add(self.thread)
                signal.pthread_kill(self.thread, _ALARM)
            else:
                raise_in(self.thread, Interrupt)
        self._firing = False

    def end(self) -> None:
        """The call is over: no Interrupt comes after this. Called by it, again if one came in the middle of this."""
        self._over = True
        while self._firing:
            time.sleep(0)
        if self.fired:
            if not self._is_main:
                raise_in(self.thread, None)
                return
            _interrupted.discard(self.thread)
            if self in _fired:
                _fired.remove(self)


_fired: list[Target] = []
"""Those in the main thread whose interrupt has not arrived."""


_interrupted: set[int] = set()


def is_interrupted(thread: int) -> bool:
    """Whether a call in this thread was interrupted and is not over yet: it should unwind in peace."""
    return thread in _interrupted


def raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have a thread raise `error` when it executes Python code next; None takes that back."""
    if error is None:
        _interrupted.discard(thread)
    else:
        _interrupted.add(thread)
    raised = ctypes.py_object(error) if error else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


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


os.register_at_fork(after_in_child=_fired.clear)
os.register_at_fork(after_in_child=_interrupted.clear)
