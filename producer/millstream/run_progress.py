"""How far a flow run is, looked at again and again: what has ended is read once, however often one looks."""

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from millstream import run_history
from millstream.recorded_runs import FlowRun
from millstream_shared import keys, records
from millstream_shared.flow_runs import FlowRuns
from millstream_shared.records import Record
from millstream_shared.states import StateType
from millstream_shared.store import Store
from millstream_shared.unfinished import UnfinishedRuns

_SECONDS_OF_RATE: Final = 20.0
"""The rate is that of so many last seconds."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many runs of one task, or of one flow that was called or submitted, are in which state.

    `failed` are those that ended otherwise than completed. `rate` is how many end in a second, lately.
    """

    completed: int = 0
    failed: int = 0
    running: int = 0
    waiting: int = 0
    rate: float = 0.0

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.completed + self.failed

    @property
    def total(self) -> int:
        """How many there are so far."""
        return self.ended + self.running + self.waiting

    @property
    def seconds_left(self) -> float | None:
        """How long those that are there will take if it goes on like this; None if that cannot be told."""
        left = self.running + self.waiting
        return left / self.rate if left and self.rate else None


@dataclass(frozen=True, slots=True)
class Outlook:
    """One look at a flow run: how it stands, and its task runs and child flow runs by name, the first ones first."""

    run: FlowRun
    tasks: Mapping[str, Count]
    flows: Mapping[str, Count]

    @property
    def together(self) -> Count:
        """All task runs in one."""
        counts = list(self.tasks.values())
        return Count(
            sum(count.completed for count in counts),
            sum(count.failed for count in counts),
            sum(count.running for count in counts),
            sum(count.waiting for count in counts),
            sum(count.rate for count in counts),
        )


class Progress:
    """Looks at one flow run. A record is read once if its run has ended, and names of those that have not are kept."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._unfinished = UnfinishedRuns(store)
        self._forget()

    def look(self) -> Outlook:
        """How it stands now. Raises ObjectNotFound if there is no such flow run (any more)."""
        run = run_history.read_flow_run(self._run_id)
        going = self._names_of(self._unfinished.in_tree(self._run_id)) if run.record.ended is None else {}
        begun = self._unfinished.begun_in_tree(self._run_id) if going else set[str]()
        self._read_records()
        tasks: dict[str, Counter[str]] = {name: Counter(counted) for name, counted in self._ended.items()}
        for run_id, name in going.items():
            if run_id not in self._seen:
                tasks.setdefault(name, Counter())["running" if run_id in begun else "waiting"] += 1
        return Outlook(run, self._with_rates(tasks), self._flows())

    def _forget(self) -> None:
        self._seen: set[str] = set()
        self._length = 0
        self._ended: dict[str, Counter[str]] = {}
        self._open: set[str] = set()
        self._names: dict[str, str] = {}
        self._moments: deque[tuple[float, Mapping[str, int]]] = deque()

    def _read_records(self) -> None:
        key = keys.runs(self._run_id)
        length = self._store.command("HLEN", key)
        if length < self._length:
            self._forget()  # it is executed again, and some runs are made anew
        fresh = list(self._open)
        if length != self._length:
            found = (name.decode() for name in self._store.command("HKEYS", key))
            fresh += [run_id for run_id in found if run_id not in self._seen and run_id not in self._open]
        self._length = length
        for run_id, stored in self._store.records(fresh).items():
            self._take(run_id, stored)

    def _take(self, run_id: str, stored: bytes) -> None:
        if not records.has_ended(stored):
            self._open.add(run_id)
            return
        self._open.discard(run_id)
        self._seen.add(run_id)
        record = records.decode(run_id, stored)
        if record.kind == "task":
            self._ended.setdefault(record.function_name, Counter())[_kind(record)] += 1

    def _names_of(self, run_ids: list[str]) -> dict[str, str]:
        """The names of the tasks of these runs, asked for once."""
        unknown = [run_id for run_id in run_ids if run_id not in self._names]
        found = self._unfinished.look(unknown)
        known = {run_id: self._names[run_id] for run_id in run_ids if run_id in self._names}
        self._names = known | {run_id: job.function_name for run_id, job in found.items() if job.kind == "task"}
        return self._names

    def _with_rates(self, tasks: Mapping[str, Counter[str]]) -> dict[str, Count]:
        now = time.monotonic()
        ended = {name: counted["completed"] + counted["failed"] for name, counted in tasks.items()}
        self._moments.append((now, ended))
        while len(self._moments) > 2 and self._moments[1][0] < now - _SECONDS_OF_RATE:
            self._moments.popleft()
        since, before = self._moments[0]
        seconds = max(now - since, 1e-9)
        return {
            name: Count(**counted, rate=(ended[name] - before.get(name, 0)) / seconds)
            for name, counted in tasks.items()
        }

    def _flows(self) -> dict[str, Count]:
        counted: dict[str, Counter[str]] = {}
        for record in _in_order(FlowRuns(self._store).subflows(self._run_id)):
            # Of this tree are also those that were begun within its task runs; others are in trees of their own.
            counted.setdefault(record.function_name, Counter())[_kind(record)] += 1
        return {name: Count(**states) for name, states in counted.items()}


def _in_order(found: Iterable[Record]) -> list[Record]:
    return sorted(found, key=lambda record: record.created)


def _kind(record: Record) -> str:
    if record.ended is not None:
        return "completed" if record.state_type is StateType.COMPLETED else "failed"
    return "running" if record.state_type is StateType.RUNNING else "waiting"
