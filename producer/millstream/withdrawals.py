"""Ends what is queued for a flow run that is no more: nobody would use its results."""

import time

from millstream_shared import records
from millstream_shared.records import Record
from millstream_shared.states import StateType
from millstream_shared.store import Store


def withdraw_tree(store: Store, flow_run_id: str, why: str) -> None:
    """End as Cancelled what is queued in the tree of a flow run, at any depth, and no worker has begun."""
    # What waited for a withdrawn run is queued by that, and withdrawn in the next round.
    while queued := store.queued_in_tree(flow_run_id):
        now = time.time()
        if not store.withdraw([_withdrawn(run_id, name, why, now) for run_id, name in queued]):
            return


def _withdrawn(run_id: str, name: str, why: str, at: float) -> Record:
    return Record(
        run_id=run_id,
        kind="task",
        state_type=StateType.CANCELLED,
        state_name="Cancelled",
        message=why,
        name=name,
        function_name=name.rpartition("-")[0],
        flow_run_id=None,
        parent_run_id=None,
        tags=(),
        worker=None,
        attempt=1,
        created=at,
        started=None,
        ended=at,
        data_kind=records.ABSENT,
        data=None,
    )
