"""What the records of a flow run tell: how its runs ended, how long they took, who executed them, and when."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from millstream_shared.records import Record
from millstream_shared.states import StateType


@dataclass(frozen=True, slots=True)
class TaskFigures:
    """The ended runs of one task: how many by state; seconds that the typical and the longest one ran (0: none ran)."""

    name: str
    states: Counter[StateType]
    typical: float
    longest: float

    @property
    def runs(self) -> int:
        """How many there are in all."""
        return self.states.total()


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """What one worker executed: how many runs, and seconds from its first one's start to its last one's end."""

    name: str
    runs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """A flow run: seconds from its start to its end, its tasks in the order in which they began, its workers.

    `records` are those of the task runs.
    """

    seconds: float
    tasks: list[TaskFigures]
    workers: list[WorkerFigures]
    records: list[Record]
    began: float

    @property
    def runs(self) -> int:
        """How many task runs there are."""
        return len(self.records)


def read(records: Iterable[Record]) -> Figures:
    """The figures of a flow run that has ended, from all records of its tree."""
    flow_runs: list[Record] = []
    task_runs: list[Record] = []
    for record in records:
        (flow_runs if record.kind == "flow" else task_runs).append(record)
    task_runs.sort(key=_start)
    began = min((_start(record) for record in flow_runs + task_runs), default=0.0)
    ended = max((record.ended or began for record in flow_runs + task_runs), default=began)
    return Figures(
        seconds=ended - began,
        tasks=[_of_task(name, runs) for name, runs in by_task(task_runs).items()],
        workers=[_of_worker(name, runs) for name, runs in sorted(_by_worker(task_runs).items())],
        records=task_runs,
        began=began,
    )


def by_task(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records of each task, in the order in which the tasks first appear."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.function_name, []).append(record)
    return found


def in_progress(records: Iterable[Record], began: float, seconds: float, columns: int) -> list[float]:
    """How many of the runs were in progress, on average, in each of `columns` equal parts of the time."""
    width = seconds / columns or 1e-6
    filled = [0.0] * columns
    for record in records:
        if record.started is None or record.ended is None:
            continue
        start, end = (record.started - began) / width, (record.ended - began) / width
        for column in range(max(int(start), 0), min(int(end), columns - 1) + 1):
            filled[column] += max(min(end, column + 1) - max(start, column), 0.0)
    return filled


def peak(records: Iterable[Record]) -> int:
    """The most of the runs that were in progress at the same time."""
    steps: list[tuple[float, int]] = []
    for record in records:
        if record.started is not None and record.ended is not None:
            steps += ((record.started, 1), (record.ended, -1))
    now = highest = 0
    # At equal times an end (-1) comes first: those two runs did not overlap.
    for _, step in sorted(steps):
        now += step
        highest = max(highest, now)
    return highest


def _by_worker(records: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        # A run that never began, because something it needed failed, has no worker.
        if record.worker is not None and record.started is not None:
            found.setdefault(record.worker, []).append(record)
    return found


def _of_task(name: str, runs: Sequence[Record]) -> TaskFigures:
    took = [record.ended - record.started for record in runs if record.started is not None and record.ended is not None]
    return TaskFigures(
        name=name,
        states=Counter(record.state_type for record in runs),
        typical=statistics.median(took) if took else 0.0,
        longest=max(took, default=0.0),
    )


def _of_worker(name: str, runs: Sequence[Record]) -> WorkerFigures:
    ended = max(record.ended or _start(record) for record in runs)
    return WorkerFigures(name, len(runs), ended - min(_start(record) for record in runs))


def _start(record: Record) -> float:
    return record.created if record.started is None else record.started
