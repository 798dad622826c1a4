"""The lines of a flow run's log in the order in which they were logged: from records, and from what runs logged."""

import heapq
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from millstream import run_logging
from millstream_shared import packing, records
from millstream_shared.logs import Line, Logged, Logs
from millstream_shared.records import Record
from millstream_shared.states import FINAL_TYPES, State, StateType

_RUNS_AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. `time` is in seconds since the epoch, `level` a number of `logging`, `run_id` 32 hex digits.

    `dropped` over 0: this line stands for so many that were logged before the next one of its run, and are not kept.
    """

    time: float
    level: int
    kind: Literal["flow", "task"]
    run_name: str
    run_id: str
    message: str
    dropped: int = 0

    @property
    def level_name(self) -> str:
        """As `INFO`."""
        return logging.getLevelName(self.level)


class Told(NamedTuple):
    """What is known of runs: lines that their records make, and which of them have logged lines, first ones first."""

    by_records: list[LogLine]
    logged: list[Logged]
    kinds: dict[str, Literal["flow", "task"]]


@dataclass(slots=True)
class Seen:
    """What a reader that follows has been given: lines that records make, and of each run how far it was read."""

    said: set[LogLine] = field(default_factory=set[LogLine])
    runs: dict[str, tuple[Logged, Line | None]] = field(default_factory=dict[str, tuple[Logged, Line | None]])

    def is_new(self, run: Logged) -> bool:
        """Whether the run has logged more since."""
        return run.run_id not in self.runs or self.runs[run.run_id][0].mark != run.mark


def merged(logs: Logs, told: Told, level: int, seen: Seen | None = None) -> Iterator[LogLine]:
    """All lines from a level on by time; with `seen`, those that are new since it was given the last time."""
    said = (line for line in told.by_records if line.level >= level)
    if seen is not None:
        said = [line for line in said if line not in seen.said]
        seen.said.update(said)
    kept = _kept_lines(logs, told, seen)
    yield from heapq.merge(said, (line for line in kept if line.level >= level), key=lambda line: line.time)


def _kept_lines(logs: Logs, told: Told, seen: Seen | None) -> Iterator[LogLine]:
    """The lines that runs have logged, merged by time; a run's are read when its first one is due."""
    ahead = deque(run for run in told.logged if seen is None or seen.is_new(run))
    begun: list[tuple[float, int, LogLine, Iterator[LogLine]]] = []
    number = 0
    while ahead or begun:
        if ahead and (not begun or ahead[0].first <= begun[0][0]):
            due = [ahead.popleft().run_id for _ in range(min(_RUNS_AT_ONCE, len(ahead)))]
            found = logs.lines(due)
            sources = [_of_run(run, lines, told.kinds.get(run.run_id, "task"), seen) for run, lines in found]
        else:
            _, _, line, source = heapq.heappop(begun)
            yield line
            sources = [source]
        for source in sources:
            line = next(source, None)
            if line is not None:
                # The number decides between lines of one moment, which cannot be compared.
                number += 1
                heapq.heappush(begun, (line.time, number, line, source))


def _of_run(run: Logged, lines: list[Line], kind: Literal["flow", "task"], seen: Seen | None) -> Iterator[LogLine]:
    logged = run.total
    if seen is not None:
        before, last = seen.runs.get(run.run_id, (None, None))
        seen.runs[run.run_id] = (run, lines[-1] if lines else last)
        logged -= before.total if before else 0
        lines = _after(last, lines)
    return _each(run, lines, logged - len(lines), kind)


def _after(last: Line | None, lines: list[Line]) -> list[Line]:
    """The lines that follow the one that was read last; if that is gone, all."""
    at = next((at for at in range(len(lines), 0, -1) if lines[at - 1] == last), 0)
    return lines[at:]


def _each(run: Logged, lines: list[Line], dropped: int, kind: Literal["flow", "task"]) -> Iterator[LogLine]:
    if dropped > 0:
        moment = lines[0][0] if lines else run.first
        message = f"... {dropped:,} earlier lines dropped"
        yield LogLine(moment, logging.WARNING, kind, run.name, run.run_id, message, dropped)
    for moment, level, message in lines:
        yield LogLine(moment, level, kind, run.name, run.run_id, message)


# --- what records say -------------------------------------------------------------------------------------------------


def said_by(record: Record) -> Iterator[LogLine]:
    """That the run began, what its function raised, how it ended; as the process said it that executed it."""

    def line(moment: float, level: int, message: str) -> LogLine:
        return LogLine(moment, level, record.kind, record.name, record.run_id, message)

    if record.kind == "flow" and record.started is not None:
        beginning = f"Beginning flow run {record.name!r} for flow {record.function_name!r}"
        yield line(record.started, logging.INFO, beginning)
    if record.ended is not None and record.state_type in FINAL_TYPES:
        state: State[Any] = State(record.state_type, name=record.state_name, message=record.message)
        if record.data_kind == records.EXCEPTION and record.state_type is StateType.FAILED and record.data:
            yield line(record.ended, logging.ERROR, f"Encountered an exception:\n{_traceback(record.data)}")
        yield line(record.ended, run_logging.level_of(state), f"Finished in state {state}")


def _traceback(exception: bytes) -> str:
    """The text in an encoded exception, which is not unpickled: its class may not be here."""
    _, text = packing.unpack(exception)
    return text.rstrip()
