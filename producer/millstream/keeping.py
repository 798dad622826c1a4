"""What becomes of a run's result: looked up under its cache key before the run, kept under it afterwards."""

import logging
from typing import TYPE_CHECKING, Any, Final

from millstream import cache_policies, results
from millstream.context import FlowRunContext, TaskRunContext
from millstream.isolation import IsolationLevel
from millstream_shared import errors, serializers
from millstream_shared.references import Stored
from millstream_shared.settings import get_settings
from millstream_shared.states import NO_DATA, Completed, Elsewhere, State

if TYPE_CHECKING:
    from millstream.options import FlowOptions
    from millstream.result_options import Manner
    from millstream.results import ResultRecord, ResultStore
    from millstream.runs import FlowRun, TaskRun
    from millstream.tasks import Task

_logger: Final = logging.getLogger("millstream.task_runs")


class Keeping:
    """What is done about the result of one run. All of it may block."""

    def __init__(self, task: "Task[..., Any]", run: "TaskRun", manner: "Manner") -> None:
        self._task = task
        self._run = run
        self._manner = manner
        self._policy = task.cache_policy
        self._key: str | None = None
        self._locked: ResultStore | None = None

    def found(self) -> State[Any] | None:
        """The state Cached if an equal run has left its result, and it is to be taken.

        An error on the way is logged, and the run goes on without cache.
        """
        try:
            self._key = self._computed_key()
            if self._key is None:
                return None
            if self._policy.isolation_level is IsolationLevel.SERIALIZABLE:
                store = self._store()
                store.acquire_lock(self._key, self._run.run_id)
                self._locked = store
            return None if self._refreshes else self._cached(self._key)
        except Exception as failure:
            self._key = None
            _tell(self._run, "goes on without its cache", failure)
            return None

    def keep(self, state: State[Any]) -> None:
        """Keep the value of a completed run; the state may from now on read it from elsewhere.

        A value that cannot be serialized stays in memory, with a warning. Raises StorageUnavailable, PayloadTooLarge.
        """
        if state.held is NO_DATA or isinstance(state.held, Elsewhere):
            return
        try:
            self._keep(state)
        except errors.SerializationError as failure:
            self._run.persists = False
            _tell(self._run, "has a result that is not kept", failure)

    def staged(self, state: State[Any]) -> bytes | None:
        """What `publish` takes, for whoever decides later whether the result counts; None if it has no key."""
        if self._key is None or state.held is NO_DATA:
            return None
        try:
            return self._record(self._key, state).encode()
        except errors.SerializationError as failure:
            _tell(self._run, "has a result that is not kept", failure)
            return None

    def close(self) -> None:
        """Let the next run with this key go on."""
        if self._locked is not None and self._key is not None:
            self._locked.release_lock(self._key, self._run.run_id)
        self._locked = None

    # -- the key

    @property
    def _refreshes(self) -> bool:
        wanted = self._task.options.refresh_cache
        return get_settings().refresh_cache if wanted is None else wanted

    def _computed_key(self) -> str | None:
        template = self._task.options.result_storage_key
        if template is not None:
            flow_context = FlowRunContext.get()
            flow_run = flow_context.flow_run if flow_context else None
            return template.format(parameters=self._run.parameters, task_run=self._run, flow_run=flow_run)
        parameters = _flow_parameters() if cache_policies.looks_at_flow(self._policy) else {}
        asked = TaskRunContext(self._task, self._run, self._run.parameters)
        return self._policy.compute_key(asked, self._run.parameters, parameters)

    # -- the store

    def _store(self) -> "ResultStore":
        return store_for(self._task, self._manner)

    def _cached(self, key: str) -> State[Any] | None:
        record = self._store().find(key)
        if record is None:
            return None
        held = record.held
        if isinstance(held, Elsewhere):
            held.load()  # Now, as an error means that there is nothing to be taken.
        message = f"The result of run {record.run_name!r}, which was the same." if record.run_name else None
        return Completed(name="Cached", message=message, data=held)

    def _keep(self, state: State[Any]) -> None:
        keeps = self._task.options.cache_result_in_memory
        if self._key is not None:
            record = self._record(self._key, state)
            self._store().put(record)
            if keeps and isinstance(held := record.held, Stored):
                state.data = held.remember(state.data)
        if not keeps or (self._key is None and self._manner.storage is not None):
            state.data = results.keep_elsewhere(
                self._run.run_id, state.data, self._manner.storage, _serializer(self._manner), keeps=keeps
            )

    def _record(self, key: str, state: State[Any]) -> "ResultRecord":
        expiration, run = self._task.options.cache_expiration, self._run
        return self._store().made(key, state.data, expiration, run.run_id, run.name)


def publish(task: "Task[..., Any]", manner: "Manner", staged: bytes) -> None:
    """Have a result of the task count that was staged."""
    store_for(task, manner).put(results.ResultRecord.decode(staged))


def keep_flow_result(run: "FlowRun", options: "FlowOptions", manner: "Manner", state: State[Any]) -> None:
    """Keep what a flow run came to out of its record; what cannot be serialized stays in memory, with a warning."""
    if state.held is NO_DATA or isinstance(state.held, Elsewhere):
        return
    keeps = options.cache_result_in_memory
    try:
        state.data = results.keep_elsewhere(run.run_id, state.data, manner.storage, _serializer(manner), keeps=keeps)
    except errors.SerializationError as failure:
        run.persists = False
        _tell(run, "has a result that is not kept", failure)


def store_for(task: "Task[..., Any]", manner: "Manner") -> "ResultStore":
    """Where results of the task are kept under their keys."""
    policy = task.cache_policy
    storage = manner.storage if policy.key_storage is None else policy.key_storage
    return results.ResultStore(storage, _serializer(manner), policy.lock_manager)


def _serializer(manner: "Manner") -> serializers.Serializer:
    return serializers.resolve("pickle" if manner.serializer is None else manner.serializer)


def _flow_parameters() -> dict[str, Any]:
    flow_context = FlowRunContext.get()
    return flow_context.flow_run.parameters if flow_context else {}


def _tell(run: "TaskRun | FlowRun", what: str, failure: Exception) -> None:
    _logger.warning("Run %r %s: %s: %s", run.name, what, type(failure).__name__, failure)
