"""Logs of runs, under the name by which programs import them: to write them, and to read them."""

from typing import TYPE_CHECKING, Any

from millstream.run_logging import get_run_logger

if TYPE_CHECKING:
    from millstream.log_lines import LogLine
    from millstream.log_reading import follow_logs, read_logs

__all__ = ["LogLine", "follow_logs", "get_run_logger", "read_logs"]


def __getattr__(name: str) -> Any:
    # To read them takes the Redis client, which is slow to import for a script that only writes some.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from millstream import log_reading

    return getattr(log_reading, name)
