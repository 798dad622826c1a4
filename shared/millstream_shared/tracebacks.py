"""Tracebacks that begin where the user's code begins."""

from types import TracebackType


def of_user_code(exception: BaseException) -> TracebackType | None:
    """The exception's traceback without its first frames, which are ours and tell the reader nothing."""
    found = exception.__traceback__
    while found is not None and found.tb_frame.f_globals.get("__name__", "").startswith("millstream"):
        found = found.tb_next
    return found or exception.__traceback__
