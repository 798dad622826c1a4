"""Where the running code stands: in which flow run, in which task run, under which tags."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from millstream_shared import errors

if TYPE_CHECKING:
    from millstream.caching import Manner
    from millstream.call_ids import CallIds
    from millstream.flows import Flow
    from millstream.futures import Future
    from millstream.runners.base import TaskRunner
    from millstream.runs import FlowRun, TaskRun
    from millstream.subflows import Subflows
    from millstream.tasks import Task
    from millstream.transactions import Transaction

_tags: ContextVar[frozenset[str]] = ContextVar("millstream_tags", default=frozenset())
_flow_run: ContextVar[FlowRunContext | None] = ContextVar("millstream_flow_run", default=None)
_task_run: ContextVar[TaskRunContext | None] = ContextVar("millstream_task_run", default=None)
transaction: ContextVar[Transaction | None] = ContextVar("millstream_transaction", default=None)
"""The innermost transaction that is open here; `transactions` sets it."""


class Submitted:
    """The runs that one run has started. Forgets those that have ended, so that a run without end stays small."""

    __slots__ = ("_futures", "_lock", "_prune_at")

    def __init__(self) -> None:
        self._futures: list[Future[Any]] = []
        self._lock = threading.RLock()
        self._prune_at = 1000

    def extend(self, futures: Iterable[Future[Any]]) -> None:
        """Remember `futures`."""
        with self._lock:
            self._futures.extend(futures)
            if len(self._futures) > self._prune_at:
                self._futures = [future for future in self._futures if not future.done()]
                self._prune_at = max(1000, 2 * len(self._futures))

    def pending(self) -> list[Future[Any]]:
        """Those that have not ended."""
        with self._lock:
            return [future for future in self._futures if not future.done()]


@dataclass(slots=True, eq=False)
class FlowRunContext:
    """Around the body of a flow. Entered with `with`; `get()` finds it from within.

    `flow` is None where only ids travelled: in a worker that executes one of the flow's tasks. `results` says how
    results of the runs inside are treated (None: as in the run around), `subflows` what is known of the flows that it
    calls, where it may be tried again; `call_ids` names what it starts (None where only ids travelled); `pauses` counts
    those that it came to.
    """

    flow: Flow[..., Any] | None
    flow_run: FlowRun
    task_runner: TaskRunner[Any]
    start_time: float = field(default_factory=time.time)
    submitted: Submitted = field(default_factory=Submitted)
    results: Manner | None = None
    subflows: Subflows | None = None
    call_ids: CallIds | None = None
    pauses: int = 0
    _tokens: tuple[Token[Any], ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of the flow run. In a worker they are read when they are asked for, and raise what that raises."""
        return self.flow_run.parameters

    @staticmethod
    def get() -> FlowRunContext | None:
        """The innermost one, or None outside of flow runs. Within a task it is that of the task's flow."""
        return _flow_run.get()

    def __enter__(self) -> Self:
        # The flow now stands innermost: a task that called it is its parent, not its context.
        self._tokens = (_flow_run.set(self), _task_run.set(None), _tags.set(_tags.get() | self.flow_run.tags))
        return self

    def __exit__(self, *_: object) -> None:
        _reset((_flow_run, _task_run, _tags), self._tokens)


@dataclass(slots=True, eq=False)
class TaskRunContext:
    """Around the body of a task. Entered with `with`; `get()` finds it from within."""

    task: Task[..., Any]
    task_run: TaskRun
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    start_time: float = field(default_factory=time.time)
    submitted: Submitted = field(default_factory=Submitted)
    results: Manner | None = None
    _tokens: tuple[Token[Any], ...] = ()

    @staticmethod
    def get() -> TaskRunContext | None:
        """The innermost one, or None outside of task runs and in a flow that a task called."""
        return _task_run.get()

    def __enter__(self) -> Self:
        self._tokens = (_task_run.set(self),)
        return self

    def __exit__(self, *_: object) -> None:
        _reset((_task_run,), self._tokens)


def _reset(variables: tuple[ContextVar[Any], ...], tokens: tuple[Token[Any], ...]) -> None:
    try:
        for variable, token in zip(variables, tokens, strict=True):
            variable.reset(token)
    except ValueError:
        # A coroutine that was dropped half way is closed by whoever collects it, in another context: nothing to undo.
        return


def get_run_context() -> FlowRunContext | TaskRunContext:
    """The innermost run context. Raises MissingContextError outside of runs."""
    innermost = current()
    if innermost is None:
        raise errors.MissingContextError("There is no run here: call this inside a flow or a task.")
    return innermost


def current() -> FlowRunContext | TaskRunContext | None:
    """The innermost run context, or None."""
    return _task_run.get() or _flow_run.get()


def parent_ids() -> tuple[str | None, str | None]:
    """The ids of the flow run and of the task run in which a run that starts here would stand."""
    flow_context, task_context = _flow_run.get(), _task_run.get()
    return (
        flow_context.flow_run.run_id if flow_context else None,
        task_context.task_run.run_id if task_context else None,
    )


def note_submitted(task: Task[..., Any] | None, futures: Sequence[Future[Any]]) -> None:
    """Have the innermost run, and the transaction, wait for these runs of `task` (None: of a flow) before it ends."""
    innermost, around = current(), transaction.get()
    if innermost is not None:
        innermost.submitted.extend(futures)
    if around is not None and task is not None:
        around.note_submitted(task, futures)


def inherited_results() -> Manner | None:
    """How results of a run that starts here are treated, unless it says otherwise itself."""
    task_context, flow_context = _task_run.get(), _flow_run.get()
    if task_context is not None and task_context.results is not None:
        return task_context.results
    return flow_context.results if flow_context else None


def current_tags() -> frozenset[str]:
    """The tags that a run started here gets beside its task's own."""
    return _tags.get()


def inherit_tags(names: Iterable[str]) -> None:
    """All runs that are started in this context, of the kind that `contextvars` has, get these tags."""
    _tags.set(frozenset(names))


@contextmanager
def tags(*names: str) -> Generator[frozenset[str]]:
    """Add tags to every run that is started inside; nests. Yields all that are in force."""
    token = _tags.set(_tags.get() | frozenset(names))
    try:
        yield _tags.get()
    finally:
        _tags.reset(token)
