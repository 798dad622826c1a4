"""The record of a run that ends because of what happened to its processes, written by the worker that found out."""

import time
from dataclasses import replace

from millstream import recording, timeouts
from millstream_shared import errors, limits, records
from millstream_shared.claims import Claim, Orphan, Postponed
from millstream_shared.records import Record
from millstream_shared.states import StateType
from millstream_worker.children import Limit
from millstream_worker.outcomes import Outcome


def timed_out(claim: Claim, limit: Limit, worker: str) -> Outcome | Postponed:
    """The outcome of a run whose process had to be killed as it outlasted its time limit, or its next try."""
    failure = timeouts.exceeded(limit.seconds)
    before = replace(
        recording.record_of_queued(claim.run_id, claim.payload),
        attempt=claim.attempt,
        worker=worker,
        started=time.time() - limit.seconds,
        message=f"Task run timed out, and its process was killed. {failure}",
    )
    if limit.retry_after is not None:
        after = replace(before, state_type=StateType.SCHEDULED, state_name="AwaitingRetry")
        return Postponed(claim.run_id, claim.attempt, after.encode(), limit.retry_after, limit.tries + 1)
    after = replace(
        before,
        state_type=StateType.FAILED,
        state_name="TimedOut",
        ended=time.time(),
        data_kind=records.EXCEPTION,
        data=records.encode_exception(failure),
    )
    return claim.run_id, claim.attempt, after.encode()


def cancelled(run_id: str, attempt: int, payload: bytes, worker: str) -> Outcome:
    """The outcome of a run that was told to stop, from its payload."""
    queued = recording.record_of_queued(run_id, payload)
    return run_id, attempt, _cancelled(replace(queued, attempt=attempt, worker=worker)).encode()


def _cancelled(before: Record) -> Record:
    return replace(
        before,
        state_type=StateType.CANCELLED,
        state_name="Cancelled",
        message="The run was cancelled.",
        ended=time.time(),
    )


def lost(orphan: Orphan, worker: str, cause: str) -> Outcome:
    """The outcome that says: Crashed, because of `cause`; of a flow run that was to stop: Cancelled."""
    failure = errors.CrashedRun(f"The process that executed the run was lost: {cause}.")
    before = (
        records.decode(orphan.run_id, orphan.content)
        if orphan.is_flow
        else recording.record_of_queued(orphan.run_id, orphan.content)
    )
    before = replace(before, attempt=orphan.attempt, worker=worker)
    if before.state_type is StateType.CANCELLING:
        return orphan.run_id, orphan.attempt, _cancelled(before).encode()
    after = replace(
        before,
        state_type=StateType.CRASHED,
        state_name="Crashed",
        message=str(failure),
        ended=time.time(),
        data_kind=records.EXCEPTION,
        data=records.encode_exception(failure),
    )
    return orphan.run_id, orphan.attempt, after.encode()


def aborted(claim: Claim, worker: str) -> Outcome:
    """The outcome of a run that a concurrency limit of 0 does not let begin."""
    state = limits.aborted(claim.refused_by)
    queued = recording.record_of_queued(claim.run_id, claim.payload)
    after = replace(
        queued,
        attempt=claim.attempt,
        worker=worker,
        state_type=state.type,
        state_name=state.name,
        message=state.message,
        ended=time.time(),
    )
    return claim.run_id, claim.attempt, after.encode()
