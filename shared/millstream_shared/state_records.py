"""What a state of a run is, and what it gives when asked for a result."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Generic, TypeGuard, TypeVar, cast

from millstream_shared import errors

R = TypeVar("R", covariant=True)


class StateType(StrEnum):
    """The nine kinds of state. Names such as `Cached` or `TimedOut` only say more about one of them."""

    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"


FINAL_TYPES: Final = frozenset({StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED})
_DEFAULT_NAMES: Final = {kind: kind.value.capitalize() for kind in StateType}


def _checked(type: Any) -> StateType:
    try:
        return StateType(type)
    except ValueError:
        raise ValueError(f"{type!r} is no type of a state: these are {', '.join(StateType)}.") from None


class _NoData:
    """The absence of a value, which is not the value None."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NO_DATA"

    def __reduce__(self) -> str:
        return "NO_DATA"


NO_DATA: Final = _NoData()


class Elsewhere:
    """A value that is kept in another place, and read from there when it is asked for."""

    __slots__ = ()

    def load(self) -> Any:
        """The value."""
        raise errors.MissingResult("It is not known where the result is.")


class State(Generic[R]):
    """Where a run stands.

    `type` is one of nine kinds, `name` a finer word for it (default: the type's), `message` a sentence for people,
    `timestamp` unix seconds, or a datetime for them (default: now). `run_id` and `run_name` are set on a state that a
    run reached, and None on one that was made by hand. `details` holds what some states need: a scheduled time, a pause
    key. Raises ValueError for a type that is none.
    """

    __slots__ = ("_data", "_id", "details", "message", "name", "run_id", "run_name", "timestamp", "type")

    def __init__(
        self,
        type: StateType,
        name: str | None = None,
        message: str | None = None,
        data: Any = NO_DATA,
        timestamp: float | datetime | None = None,
        id: uuid.UUID | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        if type.__class__ is not StateType:
            type = _checked(type)
        self.type = type
        self.name = name or _DEFAULT_NAMES[type]
        self.message = message
        if isinstance(timestamp, datetime):
            timestamp = timestamp.timestamp()
        self.timestamp = time.time() if timestamp is None else timestamp
        self.details = details
        self.run_id: str | None = None
        self.run_name: str | None = None
        self._data = data
        self._id = id

    @property
    def id(self) -> uuid.UUID:
        """Identifies this state. Made when first asked for: most states are never asked."""
        if self._id is None:
            self._id = uuid.uuid4()
        return self._id

    @property
    def data(self) -> Any:
        """The value or exception that the state holds, or None. `has_data` tells no data from the value None.

        A value that is kept elsewhere is read now: raises MissingResult if it is gone.
        """
        data = self._data
        if isinstance(data, Elsewhere):
            return data.load()
        return None if data is NO_DATA else data

    @data.setter
    def data(self, value: Any) -> None:
        self._data = value

    @property
    def has_data(self) -> bool:
        """Whether there is a value at all."""
        return self._data is not NO_DATA

    @property
    def held(self) -> Any:
        """What `data` is made from: the value, an Elsewhere in its place, or NO_DATA."""
        return self._data

    @property
    def time(self) -> datetime:
        """`timestamp` as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.timestamp, UTC)

    @property
    def wait_seconds(self) -> float:
        """How long a scheduled state has still to wait; 0 for others."""
        due: datetime | None = (self.details or {}).get("scheduled_time")
        return max((due - datetime.now(UTC)).total_seconds(), 0.0) if due else 0.0

    def is_scheduled(self) -> bool:
        """Whether the run waits for its time."""
        return self.type is StateType.SCHEDULED

    def is_pending(self) -> bool:
        """Whether the run waits for a worker or for its inputs."""
        return self.type is StateType.PENDING

    def is_running(self) -> bool:
        """Whether the run is being executed."""
        return self.type is StateType.RUNNING

    def is_paused(self) -> bool:
        """Whether the run waits for somebody to resume it."""
        return self.type is StateType.PAUSED

    def is_cancelling(self) -> bool:
        """Whether the run was told to end and has not ended yet."""
        return self.type is StateType.CANCELLING

    def is_completed(self) -> bool:
        """Whether the run ended well."""
        return self.type is StateType.COMPLETED

    def is_failed(self) -> bool:
        """Whether the run ended by an exception or a failed state."""
        return self.type is StateType.FAILED

    def is_cancelled(self) -> bool:
        """Whether the run was cancelled."""
        return self.type is StateType.CANCELLED

    def is_crashed(self) -> bool:
        """Whether the run was ended from outside."""
        return self.type is StateType.CRASHED

    def is_final(self) -> bool:
        """Whether the state will never change again."""
        return self.type in FINAL_TYPES

    def result(self, raise_on_failure: bool = True) -> Any:
        """The run's value: as such in sync code, as an awaitable where an event loop runs.

        A failed, crashed or cancelled state raises its exception, or gives it as the value when `raise_on_failure` is
        false. Raises UnfinishedRun for a state that is not final, PausedRun for a paused one, MissingResult for a
        completed one without data.
        """
        if loop_is_running():
            return self.aresult(raise_on_failure)
        return value_of(self, raise_on_failure)

    def aresult(self, raise_on_failure: bool = True) -> Coroutine[Any, Any, R]:
        """The same as an awaitable, wherever it is called."""

        async def value() -> R:
            if isinstance(self._data, Elsewhere):
                import asyncio  # there is a loop, so it is there as well

                return await asyncio.to_thread(value_of, self, raise_on_failure)
            return value_of(self, raise_on_failure)

        return value()

    def _identity(self) -> tuple[Any, ...]:
        return self.type, self.name, self.message, self.details

    def __eq__(self, other: object) -> bool:
        """Equal in what is told, whenever and of whichever run: ids and timestamp do not count."""
        if not isinstance(other, State):
            return NotImplemented
        known = cast("State[Any]", other)
        return self is known or (self._identity() == known._identity() and self._same_data(known))

    def _same_data(self, other: State[Any]) -> bool:
        return self.has_data == other.has_data and self.data == other.data

    def __hash__(self) -> int:
        return hash((self.type, self.name, self.message))

    def __str__(self) -> str:
        return f"{self.name}({self.message!r})" if self.message else f"{self.name}()"

    def __repr__(self) -> str:
        parts = [f"message={self.message!r}"] if self.message else []
        parts += [f"type={self.type.value}"]
        parts += [f"result={self._data!r}"] if self.has_data else []
        return f"{self.name}({', '.join(parts)})"


def loop_is_running() -> bool:
    """Whether this thread runs an event loop now. Costs nothing in a program that never imported asyncio."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


# --- what a state gives -----------------------------------------------------------------------------------------------

_WRAPPERS: Final[dict[StateType, type[errors.RunError]]] = {
    StateType.FAILED: errors.FailedRun,
    StateType.CRASHED: errors.CrashedRun,
    StateType.CANCELLED: errors.CancelledRun,
}


def value_of(state: State[Any], raise_on_failure: bool = True) -> Any:
    """`State.result` without the look at the event loop: always the value, never an awaitable."""
    if state.type is StateType.COMPLETED:
        if not state.has_data:
            raise errors.MissingResult(f"{_described(state)} completed, but its result is not available.")
        return state.data
    if state.type in _WRAPPERS:
        error = get_state_exception(state)
        if raise_on_failure:
            raise error
        return error
    if state.type is StateType.PAUSED:
        raise errors.PausedRun(f"{_described(state)} is paused: it has no result until it is resumed.")
    raise errors.UnfinishedRun(f"{_described(state)} is in state {state}, which is not final: it has no result.")


def get_state_exception(state: State[Any]) -> BaseException:
    """The exception that a failed, crashed or cancelled state stands for.

    It is the state's data where that is an exception; where it is text or absent, FailedRun, CrashedRun or CancelledRun
    with that text or the message; where it is a state or several, that of the first bad one. An exit or an interrupt
    comes as the cause of a CrashedRun: raised as such it would end the reader's process too.
    Raises ValueError for any other state, and for several of which none is bad; TypeError for other data.
    """
    if state.type not in _WRAPPERS:
        raise ValueError(f"Expected a failed, crashed or cancelled state, got {state!r}.")
    wrapper = _WRAPPERS[state.type]
    data = state.data
    if isinstance(data, Exception):
        return data
    if isinstance(data, BaseException):
        error = wrapper(state.message or repr(data))
        error.__cause__ = data
        return error
    if data is None or isinstance(data, str):
        return wrapper(data or state.message or f"{_described(state)} is in state {state.name}.")
    if isinstance(data, State):
        return get_state_exception(cast("State[Any]", data))
    if is_state_iterable(data):
        for child in data:
            if child.type in _WRAPPERS:
                return get_state_exception(child)
        raise ValueError("None of the states is failed, crashed or cancelled.")
    raise TypeError(f"A {state.name} state holds {type(data).__name__}, from which no exception can be made.")


def raise_state_exception(state: State[Any]) -> None:
    """Raise what a failed, crashed or cancelled state stands for; do nothing for other states."""
    if state.type in _WRAPPERS:
        raise get_state_exception(state)


def is_state_iterable(value: object) -> TypeGuard[Iterable[State[Any]]]:
    """Whether `value` is a list, set or tuple, not empty, of states only; an annotation, as `quote`, is one value."""
    if hasattr(value, "unwrap") or not isinstance(value, list | set | tuple | frozenset):
        return False
    members = cast("Iterable[object]", value)
    return bool(members) and all(isinstance(member, State) for member in members)


def _described(state: State[Any]) -> str:
    return f"Run {state.run_name or state.run_id!r}" if state.run_id else "A run"
