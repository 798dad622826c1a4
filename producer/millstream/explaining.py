"""Why a run does not move, in one sentence: `explaining.why(run_id)`.

Each reason is what follows the name of the run, "waits for ...", so that one can be told within another.
"""

import time
import uuid
from datetime import datetime
from typing import Final

from millstream import inspecting, sessions
from millstream.inspecting import Found
from millstream_shared import ids, keys
from millstream_shared.limits import Holder, Inspection, Limits, is_of_tag, of_tag
from millstream_shared.queues import Queues
from millstream_shared.states import StateType
from millstream_shared.store import Store
from millstream_shared.unfinished import UnfinishedRun, UnfinishedRuns
from millstream_shared.workers import Workers

_DEEPEST: Final = 3
"""Of how many runs, each waiting for the next, the reasons are told."""
_MOST_CHILDREN: Final = 1000


def why(run_id: str | uuid.UUID) -> str:
    """What a run does, or waits for, in one sentence; of one that has ended, how.

    Takes an id as a text or UUID; for a flow run its first twelve digits do. Raises ObjectNotFound if there is no such
    run (any more), ValueError for what is no id, RedisUnavailable if there is no server.
    """
    found = inspecting.find(run_id)
    return f"The {found.kind} run {found.name!r} {_Reasons(sessions.store()).of(found)}."


