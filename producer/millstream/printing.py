"""`log_prints`: what a run prints becomes lines of its log."""

import builtins
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from millstream import run_logging

_logs: ContextVar[bool] = ContextVar("millstream_log_prints", default=False)
_lock = threading.Lock()
_users = 0
_replaced: Any = None


def are_logged() -> bool:
    """Whether what the current code prints is logged."""
    return _logs.get()


@contextmanager
def logged(wanted: bool) -> Generator[None]:
    """Within, `print` to stdout or stderr writes to the run's log, if `wanted`; else it prints."""
    token = _logs.set(wanted)
    try:
        if not wanted:
            yield
            return
        _replace()
        try:
            yield
        finally:
            _restore()
    finally:
        _logs.reset(token)


def _replace() -> None:
    global _users, _replaced
    with _lock:
        _users += 1
        if _users == 1:
            _replaced, builtins.print = builtins.print, _print


def _restore() -> None:
    global _users
    with _lock:
        _users -= 1
        # Not if somebody else has replaced it meanwhile, as a test's capture may.
        if _users == 0 and builtins.print is _print:
            builtins.print = _replaced


def _print(*values: Any, sep: str | None = None, end: str | None = None, file: Any = None, flush: bool = False) -> None:
    if not _logs.get() or file not in (None, sys.stdout, sys.stderr):
        _replaced(*values, sep=sep, end=end, file=file, flush=flush)
        return
    run_logging.get_run_logger().info("%s", (" " if sep is None else sep).join(str(value) for value in values))
