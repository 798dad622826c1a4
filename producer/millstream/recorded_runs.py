"""Runs as the store knows them, for programs that look at them: they do not change, and can be read anew."""

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from millstream import inspecting
from millstream.inspecting import Found
from millstream_shared.records import Record
from millstream_shared.states import State, StateType

_FLOWS: Final = uuid.UUID("6b1d3c52-6f0e-4f5b-9d0c-0a4b6e4ad1f7")
"""The namespace of the ids of flows, which follow from their names."""

_TYPES: Final = {
    "Pending": StateType.PENDING,
    "AwaitingConcurrencySlot": StateType.PENDING,
    "Running": StateType.RUNNING,
    "AwaitingRetry": StateType.SCHEDULED,
}
"""Of runs that have no record yet."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow that is known by its runs or deployments. Its id follows from its name."""

    name: str

    @property
    def id(self) -> uuid.UUID:
        """The id of all flows of that name."""
        return uuid.uuid5(_FLOWS, self.name)


@dataclass(frozen=True, slots=True, repr=False)
class FlowRun:
    """A flow run as it stood when it was read. Times have a time zone, UTC."""

    record: Record

    def __repr__(self) -> str:
        return f"FlowRun(id={str(self.id)!r}, name={self.name!r}, flow={self.flow_name!r}, state={self.state_name!r})"

    @property
    def id(self) -> uuid.UUID:
        """Its id."""
        return uuid.UUID(self.record.run_id)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.record.name

    @property
    def flow_name(self) -> str:
        """The name of its flow."""
        return self.record.function_name

    @property
    def flow_id(self) -> uuid.UUID:
        """The id of its flow, which follows from the name."""
        return Flow(self.flow_name).id

    @property
    def flow_version(self) -> str | None:
        """The version of its flow, if that has one."""
        return self._detail("version")

    @property
    def deployment_id(self) -> uuid.UUID | None:
        """The deployment that it is a run of, if it is."""
        return _uuid(self._detail("deployment"))

    @property
    def work_queue_name(self) -> str | None:
        """The queue from which workers take it; None for one that was called and not queued."""
        return self._detail("queue")

    @property
    def state(self) -> State[Any]:
        """Its state; `.state.result()` gives the value, or raises what the flow raised."""
        return self.record.state

    @property
    def state_type(self) -> StateType:
        """The kind of its state."""
        return self.record.state_type

    @property
    def state_name(self) -> str:
        """The name of its state."""
        return self.record.state_name

    @property
    def parameters(self) -> dict[str, Any]:
        """What it was given from outside, as JSON data of at most 4 KiB; else an empty dictionary."""
        return json.loads(self._detail("parameters") or "{}")

    @property
    def tags(self) -> list[str]:
        """Its tags, sorted."""
        return sorted(self.record.tags)

    @property
    def parent_flow_run_id(self) -> uuid.UUID | None:
        """The flow run in which it was called or submitted."""
        return _uuid(self.record.flow_run_id)

    @property
    def parent_task_run_id(self) -> uuid.UUID | None:
        """The task run in which it was called or submitted."""
        return _uuid(self.record.parent_run_id)

    @property
    def run_count(self) -> int:
        """How often it was begun."""
        return self.record.attempt if self.record.started is not None else 0

    @property
    def created(self) -> datetime:
        """When it was made."""
        return datetime.fromtimestamp(self.record.created, UTC)

    @property
    def expected_start_time(self) -> datetime:
        """When it was to begin."""
        return datetime.fromtimestamp(self._detail("due") or self.record.created, UTC)

    @property
    def start_time(self) -> datetime | None:
        """When it began."""
        return _moment(self.record.started)

    @property
    def end_time(self) -> datetime | None:
        """When it ended."""
        return _moment(self.record.ended)

    @property
    def total_run_time(self) -> timedelta:
        """From its beginning to its end, or to now if it has not ended."""
        return _duration(self.record.started, self.record.ended)

    def _detail(self, name: str) -> Any:
        return (self.record.details or {}).get(name)


@dataclass(frozen=True, slots=True, repr=False)
class TaskRun:
    """A task run as it stood when it was read. Times have a time zone, UTC."""

    found: Found

    def __repr__(self) -> str:
        return f"TaskRun(id={str(self.id)!r}, name={self.name!r}, state={self.state_name!r})"

    @property
    def id(self) -> uuid.UUID:
        """Its id."""
        return uuid.UUID(self.found.run_id)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.found.name

    @property
    def task_name(self) -> str:
        """The name of its task."""
        return inspecting.described(self.found).function_name

    @property
    def flow_run_id(self) -> uuid.UUID | None:
        """The flow run that it belongs to; None for a background run."""
        return _uuid(inspecting.described(self.found).flow_run_id)

    @property
    def parent_task_run_id(self) -> uuid.UUID | None:
        """The task run that submitted it."""
        return _uuid(inspecting.described(self.found).parent_run_id)

    @property
    def state(self) -> State[Any]:
        """Its state; `.state.result()` gives the value, if that was kept, or raises what the task raised."""
        record = self.found.record
        if record is not None and record.ended is not None:
            return record.state
        return State(self.state_type, self.state_name)

    @property
    def state_type(self) -> StateType:
        """The kind of its state."""
        record, name = self.found.record, self.state_name
        return record.state_type if record is not None and record.state_name == name else _TYPES[name]

    @property
    def state_name(self) -> str:
        """The name of its state."""
        return inspecting.described(self.found).state

    @property
    def tags(self) -> list[str]:
        """Its tags, sorted."""
        return sorted(inspecting.described(self.found).tags)

    @property
    def run_count(self) -> int:
        """How often it was begun."""
        return inspecting.described(self.found).attempt

    @property
    def start_time(self) -> datetime | None:
        """When it began."""
        return _moment(inspecting.described(self.found).started)

    @property
    def end_time(self) -> datetime | None:
        """When it ended."""
        return _moment(inspecting.described(self.found).ended)

    @property
    def total_run_time(self) -> timedelta:
        """From its beginning to its end, or to now if it has not ended."""
        run = inspecting.described(self.found)
        return _duration(run.started, run.ended)


def kind_of_state(given: StateType | State[Any] | str) -> StateType:
    """The kind of state that is meant. Raises ValueError, which names those there are."""
    kind = given.type if isinstance(given, State) else given
    try:
        return StateType(kind.upper())
    except (ValueError, AttributeError):
        there_are = ", ".join(kind.capitalize() for kind in StateType)
        raise ValueError(f"There is no kind of state {given!r}: it is one of {there_are}.") from None


def _uuid(digits: str | None) -> uuid.UUID | None:
    return None if digits is None else uuid.UUID(digits)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _duration(began: float | None, ended: float | None) -> timedelta:
    if began is None:
        return timedelta()
    return timedelta(seconds=(ended or datetime.now(UTC).timestamp()) - began)