class _Reasons:
    """Finds reasons in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queues = Queues(store)
        self._workers = Workers(store)

    def of(self, found: Found, depth: int = 1) -> str:
        record, job = found.record, found.unfinished
        if record is not None and record.ended is not None:
            return f"has ended as {record.state_name}, {_clock(record.ended)}"
        reason = self._of_process(found) if job is None else self._of_job(job, depth)
        return reason + (self._of_children(found, depth) if found.kind == "flow" else "")

    def _of_job(self, job: UnfinishedRun, depth: int) -> str:
        if job.awaits:
            return self._of_limit(job)
        if job.status == "started":
            return self._of_worker(job)
        if job.status == "scheduled":
            return self._of_delay(job)
        if job.waits:
            return self._of_upstream(job, depth)
        return self._of_queue(job)

    # -- it is executed, or was

    def _of_worker(self, job: UnfinishedRun) -> str:
        if not job.is_held:
            return "is about to end, or to go back to its queue"
        if self._is_dead(job.worker, job.lease_seconds):
            return f"was executed by {job.worker}, which has died, and {self._of_heirs(job.queue)}"
        again = f" (attempt {job.attempts})" if job.attempts > 1 else ""
        return f"is executed by {job.worker}{_since(job.started)}{again}"

    def _of_process(self, found: Found) -> str:
        """Of a run that no worker was given: a flow that some process called, a task called in it."""
        record = found.record
        assert record is not None
        if record.state_type is StateType.PAUSED:
            return "is paused until somebody resumes it"
        owner = record.worker or self._workers.holder(found.run_id)
        state = "" if record.state_name == "Running" else f", in the state {record.state_name}"
        if owner is None:
            # Task runs that a process executes by itself are held by nobody but their flow run.
            return (
                f"is executed by its flow{_since(record.started)}"
                if found.kind == "task"
                else (f"was executed by a process that has died{state}")
            )
        lease = self._workers.lease_seconds(owner)
        if self._is_dead(owner, -1.0 if lease is None else lease):
            return f"was executed by the process {owner}, which has died, and {self._of_heirs(None)}"
        return f"is executed by the process {owner}{_since(record.started)}{state}"

    def _is_dead(self, owner: str, lease_seconds: float) -> bool:
        return lease_seconds <= 0 or (self._store.is_private and not ids.lives_here(owner))

    def _of_heirs(self, queue: str | None) -> str:
        if queue is None:
            return (
                "is recorded as crashed by the next worker that sees it"
                if self._is_served(None)
                else ("there is no worker that could record it as crashed: `millstream worker start`")
            )
        if self._is_served(queue):
            return "goes back to its queue when another worker has seen that"
        return _unserved(queue, ", which could take it over")

    def _is_served(self, queue: str | None) -> bool:
        alive = [worker for worker in self._workers.read_all() if not self._is_dead(worker.name, 1.0)]
        return any(queue is None or worker.serves(queue) for worker in alive)

    # -- it waits

    def _of_queue(self, job: UnfinishedRun) -> str:
        if obstacle := self._obstacle(job.queue):
            return f"is queued, and {obstacle}"
        place = self._queues.place(job.queue, job.run_id)
        if place is None:
            return "is about to be executed"
        total, name = self._queues.length(job.queue), keys.without_flows(job.queue)
        return f"is number {place} of {total} in the queue {name!r}{self._servers(job.queue)}"

    def _obstacle(self, queue: str) -> str:
        """What keeps all runs of the queue of exactly this name from being executed."""
        name = keys.without_flows(queue)
        if name in self._queues.paused():
            return f"the queue {name!r} is paused: `millstream queue resume {name}`"
        if self._queues.are_suspended():
            return "all workers are suspended: `rq resume`"
        if not self._is_served(queue):
            return _unserved(queue)
        return ""

    def _servers(self, queue: str) -> str:
        serving = [worker for worker in self._workers.read_all() if worker.serves(queue)]
        busy = sum(worker.executing for worker in serving)
        one = len(serving) == 1
        return f", which {len(serving)} worker{' serves' if one else 's serve'}, executing {busy} now"

    def _of_delay(self, job: UnfinishedRun) -> str:
        due = self._queues.postponed_until(job.queue, job.run_id)
        if due is None:
            return "is about to be queued"
        obstacle = self._obstacle(job.queue)
        blocked = f", and {obstacle}" if obstacle else ""
        if due <= time.time():
            return f"is due since {_clock(due)}{blocked}"
        if job.tries:
            failed = f"{job.tries} failed {'try' if job.tries == 1 else 'tries'}"
            return f"is postponed after {failed} until {_clock(due)}{blocked}"
        return f"is scheduled for {_clock(due)}{blocked}"

    def _of_limit(self, job: UnfinishedRun) -> str:
        found = Limits(self._store.script).inspect(job.awaits)
        name = f"tag {job.awaits.removeprefix(of_tag(''))!r}" if is_of_tag(job.awaits) else f"limit {job.awaits!r}"
        if found is None or not found.limit.active:
            return f"waited for the {name}, which limits nothing any more, and is about to be queued"
        limit = found.limit
        taken = f"waits for the {name}, {limit.taken} of {limit.limit} taken"
        oldest = min(found.holders, key=lambda holder: holder.since, default=None)
        return taken + (f", oldest holder {_holder(oldest)}" if oldest else "") + _line(found, job.run_id)

    def _of_upstream(self, job: UnfinishedRun, depth: int) -> str:
        upstream = [found for found in inspecting.look(self._store, list(job.upstream)) if not found.has_ended]
        upstream = [found for found in upstream if found.record or found.unfinished]
        if not upstream:
            return f"waits for {job.waits} other runs"
        first, more = upstream[0], len(upstream) - 1
        others = f" and {more} more" if more else ""
        named = f"waits for the {first.kind} run {first.name!r} ({first.run_id}){others}"
        return f"{named}: that one {self.of(first, depth + 1)}" if depth < _DEEPEST else named

    # -- what it has submitted waits

    def _of_children(self, found: Found, depth: int) -> str:
        """Of a flow run: what its task runs do, and, if none is executed, why."""
        if depth >= _DEEPEST:
            return ""
        waiting = [run_id for run_id in UnfinishedRuns(self._store).in_tree(found.run_id) if run_id != found.run_id]
        if not waiting:
            return ""
        # Those that are executed come first.
        runs = list(UnfinishedRuns(self._store).look(waiting[:_MOST_CHILDREN]).values())
        executed = sum(run.status == "started" for run in runs)
        if executed or not runs:
            return f"; of its task runs {executed} are executed and {len(waiting) - executed} wait"
        # What waits for other runs is not the first cause.
        first = min(runs, key=lambda run: bool(run.waits))
        reason = self._of_job(first, depth + 1)
        return f"; none of its {len(waiting)} unfinished task runs is executed: {first.name!r} {reason}"


def _unserved(queue: str, more: str = "") -> str:
    name = keys.without_flows(queue)
    if name == queue:
        return f"no worker serves the queue {name!r}{more}: `millstream worker start -q {name}`"
    return f"no worker executes flow runs of the queue {name!r}{more}: `millstream worker start -q {name} --flows N`"


def _holder(holder: Holder) -> str:
    who = holder.label or holder.id
    return f"{who!r} since {_clock(holder.since)}" + (f" ({holder.owner})" if holder.owner else " (called)")


def _line(found: Inspection, run_id: str) -> str:
    place = next((at for at, waiter in enumerate(found.waiters) if waiter.id == run_id), None)
    if place is None:
        return ""
    return ", it is next" if place == 0 else f", {place} before it"


def _since(moment: float | None) -> str:
    return f" since {_clock(moment)}" if moment else ""


def _clock(moment: float) -> str:
    """The time of day, with the date unless that is today's."""
    then = datetime.fromtimestamp(moment)
    return then.strftime("%H:%M:%S" if then.date() == datetime.now().date() else "%Y-%m-%d %H:%M:%S")
