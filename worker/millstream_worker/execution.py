"""One run in a child process, from its payload to the record of how it ended."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from millstream import (
    arguments,
    context,
    engine,
    outcomes,
    printing,
    recording,
    run_logging,
    sessions,
    stops,
    surroundings,
)
from millstream.context import FlowRunContext
from millstream.runners import nesting
from millstream.runners.queue import QueueTaskRunner
from millstream.runs import TaskRun
from millstream.surroundings import RemoteFlowRun, Surroundings
from millstream.tasks import Task
from millstream_shared import envelopes, errors
from millstream_shared.claims import Postponed
from millstream_shared.envelopes import Envelope, Header
from millstream_shared.settings import get_settings
from millstream_shared.states import Crashed, Failed, State, StateType
from millstream_worker import endings, loading
from millstream_worker.outcomes import Outcome

_KEPT_BATCHES = 1000
_NOTHING: Final = nullcontext()


class Assignment(NamedTuple):
    """A run that this process is to execute; `crashes` and `tries` as in Claim."""

    run_id: str
    attempt: int
    is_async: bool
    crashes: int
    tries: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """What the runs with one header share: made once, used for each of them.

    `place` holds the context variables of the flow run, as far as it reaches into this process. Each run gets a copy:
    that costs less than to enter and leave them, and what one run sets is not seen by the next.
    """

    header: Header
    task: Task[..., Any]
    around: Surroundings
    place: Context


class Executor:
    """Executes assignments; `worker` is the name under which they are recorded."""

    def __init__(self, worker: str, supervisor: engine.Supervisor | None = None) -> None:
        self._worker = worker
        self._supervisor = supervisor
        key = get_settings().signing_key
        self._key = key.encode() if key else None
        self._batches: OrderedDict[bytes, Batch] = OrderedDict()

    def execute(self, assignment: Assignment) -> Outcome | Postponed:
        """Execute a sync run. Whatever goes wrong is recorded, with its reason, as the outcome of this run alone."""
        task_run = _unopened(assignment)
        try:
            envelope, batch = self._open(assignment, task_run)
            state = batch.place.copy().run(self._run, envelope, batch, task_run)
        except BaseException as failure:
            state = _stopped_by(task_run, failure)
        return self._outcome(assignment, task_run, recording.encoded(task_run, state, task_run.task_name).placed())

    async def execute_async(self, assignment: Assignment) -> Outcome | Postponed:
        """Execute an async run on the running loop."""
        task_run = _unopened(assignment)
        try:
            envelope, batch = self._open(assignment, task_run)
            if envelope.is_elsewhere:
                envelope = await asyncio.to_thread(arguments.fetched, envelope)
            # The coroutine is a task of its loop, so this context is its own.
            for variable, value in batch.place.items():
                variable.set(value)
            wait_for = _read_arguments(envelope, task_run)
            with _around(batch):
                state = await engine.run_task_async(
                    batch.task, task_run, task_run.parameters, wait_for, self._supervisor
                )
        except BaseException as failure:
            state = _stopped_by(task_run, failure)
        data = recording.encoded(task_run, state, task_run.task_name)
        # What is large takes a while to write, which is not for this thread, as all other runs of the loop are in it.
        data = (await asyncio.to_thread(data.placed)) if data.is_large else data
        return self._outcome(assignment, task_run, data)

    def stopped(self, assignment: Assignment) -> Outcome:
        """The outcome of a run that was told to stop, and stopped where its outcome could not be recorded."""
        return endings.cancelled(assignment.run_id, assignment.attempt, assignment.payload, self._worker)

    def _run(self, envelope: Envelope, batch: Batch, task_run: TaskRun) -> State[Any]:
        wait_for = _read_arguments(envelope, task_run)
        with _around(batch):
            return engine.run_task(batch.task, task_run, task_run.parameters, wait_for, self._supervisor)

    def depth_of(self, assignment: Assignment) -> int:
        """The depth of a run; 0 if its payload cannot be read, which `execute` will report."""
        try:
            header = envelopes.header_in(assignment.payload)
            batch = self._batches.get(header)
            return (batch.header if batch else Header.decode(header)).depth
        except Exception:
            return 0

    def _open(self, assignment: Assignment, task_run: TaskRun) -> tuple[Envelope, Batch]:
        envelope = envelopes.open_payload(assignment.payload, assignment.run_id, self._key)
        batch = self._batches.get(envelope.header)
        header = batch.header if batch else Header.decode(envelope.header)
        task_run.created = envelope.created
        task_run.task_name = header.task_name
        task_run.name = f"{header.task_name}-{assignment.run_id[-3:]}"
        task_run.flow_run_id = header.flow_run_id or None
        task_run.parent_task_run_id = header.parent_run_id
        task_run.tags = frozenset(header.tags)
        if batch is None:
            batch = self._batches[envelope.header] = _new_batch(header)
            if len(self._batches) > _KEPT_BATCHES:
                self._batches.popitem(last=False)
        return envelope, batch

    def _outcome(self, assignment: Assignment, task_run: TaskRun, data: recording.Encoded) -> Outcome | Postponed:
        state = data.state
        record = recording.record_of_task(task_run, data, worker=self._worker, attempt=assignment.attempt)
        if state.type is StateType.SCHEDULED:
            return Postponed(assignment.run_id, assignment.attempt, record, state.wait_seconds, task_run.tries)
        return assignment.run_id, assignment.attempt, record


def _read_arguments(envelope: Envelope, task_run: TaskRun) -> Sequence[Any]:
    """Set the run's parameters; gives what else it waits for."""
    upstream = sessions.current().store.records(envelope.upstream) if envelope.upstream else {}
    task_run.parameters, wait_for = arguments.decode(envelope, upstream)
    return wait_for


