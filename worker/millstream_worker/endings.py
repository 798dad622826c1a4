"""The record of a run that ends because of what happened to its processes, written by the worker that found out."""

import time
from dataclasses import replace

from millstream import recording
from millstream_shared import errors, limits, records
from millstream_shared.claims import Claim, Orphan
from millstream_shared.states import StateType
from millstream_worker.outcomes import Outcome


def crashed(orphan: Orphan, worker: str, cause: str) -> Outcome:
    """The outcome that says: Crashed, because of `cause`."""
    failure = errors.CrashedRun(f"The process that executed the run was lost: {cause}.")
    before = (
        records.decode(orphan.run_id, orphan.content)
        if orphan.is_flow
        else recording.record_of_queued(orphan.run_id, orphan.content)
    )
    after = replace(
        before,
        attempt=orphan.attempt,
        worker=worker,
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
