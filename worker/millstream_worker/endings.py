"""The record of a run that ends because of what happened to its processes, written by the worker that found out."""

import time
from dataclasses import replace

from millstream_shared import envelopes, errors, records
from millstream_shared.claims import Orphan
from millstream_shared.envelopes import Header
from millstream_shared.records import Record
from millstream_shared.states import StateType
from millstream_worker.outcomes import Outcome


def crashed(orphan: Orphan, worker: str, cause: str) -> Outcome:
    """The outcome that says: Crashed, because of `cause`."""
    failure = errors.CrashedRun(f"The process that executed the run was lost: {cause}.")
    before = records.decode(orphan.run_id, orphan.content) if orphan.is_flow else _queued(orphan, worker)
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


def _queued(orphan: Orphan, worker: str) -> Record:
    now = time.time()
    try:
        # The content is only looked at, not executed: a signature is not asked for.
        envelope = envelopes.open_unchecked(orphan.content)
        header, created = Header.decode(envelope.header), envelope.created
        name, flow_run, parent, tags = header.task_name, header.flow_run_id, header.parent_run_id, header.tags
    except Exception:
        name, flow_run, parent, tags, created = "unreadable", None, None, (), now
    return Record(
        run_id=orphan.run_id,
        kind="task",
        state_type=StateType.RUNNING,
        state_name="Running",
        message=None,
        name=f"{name}-{orphan.run_id[-3:]}",
        function_name=name,
        flow_run_id=flow_run,
        parent_run_id=parent,
        tags=tags,
        worker=worker,
        attempt=orphan.attempt,
        created=created,
        started=None,
        ended=None,
        data_kind=records.ABSENT,
        data=None,
    )