def _around(batch: Batch) -> AbstractContextManager[Any]:
    """What few runs have around them, and cannot share."""
    if not batch.header.log_prints and batch.around.transaction is None:
        return _NOTHING
    entered = ExitStack()
    if batch.header.log_prints:
        entered.enter_context(printing.logged(True))
    entered.enter_context(surroundings.entered(batch.around))
    return entered


def _new_batch(header: Header) -> Batch:
    around = surroundings.decode(header.around)
    place = Context()
    place.run(_enter_place, header, around)
    return Batch(header, loading.load_task(header.function), around, place)


def _enter_place(header: Header, around: Surroundings) -> None:
    """Enter for good what the runs of a batch have around them. Background runs have no flow run."""
    nesting.enter(header.depth)
    if not header.flow_run_id:
        context.inherit_tags(header.inherited_tags)
        return
    flow_run = RemoteFlowRun(
        run_id=header.flow_run_id,
        name=header.flow_run_name,
        flow_name=header.flow_name,
        flow_version=header.flow_version,
        tags=frozenset(header.inherited_tags),
        run_count=header.flow_run_count,
    )
    runner = QueueTaskRunner(header.queue or None)
    runner.__enter__()
    FlowRunContext(None, flow_run, runner, results=around.results).__enter__()


def _unopened(assignment: Assignment) -> TaskRun:
    # Good enough to record that the payload could not be read.
    return TaskRun(
        assignment.run_id,
        "unreadable",
        "unreadable",
        None,
        run_count=assignment.crashes + assignment.tries,
        tries=assignment.tries,
    )


def _stopped_by(task_run: TaskRun, failure: BaseException) -> State[Any]:
    """The state of a run whose task was not called, or was left by something that is not an Exception."""
    if task_run.state.is_final():
        return task_run.state
    state = _state_of_stopped(task_run, failure)
    run_logging.task_run_ended(task_run, state)
    return state


def _state_of_stopped(task_run: TaskRun, failure: BaseException) -> State[Any]:
    if not isinstance(failure, Exception) and stops.was_told(task_run.run_id):
        return outcomes.stopped()
    message = f"{type(failure).__name__}: {failure}"
    refused = isinstance(failure, errors.PayloadRefused) or not isinstance(failure, Exception)
    return (Crashed if refused else Failed)(message=message, data=failure)
