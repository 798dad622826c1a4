"""Ends what is queued for a flow run that is no more: nobody would use its results."""

import time
from dataclasses import replace

from millstream import recording
from millstream_shared import records
from millstream_shared.records import Record
from millstream_shared.states import StateType
from millstream_shared.store import Store
from millstream_shared.unfinished import UnfinishedRuns


def withdraw_tree(store: Store, flow_run_id: str, why: str) -> None:
    """End as Cancelled what is queued in the tree of a flow run, at any depth, and no worker has begun."""
    # What waited for a withdrawn run is queued by that, and withdrawn in the next round.
    while queued := store.queued_in_tree(flow_run_id):
        if not store.withdraw(
            [cancelled(recording.record_of_queued(run_id, payload), why) for run_id, payload in queued]
        ):
            return


def withdraw_unfinished(store: Store, flow_run_id: str, why: str) -> None:
    """The same with what waits for other runs too. Asks for what each process holds, so it is for rare use."""
    runs = UnfinishedRuns(store)
    while waiting := [run for run in runs.look(runs.in_tree(flow_run_id)).values() if run.status != "started"]:
        flow_runs = store.records([run.run_id for run in waiting if run.kind == "flow"])
        ended = [
            records.decode(run.run_id, flow_runs[run.run_id])
            if run.run_id in flow_runs
            else recording.record_of_queued(run.run_id, run.sealed)
            for run in waiting
        ]
        if not store.withdraw([cancelled(record, why) for record in ended]):
            return


def cancelled(record: Record, why: str) -> Record:
    """The record of a run that ends as Cancelled now."""
    return replace(
        record,
        state_type=StateType.CANCELLED,
        state_name=StateType.CANCELLED.capitalize(),
        message=why,
        ended=time.time(),
    )
