"""Writes the runs of this process to the store: flow runs at once, task runs in batches from a thread of its own.

Nothing here is awaited on a user's event loop, so a flow that blocks its loop is recorded all the same.
"""

import logging
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from millstream import log_shipping, sessions
from millstream_shared import envelopes, errors, ids, records, references
from millstream_shared.claims import HOLD, HOLD_AGAIN, RecordedRun, claimed, flow_facets
from millstream_shared.envelopes import Header
from millstream_shared.flow_headers import FlowHeader
from millstream_shared.records import Record
from millstream_shared.settings import get_settings
from millstream_shared.states import State, StateType

if TYPE_CHECKING:
    from millstream_shared.store import Store

_logger = logging.getLogger("millstream.recording")
_LARGEST_BATCH = 500
_SMALL: Final = 1024
"""Bytes that are surely within the limit, which need not be looked up for them."""


def flow_run_changed(flow_run: Any) -> None:
    """Record the state of a flow run that this process executes. Raises RedisUnavailable if there is no server."""
    session = sessions.current()
    record = record_of_flow(flow_run, flow_run.state)
    if flow_run.lease is not None:
        owner, _ = flow_run.lease
        session.store.record(owner, [RecordedRun(flow_run.run_id, record, hold=claimed(flow_run.tries))])
        return
    is_new = flow_run.run_count == 0
    if is_new and flow_run.parent_flow_run_id is not None:
        from millstream_shared.kept import Kept  # brings the Redis client, which has come with the session by now

        Kept(session.store).put_subflow(flow_run.parent_flow_run_id, flow_run.run_id)
    facets = flow_facets(flow_run.created, flow_run.flow_name) if is_new else ""
    hold = HOLD_AGAIN if is_new and flow_run.is_resumed else HOLD
    session.store.record(session.owner, [RecordedRun(flow_run.run_id, record, facets, hold)])


def flow_run_finished(flow_run: Any, state: State[Any]) -> bool:
    """Record how a flow run ended, after the runs within it that are still on their way to the store.

    False if it can only end as Cancelled, as it was told to stop.
    """
    session = sessions.current()
    log_shipping.flush()
    session.recorder.flush()
    record = record_of_flow(flow_run, state)
    if flow_run.lease is not None:
        owner, attempt = flow_run.lease
        refused = session.store.settle(owner, [(flow_run.run_id, attempt, record)])
    else:
        refused = session.store.record(session.owner, [RecordedRun(flow_run.run_id, record)])
    if refused:
        stored = session.store.records([flow_run.run_id]).get(flow_run.run_id)
        if stored and records.decode(flow_run.run_id, stored).state_type is StateType.CANCELLING:
            return False
        advice = (
            "Flow run %r was silent for so long that it was recorded as crashed; that it ended as %s is not recorded."
        )
        _logger.warning(advice, flow_run.name, state.name)
    return True


def flow_run_suspended(flow_run: Any, state: State[Any]) -> bool:
    """Record that a queued flow run leaves its process until it is resumed; False if it is to end instead."""
    from millstream_shared.flow_runs import FlowRuns  # brings the Redis client, which has come with the session by now

    session = sessions.current()
    log_shipping.flush()
    session.recorder.flush()
    owner, attempt = flow_run.lease
    key, until = flow_run.pause["key"], flow_run.pause.get("until")
    record = record_of_flow(flow_run, state)
    return FlowRuns(session.store).suspend(owner, flow_run.run_id, attempt, record, key, until)


def run_finished(run: Any, state: State[Any]) -> None:
    """Record how a task run in this process ended; returns at once."""
    session = sessions.current()
    data = encoded(run, state, run.task_name, with_value=run.persists, is_needed=False).placed()
    session.recorder.add(run.run_id, record_of_task(run, data, worker=session.owner, attempt=1))


def run_rolled_back(run_id: str, message: str) -> None:
    """Record that a completed run was undone. It stays Completed, under the name RolledBack."""
    session = sessions.current()
    session.recorder.flush()
    stored = session.store.records([run_id]).get(run_id)
    if stored is not None:
        after = replace(records.decode(run_id, stored), state_name="RolledBack", message=message)
        session.store.amend(run_id, stored, after.encode())


class Encoded(NamedTuple):
    """The state of a run, and its data as a record holds them."""

    run: Any
    name: str
    state: State[Any]
    kind: int = records.ABSENT
    data: bytes | None = None
    is_needed: bool = True

    @property
    def is_large(self) -> bool:
        """Whether `placed` writes anything."""
        return self.kind == records.VALUE and len(self.data or b"") > get_settings().largest_inline_bytes

    def placed(self) -> "Encoded":
        """The same, with a large value kept out of Redis; if that cannot be done, the run is Failed."""
        if self.data is None or len(self.data) < _SMALL or not self.is_large:
            return self
        what = f"The result of {self.name!r}"
        try:
            reference = references.place_large(what, self.run.run_id, self.data, get_settings())
        except errors.MillstreamError as failure:
            return _refused(self, failure)
        return self._replace(kind=records.REFERENCE, data=reference.encode()) if reference else self


def encoded(run: Any, state: State[Any], name: str, *, with_value: bool = True, is_needed: bool = True) -> Encoded:
    """The state of a run of the task or flow `name`, with its data pickled.

    A value that cannot be pickled makes the run Failed, with an UnpicklableResult; one that is not needed, as whoever
    wants it has it in memory, is left out instead. So are all values without `with_value`; exceptions are kept.
    """
    if not with_value and not (isinstance(state.held, BaseException) and state.type is not StateType.COMPLETED):
        return Encoded(run, name, state)
    try:
        return Encoded(run, name, state, *records.encode_data(state), is_needed)
    except Exception as failure:
        refused = errors.UnpicklableResult(name, f"{type(failure).__name__}: {failure}")
        refused.__cause__ = failure
        return _refused(Encoded(run, name, state, is_needed=is_needed), refused)


