"""The record of one run: what is stored of it, and kept when it has ended.

    version 1 B | state type 1 letter, capital once the run has ended | msgpack array

Version and letter stand at fixed places so that a Lua script can tell, without decoding, whether a run has ended and
its record must never change again. A run ends in a final state, or as Pending when what it needed did not complete.
"""

import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from millstream_shared import errors, packing, tracebacks, values
from millstream_shared.references import Reference, Stored
from millstream_shared.states import State, StateType

VERSION = 1
_LETTERS = {
    StateType.SCHEDULED: b"s",
    StateType.PENDING: b"p",
    StateType.RUNNING: b"r",
    StateType.PAUSED: b"h",
    StateType.CANCELLING: b"g",
    StateType.COMPLETED: b"c",
    StateType.FAILED: b"f",
    StateType.CANCELLED: b"x",
    StateType.CRASHED: b"k",
}
_TYPES = {letter[0]: state_type for state_type, letter in _LETTERS.items()}
_NAMES = {state_type: state_type.value.capitalize() for state_type in StateType}

# How `data` is encoded: absent, a value, an exception with its traceback, or where a value is kept.
ABSENT, VALUE, EXCEPTION, REFERENCE = 0, 1, 2, 3
_LARGEST_EXCEPTION = 512 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One run as it is stored. Times are in seconds since the epoch; `data` is the encoded result or exception.

    `details` holds what only flow runs have: `deployment` (its id), `queue`, `version` (of the flow), `function` (where
    it can be loaded from), `due` (when it is to begin), `pause` (what it waits for).
    """

    run_id: str
    kind: Literal["task", "flow"]
    state_type: StateType
    state_name: str
    message: str | None = None
    name: str
    function_name: str
    flow_run_id: str | None = None
    parent_run_id: str | None = None
    tags: tuple[str, ...] = ()
    worker: str | None = None
    attempt: int = 1
    created: float
    started: float | None = None
    ended: float | None = None
    data_kind: int = ABSENT
    data: bytes | None = None
    details: dict[str, Any] | None = None

    @property
    def state(self) -> State[Any]:
        """The state, with its data decoded; an exception that cannot be rebuilt here becomes a RemoteError.

        A value that is kept elsewhere is read when the state is asked for it.
        """
        state: State[Any] = State(
            type=self.state_type,
            name=self.state_name,
            message=self.message,
            timestamp=self.ended or self.started or self.created,
        )
        if self.data_kind != ABSENT:
            state.data = decode_data(self.data_kind, self.data)
        if self.details and self.state_type is StateType.SCHEDULED and "due" in self.details:
            state.details = {"scheduled_time": datetime.fromtimestamp(self.details["due"], UTC)}
        state.run_id, state.run_name = self.run_id, self.name
        return state

    def encode(self) -> bytes:
        default_name = _NAMES[self.state_type]
        suffix = self.name == f"{self.function_name}-{self.run_id[-3:]}"
        created = round(self.created * 1e6)
        fields: list[Any] = [
            None if suffix else self.name,
            self.function_name,
            created,
            _after(created, self.started),
            _after(created, self.ended),
            self.worker,
            self.data_kind,
            self.data,
            # From here on, what most runs do not have; absent when the rest is the default.
            None if self.state_name == default_name else self.state_name,
            self.message,
            bytes.fromhex(self.parent_run_id) if self.parent_run_id else None,
            self.tags or None,
            self.attempt if self.attempt != 1 else None,
            None if self.kind == "task" else True,
            bytes.fromhex(self.flow_run_id) if self.flow_run_id else None,
        ]
        if self.details:
            fields.append(self.details)
        letter = _LETTERS[self.state_type]
        return bytes((VERSION,)) + (letter if self.ended is None else letter.upper()) + packing.pack(fields)


def decode(run_id: str, stored: bytes) -> Record:
    """The record of `run_id` from its stored bytes. Raises PayloadRefused if another version wrote them."""
    if len(stored) < 3 or stored[0] != VERSION:
        raise errors.PayloadRefused(f"its record is not of version {VERSION}")
    fields: list[Any] = packing.unpack(stored[2:])
    state_type = _TYPES[stored[1] | 0x20]
    name, function_name, created, started, ended, worker, data_kind, data = fields[:8]
    state_name, message, parent, tags, attempt, is_flow, flow_run, *details = fields[8:]
    return Record(
        run_id=run_id,
        kind="flow" if is_flow else "task",
        state_type=state_type,
        state_name=state_name or _NAMES[state_type],
        message=message,
        name=name or f"{function_name}-{run_id[-3:]}",
        function_name=function_name,
        flow_run_id=flow_run.hex() if flow_run else None,
        parent_run_id=parent.hex() if parent else None,
        tags=tuple(tags or ()),
        worker=worker,
        attempt=attempt or 1,
        created=created / 1e6,
        started=None if started is None else (created + started) / 1e6,
        ended=None if ended is None else (created + ended) / 1e6,
        data_kind=data_kind,
        data=data,
        details=details[0] if details else None,
    )


def letter_of(state_type: StateType) -> str:
    """The letter that a record has for a kind of state, as long as its run has not ended."""
    return _LETTERS[state_type].decode()


def has_ended(stored: bytes) -> bool:
    """Whether these bytes are the record of a run that has ended."""
    return 65 <= stored[1] <= 90


def encode_data(state: State[Any]) -> tuple[int, bytes | None]:
    """The state's data as `(data kind, bytes)`. Raises whatever pickling a value raised."""
    if not state.has_data:
        return ABSENT, None
    data = state.held
    if isinstance(data, Stored):
        return REFERENCE, data.reference.encode()
    if isinstance(data, BaseException) and state.type is not StateType.COMPLETED:
        return EXCEPTION, encode_exception(data)
    return VALUE, values.dumps(data)


def decode_data(kind: int, data: bytes | None) -> Any:
    """What `encode_data` encoded; of a value that is kept elsewhere, the place."""
    if kind == ABSENT or data is None:
        return None
    if kind == REFERENCE:
        return Stored(Reference.decode(data))
    return decode_exception(data) if kind == EXCEPTION else values.loads(data)


def encode_exception(exception: BaseException) -> bytes:
    """An exception as bytes, along with its traceback's text.

    One that cannot be pickled travels as text alone, as does one that holds so much that Redis should not.
    """
    text = "".join(traceback.format_exception(type(exception), exception, tracebacks.of_user_code(exception)))
    try:
        pickled = values.dumps(exception)
        # An exception whose constructor does not take its own `args` pickles well and fails only when loaded.
        values.loads(pickled)
    except Exception:
        pickled = None
    if pickled and len(pickled) > _LARGEST_EXCEPTION:
        pickled = None
    return packing.pack([pickled, text[-_LARGEST_EXCEPTION:]])


def decode_exception(data: bytes) -> BaseException:
    """The exception itself, its `__cause__` carrying the worker's traceback; else a RemoteError with all its text."""
    pickled, text = packing.unpack(data)
    remote = errors.RemoteError(text)
    if pickled is None:
        return remote
    try:
        exception = values.loads(pickled)
    except Exception:
        return remote
    if exception.__cause__ is None:
        exception.__cause__ = remote
    return exception


def _after(created: int, moment: float | None) -> int | None:
    return None if moment is None else round(moment * 1e6) - created
