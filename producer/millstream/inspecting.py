"""Looks at single runs: what is recorded of them, and, of those that have not ended, where they are."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from millstream import sessions
from millstream_shared import errors, ids, packing, records
from millstream_shared.records import Record
from millstream_shared.settings import get_settings
from millstream_shared.states import FINAL_TYPES
from millstream_shared.store import Store
from millstream_shared.unfinished import UnfinishedRun, UnfinishedRuns

_DIGITS: Final = 32
_PAGE: Final = 500
_FEWEST_DIGITS: Final = len(ids.tree_of("0" * _DIGITS))
_NAMES: Final = {"queued": "Pending", "started": "Running", "scheduled": "AwaitingRetry", "deferred": "Pending"}


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands. Times are in seconds since the epoch; `error` is the text of a failed run's exception.

    `attempt` counts how often a worker took it. `flow_run_id` is the flow run that it belongs to, or, of a flow run,
    that which called it; `parent_run_id` is the task run that submitted it, if one did.
    """

    run_id: str
    kind: Literal["task", "flow"]
    name: str
    function_name: str
    state: str
    message: str | None
    tags: tuple[str, ...]
    created: float | None
    started: float | None
    ended: float | None
    attempt: int
    worker: str | None
    queue: str | None
    flow_run_id: str | None
    parent_run_id: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """What the store has of a run: its record, and its job while a worker has it, or is to have it."""

    run_id: str
    record: Record | None
    unfinished: UnfinishedRun | None

    @property
    def kind(self) -> Literal["task", "flow"]:
        """What sort of run it is."""
        if self.record is not None:
            return self.record.kind
        return self.unfinished.kind if self.unfinished else "task"

    @property
    def name(self) -> str:
        """What the run is called."""
        if self.record is not None:
            return self.record.name
        return self.unfinished.name if self.unfinished else self.run_id

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.record is not None and self.record.ended is not None


def find(given: str | uuid.UUID) -> Found:
    """The run of an id, of which the first twelve digits do for a flow run.

    Raises ObjectNotFound if there is none (any more), ValueError for what is no id.
    """
    digits = str(given).replace("-", "").lower()
    if not _FEWEST_DIGITS <= len(digits) <= _DIGITS or set(digits) - set("0123456789abcdef"):
        raise ValueError(
            f"The id of a run has {_DIGITS} hex digits; for a flow run the first {_FEWEST_DIGITS} do: {given!r}."
        )
    store = sessions.store()
    run_id = digits if len(digits) == _DIGITS else _completed(store, digits)
    found = look(store, [run_id])[0] if run_id else None
    if found is None or (found.record is None and found.unfinished is None):
        raise _unknown(given)
    return found


def look(store: Store, run_ids: list[str]) -> list[Found]:
    """What the store has of these, in this order."""
    stored = store.records(run_ids)
    unfinished = UnfinishedRuns(store).look([each for each in run_ids if not _has_ended(stored.get(each))])
    return [
        Found(run_id, records.decode(run_id, stored[run_id]) if run_id in stored else None, unfinished.get(run_id))
        for run_id in run_ids
    ]


def inspect(given: str | uuid.UUID) -> Run:
    """How a run stands. Raises as `find` does."""
    return described(find(given))


def task_runs(flow_run_id: str | uuid.UUID, takes: Callable[[Run], bool] = lambda _: True) -> Iterator[Run]:
    """The task runs of a flow run for which `takes` is true: those that have not ended first, the others as they come.

    Background runs belong to no flow run. Raises as `find` does.
    """
    return filter(takes, map(described, found_task_runs(find(flow_run_id).run_id)))


def found_task_runs(run_id: str) -> Iterator[Found]:
    """What the store has of the task runs of the flow run `run_id`, in the same order."""
    store = sessions.store()
    waiting = UnfinishedRuns(store).in_tree(run_id)
    for at in range(0, len(waiting), _PAGE):
        page = [found for found in look(store, waiting[at : at + _PAGE]) if found.kind == "task"]
        # What has ended meanwhile and has no record is gone with its time.
        yield from (found for found in page if found.record or found.unfinished)
    seen = set(waiting)
    for record in store.tree(run_id):
        if record.kind == "task" and record.run_id not in seen:
            yield Found(record.run_id, record, None)


def count_task_runs(flow_run_id: str | uuid.UUID) -> dict[str, Counter[str]]:
    """How many task runs of a flow run are in each state, by the name of the task. Raises as `find` does."""
    counts: dict[str, Counter[str]] = {}
    for run in task_runs(flow_run_id):
        counts.setdefault(run.function_name, Counter())[run.state] += 1
    return counts


def described(found: Found) -> Run:
    """The same in one shape, whether the run has ended, is executed, or waits."""
    record, job = found.record, found.unfinished
    if record is None:
        assert job is not None
        return _of_job(job)
    is_taken = job is not None and job.status == "started"
    # The record of a run that was postponed, and that a worker now executes, tells how it stood then.
    state = "Running" if is_taken and record.state_name == "AwaitingRetry" else record.state_name
    return Run(
        run_id=record.run_id,
        kind=record.kind,
        name=record.name,
        function_name=record.function_name,
        state=state,
        message=record.message,
        tags=record.tags,
        created=record.created,
        started=record.started,
        ended=record.ended,
        attempt=max(record.attempt, job.attempts if job else 0),
        worker=record.worker or (job.worker if job and is_taken else None),
        queue=job.queue if job else None,
        flow_run_id=record.flow_run_id,
        parent_run_id=record.parent_run_id,
        error=_error(record),
    )


def _of_job(job: UnfinishedRun) -> Run:
    is_taken = job.status == "started"
    return Run(
        run_id=job.run_id,
        kind=job.kind,
        name=job.name,
        function_name=job.function_name,
        state="AwaitingConcurrencySlot" if job.awaits else _NAMES.get(job.status, "Pending"),
        message=None,
        tags=job.tags,
        created=job.created,
        started=job.started if is_taken else None,
        ended=None,
        attempt=job.attempts,
        worker=job.worker if is_taken else None,
        queue=job.queue,
        flow_run_id=job.flow_run_id,
        parent_run_id=job.parent_run_id,
        error=None,
    )


def _error(record: Record) -> str | None:
    """The text of an exception, which is not unpickled: its class may not be here."""
    if record.data_kind != records.EXCEPTION or record.data is None or record.state_type not in FINAL_TYPES:
        return None
    _, text = packing.unpack(record.data)
    return text.rstrip()


def _completed(store: Store, digits: str) -> str | None:
    """The id that begins so: that of the flow run, or of the only run that does."""
    matching = [record for record in store.tree(digits) if record.run_id.startswith(digits)]
    flow_runs = [record.run_id for record in matching if record.kind == "flow"]
    if flow_runs or len(matching) == 1:
        return flow_runs[0] if flow_runs else matching[0].run_id
    waiting = [run_id for run_id in UnfinishedRuns(store).in_tree(digits) if run_id.startswith(digits)]
    return waiting[0] if len(waiting) == 1 else None


def _has_ended(stored: bytes | None) -> bool:
    return stored is not None and records.has_ended(stored)


def _unknown(given: object) -> errors.ObjectNotFound:
    settings = get_settings()
    place = "the Redis of MILLSTREAM_REDIS_URL" if settings.redis_url else f"the private server in {settings.home}"
    also = "" if settings.redis_url else " Runs on another Redis are found with MILLSTREAM_REDIS_URL set."
    return errors.ObjectNotFound(f"There is no run {str(given)!r} in {place}, or its time has passed.{also}")
