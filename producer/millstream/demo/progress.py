"""Watches a flow run from outside: reads its records from the store now and then, and has somebody show them."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, Self

from millstream_shared.records import Record
from millstream_shared.states import StateType

_logger = logging.getLogger("millstream.demo")
_PAUSE = 0.25
# Reading all records of a large run takes a while: the time spent on it stays below a tenth of one CPU.
_PAUSE_PER_SECOND_OF_READING = 10.0
_SECONDS_TO_END = 2.0


@dataclass(frozen=True, slots=True)
class Count:
    """How many runs of a task have ended, and how many of these did not complete."""

    ended: int = 0
    failed: int = 0


class Display(AbstractContextManager["Display"], Protocol):
    """Shows how far a flow run is, from `__enter__` to `__exit__`."""

    def show(self, counts: Mapping[str, Count]) -> None:
        """Show the runs that have ended, by the name of their task."""
        ...


class Watch:
    """While entered, shows the flow run whose id it is given on `display`, at most four times a second.

    `read` gives the records of all runs in the tree of a flow run.
    """

    def __init__(self, display: Display, read: Callable[[str], list[Record]]) -> None:
        self._display = display
        self._read = read
        self._run_id = ""
        self._over = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="millstream-demo-progress", daemon=True)

    @property
    def run_id(self) -> str:
        """The id of the flow run, or nothing if it has not begun."""
        return self._run_id

    def begin(self, run_id: str) -> None:
        """This is the flow run to watch."""
        self._run_id = run_id
        self._begun.set()

    def __enter__(self) -> Self:
        self._display.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._begun.set()
        # It may be waiting for a server that is away; whoever leaves early should not have to.
        self._thread.join(_SECONDS_TO_END)
        self._display.__exit__(None, None, None)

    def _watch(self) -> None:
        self._begun.wait()
        pause = _PAUSE
        while not self._over.wait(pause):
            began = time.monotonic()
            try:
                counts = count(self._read(self._run_id))
            except Exception as failure:
                # What goes wrong concerns the run too, which rides it out or ends with the error: this only looks on.
                _logger.debug("No progress to show: %s", failure)
                continue
            pause = max(_PAUSE, (time.monotonic() - began) * _PAUSE_PER_SECOND_OF_READING)
            self._display.show(counts)


def count(records: list[Record]) -> dict[str, Count]:
    """The task runs among these that have ended, by the name of their task."""
    counts: dict[str, Count] = {}
    for record in records:
        if record.kind == "task" and record.ended is not None:
            so_far = counts.get(record.function_name, Count())
            failed = so_far.failed + (record.state_type is not StateType.COMPLETED)
            counts[record.function_name] = Count(so_far.ended + 1, failed)
    return counts
