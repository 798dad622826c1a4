"""How a worker speaks about itself: structlog, one line an event, on stderr.

structlog takes a while to import, so a worker that has nothing to say, as one that was started for a script, does not.
"""

import importlib
import logging
import sys
from functools import cache
from typing import Any

from millstream_shared.settings import get_settings

_threshold = logging.INFO
_format = "console"


def set_up(*, quiet: bool) -> None:
    """Speak in the configured format, from the configured level on; a `quiet` worker from WARNING on.

    One that will speak imports what it needs for that, so that processes which are forked afterwards share it.
    """
    global _threshold, _format
    _format = get_settings().logging_format
    level = logging.getLevelNamesMapping()[get_settings().logging_level]
    _threshold = max(level, logging.WARNING) if quiet else level
    if _threshold <= logging.INFO:
        importlib.import_module("structlog")


def info(event: str, **fields: Any) -> None:
    """Something happened as it should."""
    _say(logging.INFO, event, fields)


def warning(event: str, **fields: Any) -> None:
    """Something happened that is provided for and should be rare."""
    _say(logging.WARNING, event, fields)


def error(event: str, **fields: Any) -> None:
    """Something happened that somebody should look into."""
    _say(logging.ERROR, event, fields)


def _say(level: int, event: str, fields: dict[str, Any]) -> None:
    if level >= _threshold:
        _logger().log(level, event, **fields)


@cache
def _logger() -> Any:
    import structlog

    if _format == "json":
        rendered: list[Any] = [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(default=str),
        ]
    else:
        rendered = [
            structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
        ]
    structlog.configure(
        processors=[structlog.processors.add_log_level, *rendered],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    return structlog.get_logger()
