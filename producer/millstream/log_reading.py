"""Reads what the runs of a flow have logged, in the order in which it happened.

Lines that runs logged themselves are merged with what their records say: when they began, how they ended.
"""

import logging
import time
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from millstream import sessions
from millstream.log_lines import LogLine, Seen, Told, merged, said_by
from millstream_shared import errors, ids, records
from millstream_shared.kept import Kept
from millstream_shared.logs import Logs
from millstream_shared.settings import get_settings

_PAUSE_SECONDS: Final = 0.25
_FEWEST_DIGITS: Final = len(ids.tree_of("0" * 32))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: from a level on, of a task (the name or id of a run, or a task's name; None: all), of subflows."""

    level: int = logging.NOTSET
    task: str | None = None
    subflows: bool = True

    def takes(self, run_id: str, name: str, function: str) -> bool:
        """Whether lines of this run are wanted."""
        return self.task is None or self.task in (run_id, name, function)


def read_logs(
    flow_run_id: str | uuid.UUID, *, level: int | str = logging.NOTSET, task: str | None = None, subflows: bool = True
) -> Iterator[LogLine]:
    """The lines of a flow run and of all that ran in it, by time; flows that it called included, unless not `subflows`.

    The id may be its first twelve digits, which are in the line that says that the flow begins. `task` is the name or
    id of a task run, or the name of a task: only lines of such runs are given then. Lines below `level` are left out.
    Raises ObjectNotFound if there is no such flow run (any more), ValueError for what is no id, or no level.
    """
    run_id, wanted = _found(flow_run_id, Wanted(level_number(level), task, subflows))
    return merged(Logs(sessions.current().store), _load(run_id, wanted), wanted.level)


def follow_logs(
    flow_run_id: str | uuid.UUID, *, level: int | str = logging.NOTSET, task: str | None = None, subflows: bool = True
) -> Iterator[LogLine]:
    """The same, and after that what comes until the flow run has ended. Lines of one moment come in any order."""
    run_id, wanted = _found(flow_run_id, Wanted(level_number(level), task, subflows))
    return _following(run_id, wanted)


def _following(run_id: str, wanted: Wanted) -> Iterator[LogLine]:
    seen = Seen()
    while True:
        began = time.monotonic()
        has_ended = _has_ended(run_id)
        yield from merged(Logs(sessions.current().store), _load(run_id, wanted), wanted.level, seen)
        if has_ended:
            return
        # A flow of many runs, of all of which the records are looked at, is looked at more rarely.
        time.sleep(max(_PAUSE_SECONDS, 4 * (time.monotonic() - began)))


def level_number(level: int | str) -> int:
    """A level of `logging` by its name. Raises ValueError, naming those there are."""
    if isinstance(level, int):
        return level
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise ValueError(f"There is no level {level!r}: it is one of {', '.join(known)}, or a number.")
    return known[level.upper()]


# --- which runs -------------------------------------------------------------------------------------------------------


def _found(given: str | uuid.UUID, wanted: Wanted) -> tuple[str, Wanted]:
    """The id of a flow run by the beginning of it, or of a task run, of which alone lines are wanted then."""
    digits = str(given).replace("-", "").lower()
    if not _FEWEST_DIGITS <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
        raise ValueError(f"The id of a flow run has 32 hex digits, of which the first {_FEWEST_DIGITS} do: {given!r}.")
    store = sessions.current().store
    matching = [record for record in store.tree(digits) if record.run_id.startswith(digits)]
    flow_runs = [record.run_id for record in matching if record.kind == "flow"]
    if flow_runs:
        return flow_runs[0], wanted
    task_runs = [record.run_id for record in matching]
    task_runs += [logged.run_id for logged in Logs(store).logged(digits) if logged.run_id.startswith(digits)]
    if len(digits) == 32 and not task_runs and store.look([digits])[digits] is not None:
        task_runs.append(digits)  # it is queued, or has not logged anything yet
    if task_runs:
        return task_runs[0], replace(wanted, task=wanted.task or task_runs[0])
    raise _unknown(given)


def _unknown(given: str | uuid.UUID) -> errors.ObjectNotFound:
    settings = get_settings()
    place = "the Redis of MILLSTREAM_REDIS_URL" if settings.redis_url else f"the private server in {settings.home}"
    also = "" if settings.redis_url else " Runs on another Redis are found with MILLSTREAM_REDIS_URL set."
    return errors.ObjectNotFound(f"There is no flow run {str(given)!r} in {place}, or its time has passed.{also}")


def _load(run_id: str, wanted: Wanted) -> Told:
    store = sessions.current().store
    told = Told([], [], {})
    trees, seen = deque([run_id]), {ids.tree_of(run_id)}
    while trees:
        tree = trees.popleft()
        functions: dict[str, str] = {}
        for record in store.tree(tree):
            functions[record.run_id] = record.function_name
            told.kinds[record.run_id] = record.kind
            if wanted.takes(record.run_id, record.name, record.function_name):
                told.by_records.extend(said_by(record))
        for logged in Logs(store).logged(tree):
            # The record of a task that a worker executes is written when it has ended.
            function = functions.get(logged.run_id) or logged.name.rpartition("-")[0]
            if wanted.takes(logged.run_id, logged.name, function):
                told.logged.append(logged)
        for child in Kept(store).subflows(tree) if wanted.subflows else ():
            if ids.tree_of(child) not in seen:
                seen.add(ids.tree_of(child))
                trees.append(child)
    told.by_records.sort(key=lambda line: line.time)
    told.logged.sort(key=lambda run: run.first)
    return told


def _has_ended(run_id: str) -> bool:
    found = sessions.current().store.look([run_id])[run_id]
    return found is None or (isinstance(found, bytes) and records.has_ended(found))
