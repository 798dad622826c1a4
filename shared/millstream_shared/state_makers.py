"""Making states by hand: one constructor for each name that a state can have."""

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from millstream_shared.state_records import NO_DATA, State, StateType


class Constructor(Protocol):
    """Makes a state of one type; `name` defaults to the constructor's."""

    def __call__(self, *, message: str | None = None, data: Any = NO_DATA, name: str | None = None) -> State[Any]: ...


def _constructor(kind: StateType, default_name: str, description: str) -> Constructor:
    def make(*, message: str | None = None, data: Any = NO_DATA, name: str | None = None) -> State[Any]:
        return State(kind, name or default_name, message, data)

    make.__name__ = make.__qualname__ = default_name
    make.__doc__ = description
    return make


Completed = _constructor(StateType.COMPLETED, "Completed", "A run that ended well, with its value as `data`.")
Failed = _constructor(StateType.FAILED, "Failed", "A run that failed, with its exception as `data`.")
Crashed = _constructor(StateType.CRASHED, "Crashed", "A run that was ended from outside.")
Cancelled = _constructor(StateType.CANCELLED, "Cancelled", "A run that was cancelled.")
Cancelling = _constructor(StateType.CANCELLING, "Cancelling", "A run that was told to end.")
Running = _constructor(StateType.RUNNING, "Running", "A run that is being executed.")
Retrying = _constructor(StateType.RUNNING, "Retrying", "A run that is being executed again.")
Pending = _constructor(StateType.PENDING, "Pending", "A run that waits for a worker or for its inputs.")
NotReady = _constructor(
    StateType.PENDING, "NotReady", "A run not started, as something that it needs did not complete."
)
Submitting = _constructor(StateType.PENDING, "Submitting", "A run that is being handed to what will execute it.")
InfrastructurePending = _constructor(
    StateType.PENDING, "InfrastructurePending", "A run whose process is being started."
)


class TimedConstructor(Protocol):
    """Makes a scheduled state for `scheduled_time` (default: now), which is kept in `details`."""

    def __call__(
        self,
        *,
        scheduled_time: datetime | None = None,
        message: str | None = None,
        data: Any = NO_DATA,
        name: str | None = None,
    ) -> State[Any]: ...


def _timed_constructor(default_name: str, description: str) -> TimedConstructor:
    def make(
        *,
        scheduled_time: datetime | None = None,
        message: str | None = None,
        data: Any = NO_DATA,
        name: str | None = None,
    ) -> State[Any]:
        details = {"scheduled_time": scheduled_time or datetime.now(UTC)}
        return State(StateType.SCHEDULED, name or default_name, message, data, details=details)

    make.__name__ = make.__qualname__ = default_name
    make.__doc__ = description
    return make


Scheduled = _timed_constructor("Scheduled", "A run that waits for its time.")
Late = _timed_constructor("Late", "A run whose time has passed without it being started.")
AwaitingRetry = _timed_constructor("AwaitingRetry", "A run that failed and will be executed again at that time.")
AwaitingConcurrencySlot = _timed_constructor("AwaitingConcurrencySlot", "A run that a concurrency limit holds back.")


def Paused(
    *,
    timeout_seconds: float | None = None,
    pause_expiration_time: datetime | None = None,
    reschedule: bool = False,
    pause_key: str | None = None,
    message: str | None = None,
    data: Any = NO_DATA,
    name: str | None = None,
) -> State[Any]:
    """A run that waits to be resumed, for at most `timeout_seconds` or until `pause_expiration_time` (default: ever).

    Raises ValueError when both are given.
    """
    if timeout_seconds is not None and pause_expiration_time is not None:
        raise ValueError("Give either timeout_seconds or pause_expiration_time, not both.")
    if timeout_seconds is not None:
        pause_expiration_time = datetime.now(UTC) + timedelta(seconds=timeout_seconds)
    details = {"pause_timeout": pause_expiration_time, "pause_reschedule": reschedule, "pause_key": pause_key}
    return State(StateType.PAUSED, name, message, data, details=details)


def Suspended(
    *,
    timeout_seconds: float | None = None,
    pause_expiration_time: datetime | None = None,
    pause_key: str | None = None,
    message: str | None = None,
    data: Any = NO_DATA,
    name: str | None = None,
) -> State[Any]:
    """A run that is paused and left its process: it starts anew when resumed."""
    return Paused(
        timeout_seconds=timeout_seconds,
        pause_expiration_time=pause_expiration_time,
        reschedule=True,
        pause_key=pause_key,
        message=message,
        data=data,
        name=name or "Suspended",
    )
