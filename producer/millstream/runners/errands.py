"""A task run on its way to another process: what travels there, how it is executed there, and what comes back."""

import dataclasses
import functools
import logging
import os
import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from millstream import (
    arguments,
    context,
    engine,
    log_shipping,
    outcomes,
    printing,
    recording,
    run_logging,
    surroundings,
)
from millstream.context import FlowRunContext
from millstream.runners import homebound, nesting
from millstream.runners.base import TaskRunner
from millstream.runners.threads import ThreadPoolTaskRunner
from millstream.runs import FlowRun, TaskRun
from millstream.utilities.annotations import quote
from millstream_shared import errors, packing, states, values
from millstream_shared.logs import Batch
from millstream_shared.states import State

if TYPE_CHECKING:
    from millstream.tasks import Task

_TASKS_KEPT = 200
_logger = logging.getLogger("millstream")


def _new_mark() -> None:
    global _process_mark
    _process_mark = uuid.uuid4().hex


_new_mark()
os.register_at_fork(after_in_child=_new_mark)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the runs of one batch stand, as far as it reaches into another process.

    `flow_run` has as its tags those that go on to what the runs submit themselves. `home` marks the process that all
    begins in, `logging_level` is the one that was set there (0: none). `log_prints` holds for tasks that do not say
    otherwise; `around` is what `surroundings` makes of the rest.
    """

    flow_run: FlowRun | None
    depth: int
    home: str
    logging_level: int
    log_prints: bool = False
    around: bytes | None = None

    @classmethod
    def here(cls, task_name: str) -> "Scene":
        """That of the code that is going on. Raises UnpicklableArgument for a result storage that cannot be sent."""
        found = context.FlowRunContext.get()
        flow_run = None
        if found is not None:
            known = found.flow_run
            flow_run = FlowRun(
                run_id=known.run_id,
                name=known.name,
                flow_name=known.flow_name,
                flow_version=known.flow_version,
                parent_task_run_id=known.parent_task_run_id,
                parent_flow_run_id=known.parent_flow_run_id,
                tags=context.current_tags(),
                run_count=known.run_count,
            )
        return cls(
            flow_run=flow_run,
            depth=nesting.depth() + 1,
            home=_process_mark,
            logging_level=_logger.level,
            log_prints=printing.are_logged(),
            around=surroundings.Surroundings.here().encode(task_name),
        )


@dataclass(frozen=True, slots=True)
class Errand:
    """One run, ready to travel: its inputs are values. `task` and `arguments` are pickled, each by itself."""

    scene: Scene
    run: TaskRun
    task: bytes
    arguments: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended elsewhere: its record, and those of the task runs within it, by run id.

    `persists` says whether the record at home is to have the value too. `lines` are those that the runs have logged.
    """

    record: bytes
    within: list[tuple[str, bytes]]
    persists: bool
    lines: list[Batch]

    def encode(self) -> bytes:
        return packing.pack([self.record, self.within, self.persists, self.lines])

    @classmethod
    def decode(cls, data: bytes) -> "Outcome":
        record, within, persists, lines = packing.unpack(data)
        return cls(record, [(run_id, stored) for run_id, stored in within], persists, [Batch(*each) for each in lines])


# --- at home ----------------------------------------------------------------------------------------------------------


def pack_task(task: "Task[..., Any]") -> bytes:
    """The task as bytes: by name where it can be imported. Raises UnpicklableArgument."""
    try:
        return values.dumps(task)
    except Exception as failure:
        raise errors.UnpicklableArgument(task.name, "the function itself", str(failure)) from failure


def pack(scene: Scene, run: TaskRun, task: bytes, parameters: dict[str, Any]) -> bytes:
    """An errand as bytes. Raises UnpicklableArgument, naming the argument that cannot be sent."""
    # They are what the task is to see, and must not be searched for futures and states once more.
    quoted = {name: quote(value) for name, value in parameters.items()}
    body, _ = arguments.encode(run.task_name, quoted, ())
    bare = dataclasses.replace(run, parameters={}, state=states.Pending())
    return values.dumps(Errand(scene, bare, task, body))


# --- elsewhere --------------------------------------------------------------------------------------------------------

Runners = Callable[[], TaskRunner[Any]]


def perform(data: bytes, runners: Runners = ThreadPoolTaskRunner) -> bytes:
    """Execute an errand in this process; gives its outcome, as bytes, whatever happened.

    `runners` makes the runner for what the run submits itself.
    """
    errand: Errand = values.loads(data)
    run = errand.run
    is_away = errand.scene.home != _process_mark
    if is_away and errand.scene.logging_level:
        _logger.setLevel(errand.scene.logging_level)
    if is_away:
        log_shipping.hold()
    with homebound.collecting(is_away) as collected:
        state = _executed(errand, runners)
    # However large: it goes straight to who asked for it.
    told = recording.encoded(run, state, run.task_name)
    record = recording.record_of_task(run, told, worker="", attempt=max(run.run_count, 1))
    within = [(run_id, stored) for run_id, stored in collected if run_id != run.run_id]
    log_shipping.flush([run.run_id, *(run_id for run_id, _ in within)])
    # Without a way to send them, they go home with the outcome.
    lines = log_shipping.take([run.run_id, *(run_id for run_id, _ in within)]) if is_away else []
    return Outcome(record, within, run.persists, lines).encode()


def _executed(errand: Errand, runners: Runners) -> State[Any]:
    run = errand.run
    try:
        task = _load_task(errand.task)
        run.parameters, _ = values.loads(errand.arguments)
        with _entered(errand.scene, runners):
            return engine.execute(task, run, ())
    except BaseException as failure:
        return run.state if run.state.is_final() else _not_begun(run, failure)


@contextmanager
def _entered(scene: Scene, runners: Runners) -> Generator[None]:
    around = surroundings.decode(scene.around)
    with ExitStack() as entered:
        entered.enter_context(nesting.entered(scene.depth))
        if scene.log_prints:
            entered.enter_context(printing.logged(True))
        if scene.flow_run is not None:
            known = scene.flow_run
            flow_run = surroundings.RemoteFlowRun(
                run_id=known.run_id,
                name=known.name,
                flow_name=known.flow_name,
                flow_version=known.flow_version,
                parent_task_run_id=known.parent_task_run_id,
                parent_flow_run_id=known.parent_flow_run_id,
                tags=known.tags,
                run_count=known.run_count,
            )
            runner = entered.enter_context(runners())
            entered.enter_context(FlowRunContext(None, flow_run, runner, results=around.results))
        entered.enter_context(surroundings.entered(around))
        yield


def _not_begun(run: TaskRun, failure: BaseException) -> State[Any]:
    is_error = isinstance(failure, Exception)
    state = outcomes.of_exception(failure, "Task run") if is_error else outcomes.of_crash(failure, run.run_id)
    run_logging.task_run_ended(run, state)
    return state


@functools.lru_cache(_TASKS_KEPT)
def _load_task(definition: bytes) -> "Task[..., Any]":
    # Kept, so that the runs of a task which travels by value share its globals, as they would at home.
    return cast("Task[..., Any]", values.loads(definition))
