"""How a log line looks as a JSON object, for programs that gather the output of containers."""

import json
import logging
from datetime import UTC, datetime

_ATTRIBUTES = (
    "task_run_id",
    "task_run_name",
    "task_name",
    "flow_run_id",
    "flow_run_name",
    "flow_name",
)


class JsonFormatter(logging.Formatter):
    """One object a line: `event`, `level`, `timestamp` (UTC), `logger`, what is known of the run, and `exception`.

    The first three are those of a worker's own lines.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`, with its traceback in it."""
        known = {name: value for name in _ATTRIBUTES if (value := getattr(record, name, None)) is not None}
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "logger": record.name,
            **known,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
