"""Whether anything becomes of a run's result, beside that its caller gets it: if so, `keeping` does it.

Light on purpose: most runs persist nothing and stand in no transaction, and pay for a few looks at the context.
"""

import time
from typing import TYPE_CHECKING, Any, Final

from millstream import context, drivers, outcomes
from millstream.result_options import Manner
from millstream_shared.settings import get_settings
from millstream_shared.states import State, StateType

if TYPE_CHECKING:
    from millstream.keeping import Keeping
    from millstream.options import FlowOptions, TaskOptions
    from millstream.runs import FlowRun, TaskRun
    from millstream.tasks import Task
    from millstream.transaction_runs import LocalRun

_NOTHING: Final = Manner()


def manner_of(options: "TaskOptions | FlowOptions") -> Manner:
    """How results of a run with these options, started here, are to be treated."""
    inherited = context.inherited_results() or _NOTHING
    own = options.results
    if own is None:
        return inherited
    return Manner(
        inherited.persist if own.persist is None else own.persist,
        inherited.storage if own.storage is None else own.storage,
        inherited.serializer if own.serializer is None else own.serializer,
    )


def persists(manner: Manner) -> bool:
    """Whether results are persisted at all; by default as the settings say."""
    return get_settings().results_persist_by_default if manner.persist is None else manner.persist


def concerns(task: "Task[..., Any]", manner: Manner) -> bool:
    """Whether there is more to a run of the task than calling its function."""
    options = task.options
    return bool(persists(manner) or context.transaction.get() or options.on_commit or options.on_rollback)


def around(
    task: "Task[..., Any]", run: "TaskRun", manner: Manner, tries: drivers.Steps[State[Any]]
) -> drivers.Steps[State[Any]]:
    """The state of a run: Cached, if an equal run has left its result, else what the `tries` to call it come to.

    What they come to is kept, at once or when the transaction commits in which the run stands.
    """
    keeping, part = _planned(task, run, manner)
    try:
        cached = (yield drivers.Call(keeping.found)) if keeping else None
        if part is not None:
            yield from part.entering()
        state = cached or (yield from tries)
    except BaseException as crash:
        yield from drivers.closing(crash, _left(keeping, part, crash))
        raise
    if state.type is StateType.SCHEDULED:  # It is tried again, elsewhere.
        yield from _put_off(keeping, part)
        return state
    if cached is not None:
        run.started = run.started or time.time()
    elif keeping is not None and (part is None or part.parent is None):
        state = yield from _kept(keeping, state)
    if part is not None:
        yield from part.ended(state)
    if keeping is not None and (part is None or part.parent is None):
        yield drivers.Call(keeping.close)
    return state


def _planned(task: "Task[..., Any]", run: "TaskRun", manner: Manner) -> "tuple[Keeping | None, LocalRun | None]":
    keeping = part = None
    # What these two need is slow to import. Of a run that hands out its items there is no result to keep.
    if persists(manner) and not run.streams:
        from millstream.keeping import Keeping

        run.persists = True
        keeping = Keeping(task, run, manner)
    if context.transaction.get() or task.options.on_commit or task.options.on_rollback:
        from millstream.transaction_runs import LocalRun

        part = LocalRun(task, run, keeping)
    return keeping, part


def _kept(keeping: "Keeping", state: State[Any]) -> drivers.Steps[State[Any]]:
    if state.type is not StateType.COMPLETED:
        return state
    try:
        yield drivers.Call(keeping.keep, (state,))
    except Exception as failure:
        return outcomes.of_exception(failure, "Keeping the result")
    return state


def _left(keeping: "Keeping | None", part: "LocalRun | None", crash: BaseException) -> drivers.Steps[None]:
    if part is not None:
        yield from part.leaving(crash)
    if keeping is not None:
        yield drivers.Call(keeping.close)


def _put_off(keeping: "Keeping | None", part: "LocalRun | None") -> drivers.Steps[None]:
    if part is not None:
        part.forget()
    if keeping is not None:
        yield drivers.Call(keeping.close)


def flow_result(run: "FlowRun", options: "FlowOptions", manner: Manner, state: State[Any]) -> drivers.Steps[None]:
    """Keep what a flow run came to, if its results are persisted. Raises StorageUnavailable."""
    if state.type is not StateType.COMPLETED or not persists(manner) or run.streams:
        return
    run.persists = True
    if manner.storage is not None or not options.cache_result_in_memory:
        from millstream import keeping

        yield drivers.Call(keeping.keep_flow_result, (run, options, manner, state))
