"""How a worker speaks about itself: structlog, one line an event, on stderr."""

import logging
import sys

import structlog

from millstream_shared.settings import get_settings


def set_up(*, quiet: bool) -> None:
    """Log at the configured level; a `quiet` worker, one started for a script, only from WARNING on."""
    level = logging.getLevelNamesMapping().get(get_settings().logging_level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(max(level, logging.WARNING) if quiet else level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
