"""How log lines look, and how they get to standard error."""

import logging
import os
import sys
import threading
import time
from collections import deque
from typing import Any, Final, TextIO, cast

from millstream_shared.settings import get_settings

_MOST_LEFT: Final = 100
_root: Final = logging.getLogger("millstream")
_ready = False
_getting_ready = threading.Lock()


def make_ready() -> None:
    """Give our logger a level and a handler, unless the program has set up logging of its own."""
    global _ready
    if _ready:
        return
    # Two threads that begin at once: neither may log before there is a handler.
    with _getting_ready:
        if not _ready:
            _set_up()
            _ready = True


def _set_up() -> None:
    if _root.level == logging.NOTSET:
        _root.setLevel(get_settings().logging_level)
    if not _root.hasHandlers():
        handler = StderrHandler()
        if get_settings().logging_format == "json":
            from millstream.json_lines import JsonFormatter  # few want it

            handler.setFormatter(JsonFormatter())
        _root.addHandler(handler)


def _renew_lock() -> None:
    global _getting_ready
    _getting_ready = threading.Lock()


# A thread of the parent may have held it.
os.register_at_fork(after_in_child=_renew_lock)


class RunFormatter(logging.Formatter):
    """`00:03:45.159 | INFO    | Task run 'count_words-01a' - Finished in state Completed()`"""

    def __init__(self) -> None:
        super().__init__()
        self._clock = (-1, "")

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`, with its traceback below."""
        second, clock = self._clock
        if second != int(record.created):
            second = int(record.created)
            clock = time.strftime("%H:%M:%S", time.localtime(second))
            # In one piece, as threads format at once.
            self._clock = (second, clock)
        fields = record.__dict__
        if "task_run_name" in fields:
            label = f"Task run {fields['task_run_name']!r} - "
        elif "flow_run_name" in fields:
            label = f"Flow run {fields['flow_run_name']!r} - "
        else:
            label = ""
        line = f"{clock}.{int(record.msecs):03} | {record.levelname:<7} | {label}{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is now, not to what it was when logging began.

    Threads do not queue up for the handler's lock: who finds another one writing leaves its line to that one. To write
    gives up the interpreter lock; if the handler's is held until that one has come back, sixteen threads that log a
    line for each short run spend half of their time on taking turns.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(RunFormatter())
        self._renew()
        # What another thread was about to write, the parent writes.
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lines: deque[tuple[logging.LogRecord, str]] = deque()
        self._left = 0
        self._writer = threading.RLock()
        self._is_writing = False

    @property
    def stream(self) -> TextIO:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Standard error."""
        return cast("TextIO", sys.stderr)

    def handle(self, record: logging.LogRecord) -> bool:
        """Have `record` written, unless a filter is against it."""
        # From Python 3.12 on, a filter may put another record in the place of this one.
        kept: Any = self.filter(record)
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return bool(kept)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of `record`, or have the thread do it that is writing."""
        try:
            line = self.format(record) + self.terminator
        except Exception:
            self.handleError(record)
            return
        self._lines.append((record, line))
        self._left += 1
        # Of many that are left to one thread, others wait for it: it has work of its own, and if nobody reads what it
        # writes, the lines would fill the memory.
        self._write(wait=self._left > _MOST_LEFT)

    def flush(self) -> None:
        """Wait until all lines are written."""
        self._write(wait=True)

    def _write(self, *, wait: bool) -> None:
        while self._writer.acquire(blocking=wait):
            try:
                if self._is_writing:
                    # A signal's handler, or a destructor, logs in the middle of this, which goes on with its line.
                    return
                self._write_lines()
            finally:
                self._writer.release()
            if not self._lines:
                return

    def _write_lines(self) -> None:
        self._is_writing, self._left = True, 0
        try:
            while self._lines:
                record, line = self._lines.popleft()
                try:
                    self.stream.write(line)
                    self.stream.flush()
                except Exception:
                    self.handleError(record)
        finally:
            self._is_writing = False