def _refused(what: Encoded, failure: errors.MillstreamError) -> Encoded:
    if not what.is_needed:
        _logger.warning("The result of run %r is not stored: %s", what.run.name, failure)
        return Encoded(what.run, what.name, what.state)
    state = what.state
    failed: State[Any] = State(StateType.FAILED, message=str(failure), data=failure, timestamp=state.timestamp)
    return Encoded(what.run, what.name, failed, *records.encode_data(failed))


def record_of_task(run: Any, given: State[Any] | Encoded, *, worker: str, attempt: int) -> bytes:
    """The stored form of a task run in a state."""
    data = encoded(run, given, run.task_name).placed() if isinstance(given, State) else given
    state = data.state
    return Record(
        run_id=run.run_id,
        kind="task",
        state_type=state.type,
        state_name=state.name,
        message=state.message,
        name=run.name,
        function_name=run.task_name,
        flow_run_id=run.flow_run_id,
        parent_run_id=run.parent_task_run_id,
        tags=tuple(sorted(run.tags)),
        worker=worker,
        attempt=attempt,
        created=run.created,
        started=run.started,
        ended=None if state.type is StateType.SCHEDULED else run.ended or state.timestamp,
        data_kind=data.kind,
        data=data.data,
    ).encode()


def record_of_flow(run: Any, state: State[Any]) -> bytes:
    """The stored form of a flow run in `state`.

    The value stays in the process that called the flow, unless it persists; that of a queued run is always stored.
    """
    is_queued = run.lease is not None
    data = encoded(run, state, run.flow_name, with_value=run.persists or is_queued, is_needed=is_queued).placed()
    return Record(
        run_id=run.run_id,
        kind="flow",
        state_type=data.state.type,
        state_name=data.state.name,
        message=data.state.message,
        name=run.name,
        function_name=run.flow_name,
        flow_run_id=run.parent_flow_run_id,
        parent_run_id=run.parent_task_run_id,
        tags=tuple(sorted(run.tags)),
        worker=run.lease[0] if run.lease else None,
        attempt=run.run_count or 1,
        created=run.created,
        started=run.started,
        ended=run.ended,
        data_kind=data.kind,
        data=data.data,
        details=_details(run),
    ).encode()


def _details(run: Any) -> dict[str, Any] | None:
    known = {
        "deployment": run.deployment_id,
        "queue": run.queue,
        "version": run.flow_version,
        "due": run.due,
        "parameters": run.given,
        "pause": run.pause,
    }
    return {name: value for name, value in known.items() if value is not None} or None


def record_of_queued(run_id: str, payload: bytes) -> Record:
    """What is known of a run from its payload, for one that is ended by somebody who does not execute it."""
    if ids.is_flow(run_id):
        return _record_of_queued_flow(run_id, payload)
    try:
        # Only looked at, not executed: a signature is not asked for.
        envelope = envelopes.open_unchecked(payload)
        header, created = Header.decode(envelope.header), envelope.created
        name, flow_run, parent, tags = header.task_name, header.flow_run_id or None, header.parent_run_id, header.tags
    except Exception:
        name, flow_run, parent, tags, created = "unreadable", None, None, (), time.time()
    return Record(
        run_id=run_id,
        kind="task",
        state_type=StateType.PENDING,
        state_name="Pending",
        name=f"{name}-{run_id[-3:]}",
        function_name=name,
        flow_run_id=flow_run,
        parent_run_id=parent,
        tags=tags,
        created=created,
    )


def _record_of_queued_flow(run_id: str, payload: bytes) -> Record:
    # What cannot be read was queued by something else: its worker has refused it by now.
    envelope = envelopes.open_unchecked(payload)
    header = FlowHeader.decode(envelope.header)
    known = {"deployment": header.deployment_id, "queue": header.queue, "version": header.flow_version}
    return Record(
        run_id=run_id,
        kind="flow",
        state_type=StateType.PENDING,
        state_name="Pending",
        name=header.run_name,
        function_name=header.flow_name,
        flow_run_id=header.parent_flow_run_id,
        parent_run_id=header.parent_task_run_id,
        tags=header.tags,
        created=envelope.created,
        details={name: value for name, value in known.items() if value is not None} or None,
    )


class Recorder:
    """Writes records in the order they were added, many in one call."""

    def __init__(self, store: "Store", owner: str) -> None:
        self._store = store
        self._owner = owner
        self._waiting: deque[RecordedRun] = deque()
        self._changed = threading.Condition()
        self._writing = self._closed = False
        self._thread: threading.Thread | None = None

    def add(self, run_id: str, record: bytes) -> None:
        """Write this record, soon."""
        with self._changed:
            self._waiting.append(RecordedRun(run_id, record))
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="millstream-recorder", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was added is written; False if that took longer than `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._writing, timeout)

    def close(self, timeout: float) -> None:
        """The same, and the thread ends."""
        self.flush(timeout)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
                if not self._waiting:
                    self._thread = None
                    return
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST_BATCH))]
                self._writing = True
            try:
                self._store.record(self._owner, batch)
            except errors.ServiceError as lost:
                _logger.error("The records of %d runs are lost: %s", len(batch), lost)
            except Exception:
                _logger.exception("The records of %d runs could not be written", len(batch))
            finally:
                with self._changed:
                    self._writing = False
                    self._changed.notify_all()
