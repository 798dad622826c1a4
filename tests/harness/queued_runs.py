"""Queued runs and their records, as a test that speaks to the store itself makes them."""

from millstream_shared import envelopes, ids
from millstream_shared.claims import Claim, Demand, QueuedRun
from millstream_shared.envelopes import Header
from millstream_shared.records import Record
from millstream_shared.states import StateType
from millstream_shared.store import Store

FLOW = ids.new_flow_run_id()


def queued(upstream: str = "", run_id: str | None = None) -> QueuedRun:
    """A run of the flow run `FLOW`."""
    run_id = run_id or ids.new_task_run_id(FLOW)
    header = Header("m:f", "f", "", FLOW, "flow", "flow", None, (), (), 1).encoded
    payload = envelopes.seal(run_id, 1.0, header, bytes.fromhex(upstream), b"body", None)
    return QueuedRun(run_id, f"f-{run_id[-3:]}", payload, upstream)


def record(run_id: str, state_type: StateType = StateType.COMPLETED) -> Record:
    """The record of such a run, which has ended unless it is Running."""
    return Record(
        run_id=run_id,
        kind="task",
        state_type=state_type,
        state_name=state_type.value.capitalize(),
        name=f"f-{run_id[-3:]}",
        function_name="f",
        flow_run_id=FLOW,
        worker="w",
        created=1.0,
        started=2.0,
        ended=None if state_type is StateType.RUNNING else 3.0,
    )


def submit(store: Store, *runs: QueuedRun, queue: str = "q", is_async: bool = False, in_front: bool = False) -> None:
    """Put runs on a queue, for the inbox `me`."""
    store.submit(queue, runs, inbox="me", is_async=is_async, in_front=in_front)


def claim(
    store: Store, owner: str, sync: int = 100, asynchronous: int = 100, queues: tuple[str, ...] = ("q",)
) -> list[Claim]:
    """Take runs, as a worker with these slots does."""
    return store.claim(owner, Demand(queues, sync_slots=sync, async_slots=asynchronous)).runs
