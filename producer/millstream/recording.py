"""Writes the runs of this process to the store: flow runs at once, task runs in batches from a thread of its own.

Nothing here is awaited on a user's event loop, so a flow that blocks its loop is recorded all the same.
"""

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from millstream import sessions
from millstream_shared import envelopes, errors, records
from millstream_shared.envelopes import Header
from millstream_shared.records import Record
from millstream_shared.states import State, StateType

if TYPE_CHECKING:
    from millstream_shared.store import Store

_logger = logging.getLogger("millstream.recording")
_LARGEST_BATCH = 500


def flow_run_changed(flow_run: Any) -> None:
    """Record the state of a flow run that this process holds. Raises RedisUnavailable if there is no server."""
    session = sessions.current()
    session.store.record(session.owner, [(flow_run.run_id, record_of_flow(flow_run, flow_run.state), True)])


def flow_run_finished(flow_run: Any, state: State[Any]) -> None:
    """Record how a flow run ended, after the runs within it that are still on their way to the store."""
    session = sessions.current()
    session.recorder.flush()
    if session.store.record(session.owner, [(flow_run.run_id, record_of_flow(flow_run, state), False)]):
        advice = (
            "Flow run %r was silent for so long that it was recorded as crashed; that it ended as %s is not recorded."
        )
        _logger.warning(advice, flow_run.name, state.name)


def run_finished(run: Any, state: State[Any]) -> None:
    """Record how a task run in this process ended; returns at once."""
    session = sessions.current()
    session.recorder.add(run.run_id, record_of_task(run, state, worker=session.owner, attempt=1, with_value=False))


def record_of_task(run: Any, state: State[Any], *, worker: str, attempt: int, with_value: bool = True) -> bytes:
    """The stored form of a task run in `state`.

    A result that cannot be pickled makes the run Failed, with an UnpicklableResult; `with_value=False` leaves results
    out, and keeps exceptions.
    """
    state, kind, data = _encoded(state, run.task_name, with_value)
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
        data_kind=kind,
        data=data,
    ).encode()


def record_of_flow(run: Any, state: State[Any]) -> bytes:
    """The stored form of a flow run in `state`; its value stays in the process that called it."""
    state, kind, data = _encoded(state, run.flow_name, with_value=False)
    return Record(
        run_id=run.run_id,
        kind="flow",
        state_type=state.type,
        state_name=state.name,
        message=state.message,
        name=run.name,
        function_name=run.flow_name,
        flow_run_id=run.parent_flow_run_id,
        parent_run_id=run.parent_task_run_id,
        tags=tuple(sorted(run.tags)),
        worker=None,
        attempt=run.run_count or 1,
        created=run.created,
        started=run.started,
        ended=run.ended,
        data_kind=kind,
        data=data,
    ).encode()


def record_of_queued(run_id: str, payload: bytes) -> Record:
    """What is known of a task run from its payload, for one that is ended by somebody who does not execute it."""
    try:
        # Only looked at, not executed: a signature is not asked for.
        envelope = envelopes.open_unchecked(payload)
        header, created = Header.decode(envelope.header), envelope.created
        name, flow_run, parent, tags = header.task_name, header.flow_run_id, header.parent_run_id, header.tags
    except Exception:
        name, flow_run, parent, tags, created = "unreadable", None, None, (), time.time()
    return Record(
        run_id=run_id,
        kind="task",
        state_type=StateType.PENDING,
        state_name="Pending",
        message=None,
        name=f"{name}-{run_id[-3:]}",
        function_name=name,
        flow_run_id=flow_run,
        parent_run_id=parent,
        tags=tags,
        worker=None,
        attempt=1,
        created=created,
        started=None,
        ended=None,
        data_kind=records.ABSENT,
        data=None,
    )


def _encoded(state: State[Any], name: str, with_value: bool) -> tuple[State[Any], int, bytes | None]:
    if not with_value and not (isinstance(state.data, BaseException) and state.type is not StateType.COMPLETED):
        return state, records.ABSENT, None
    try:
        return state, *records.encode_data(state)
    except Exception as failure:
        refused = errors.UnpicklableResult(name, f"{type(failure).__name__}: {failure}")
        refused.__cause__ = failure
        failed: State[Any] = State(StateType.FAILED, message=str(refused), data=refused, timestamp=state.timestamp)
        return failed, *records.encode_data(failed)


class Recorder:
    """Writes records in the order they were added, many in one call."""

    def __init__(self, store: "Store", owner: str) -> None:
        self._store = store
        self._owner = owner
        self._waiting: deque[tuple[str, bytes, bool]] = deque()
        self._changed = threading.Condition()
        self._writing = False
        self._thread: threading.Thread | None = None

    def add(self, run_id: str, record: bytes) -> None:
        """Write this record, soon."""
        with self._changed:
            self._waiting.append((run_id, record, False))
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="millstream-recorder", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was added is written; False if that took longer than `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._writing, timeout)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
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
