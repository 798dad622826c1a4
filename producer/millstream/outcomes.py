"""The final state of a run, from what its function returned or raised."""

import asyncio
import copy
from collections.abc import Iterable
from types import GeneratorType
from typing import Any, Final, cast

from millstream import stops
from millstream.timeouts import TimeLimitExceeded
from millstream.utilities.annotations import quote
from millstream_shared import states
from millstream_shared.errors import TerminationSignal
from millstream_shared.states import State, StateType

_PLAIN: Final = frozenset({str, int, float, bool, bytes, dict, type(None)})


def of_value(value: Any) -> State[Any]:
    """The state of a run whose function returned `value`, in which no futures are left.

    A state that the function made is taken as it is; one that another run reached, or several, are judged together;
    anything else completes the run.
    """
    if type(value) in _PLAIN:
        return State(StateType.COMPLETED, None, None, value)
    if isinstance(value, State):
        return _of_state(cast("State[Any]", value))
    if states.is_state_iterable(value):
        return aggregate(list(value), value)
    if isinstance(value, quote):
        return states.Completed(data=cast("quote[Any]", value).unquote())
    if isinstance(value, GeneratorType):
        return states.Completed(data=list(cast("Iterable[Any]", value)))
    return states.Completed(data=value)


def _of_state(state: State[Any]) -> State[Any]:
    if state.run_id is not None:
        return aggregate([state], state)
    state = copy.copy(state)  # it will be marked as this run's, and the function may return it again
    if state.is_completed() and not state.has_data:
        # "It went well" with nothing to hand over: the caller gets None rather than a complaint about a lost result.
        state.data = None
    return state


def aggregate(children: list[State[Any]], data: Any) -> State[Any]:
    """One state for several: completed if all are, else cancelled or paused if any is, else failed."""
    total = len(children)
    bad = [child for child in children if not child.is_completed()]
    if not bad:
        return states.Completed(message="All states completed.", data=data)
    if any(child.is_cancelled() for child in children):
        return states.Cancelled(message=_told(children, StateType.CANCELLED, total), data=data)
    if any(child.is_paused() for child in children):
        return states.Paused(message=_told(children, StateType.PAUSED, total), data=data)
    unfinished = [child for child in bad if not child.is_final()]
    if unfinished:
        return states.Failed(message=f"{len(unfinished)}/{total} states are not final.", data=data)
    return states.Failed(message=f"{len(bad)}/{total} states failed.", data=data)


def _told(children: list[State[Any]], kind: StateType, total: int) -> str:
    count = sum(child.type is kind for child in children)
    return f"{count}/{total} states {kind.value.lower()}."


def of_exception(error: Exception, what: str) -> State[Any]:
    """The state of a run whose function raised `error`. `what` is "Flow run" or "Task run"."""
    if isinstance(error, TimeLimitExceeded):
        return states.Failed(name="TimedOut", message=f"{what} timed out. {error}", data=error)
    name = "TimedOut" if isinstance(error, TimeoutError) else None
    message = f"{what} encountered an exception: {type(error).__name__}: {error}"
    return states.Failed(name=name, message=message, data=error)


def stopped() -> State[Any]:
    """The state of a run that was told to stop."""
    return states.Cancelled(message="The run was cancelled.")


def of_crash(error: BaseException, run_id: str, around: str | None = None) -> State[Any]:
    """The state of a run, within the flow run `around`, that an interrupt, an exit or a cancellation ended."""
    if stops.was_told(run_id) or (around is not None and stops.was_told(around)):
        return stopped()
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        message = "The run was cancelled by the runtime environment."
    elif isinstance(error, KeyboardInterrupt):
        message = "The run was interrupted."
    elif isinstance(error, TerminationSignal):
        message = f"The process was told to end, by signal {error.signal}."
    elif isinstance(error, SystemExit):
        message = f"The process was told to exit, with status {error.code}."
    else:
        message = f"The run was ended by {type(error).__name__}: {error}"
    return states.Crashed(message=message, data=error)
