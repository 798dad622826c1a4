"""What is known of a run while it is executed: its ids, name, tags, parameters, state and times."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

from millstream import context, names
from millstream_shared import ids, states
from millstream_shared.states import State

if TYPE_CHECKING:
    from millstream.flows import Flow
    from millstream.tasks import Task


@dataclass(slots=True, eq=False)
class _Run:
    """What runs of tasks and of flows have in common. Ids are 32 hex digits, times unix seconds.

    `run_count` counts how often it was begun, `tries` how often its function failed and may be called again. `persists`
    says whether its result is stored wherever it is executed, `streams` whether its items are handed out as they come,
    and `is_left` that nobody takes them any more.
    """

    run_id: str
    name: str
    _: KW_ONLY
    parent_task_run_id: str | None = None
    tags: frozenset[str] = frozenset()
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    state: State[Any] = field(default_factory=states.Pending)
    run_count: int = 0
    tries: int = 0
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    persists: bool = False
    streams: bool = False
    is_left: bool = False

    @property
    def id(self) -> uuid.UUID:
        """The run's id."""
        return uuid.UUID(hex=self.run_id)


@dataclass(slots=True, eq=False)
class TaskRun(_Run):
    """One run of a task, in a flow run or, if that is None, by itself."""

    task_name: str
    flow_run_id: str | None


@dataclass(slots=True, eq=False)
class FlowRun(_Run):
    """One run of a flow.

    `lease` is, for a queued one, who has claimed it and under which fencing token. One that `is_resumed` was executed
    before, by a process that died: calls that it made then lead to the runs that were made for them. `due` is when it
    is to begin, in unix seconds. `given` are its parameters as JSON, if they came from outside and are few. `pause` is
    what it waits for while it is paused: the pause's `key`, `until` when in unix seconds, the `schema` of its input,
    and the `owner` who is to be told, unless it has left its process.
    """

    flow_name: str
    flow_version: str | None = None
    parent_flow_run_id: str | None = None
    deployment_id: str | None = None
    queue: str | None = None
    due: float | None = None
    given: str | None = None
    lease: tuple[str, int] | None = None
    is_resumed: bool = False
    pause: dict[str, Any] | None = None


Run = TaskRun | FlowRun

observer: Callable[[Run], None] | None = None
"""Set in tests of users' flows: called with each run that comes to another state."""


def new_task_runs(task: "Task[..., Any]", batch: Sequence[Mapping[str, Any]]) -> Iterator[TaskRun]:
    """A run of `task` for each dictionary of parameters, child of the run that is going on here."""
    flow_run_id, parent_id = context.parent_ids()
    tags = task.tags | context.current_tags()
    for parameters in batch:
        run_id = ids.new_task_run_id(flow_run_id)
        name = names.task_run_name(task.name, run_id)
        yield TaskRun(
            run_id,
            name,
            task.name,
            flow_run_id,
            parent_task_run_id=parent_id,
            tags=tags,
            parameters=dict(parameters),
        )


def new_flow_run(flow: "Flow[..., Any]", parameters: dict[str, Any], arguments: bytes = b"") -> FlowRun:
    """A run of `flow`, child of the run that is going on here; `arguments`, if known as bytes, mark the call."""
    return child_flow_run(flow.name, flow.version, parameters, arguments)


def child_flow_run(name: str, version: str | None, parameters: dict[str, Any], arguments: bytes = b"") -> FlowRun:
    """The same of the flow of a name."""
    parent_flow_run_id, parent_task_run_id = context.parent_ids()
    around = context.FlowRunContext.get()
    call_ids = around.call_ids if around and not parent_task_run_id else None
    return FlowRun(
        run_id=call_ids.of_flow(name, arguments) if call_ids else ids.new_flow_run_id(),
        name=names.flow_run_name(),
        flow_name=name,
        flow_version=version,
        parent_task_run_id=parent_task_run_id,
        parent_flow_run_id=parent_flow_run_id,
        tags=context.current_tags(),
        parameters=parameters,
        is_resumed=bool(call_ids and around and around.flow_run.is_resumed),
    )


def enter(run: Run, state: State[Any]) -> State[Any]:
    """Put `run` in `state`, and mark the state as this run's, so that it is told from one that a user made."""
    state.run_id, state.run_name = run.run_id, run.name
    run.state = state
    if observer is not None:
        observer(run)
    return state
