"""A task's arguments on their way to a worker: what they are as bytes, and which runs they wait for.

A future among the arguments travels as the id of its run. Which futures there are is found while pickling, at any
depth and at no cost of its own.
"""

import copyreg
import json
import threading
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from millstream import sessions
from millstream.futures import Future
from millstream_shared import errors, records, references, values
from millstream_shared.envelopes import Envelope
from millstream_shared.references import Reference
from millstream_shared.settings import get_settings
from millstream_shared.states import State

_SMALL: Final = 1024
"""Bytes that are surely within the limit, which need not be looked up for them."""

_found = threading.local()
"""`.upstream`: ids of the futures pickled so far; `.records`: what is known of the futures being unpickled."""


class Encoded(NamedTuple):
    """The arguments of one run: as bytes, or, if they are large, where these are kept; and the runs they wait for."""

    body: bytes
    upstream: list[str]
    is_elsewhere: bool = False

    @property
    def identity(self) -> bytes:
        """Bytes that are equal for equal arguments, as far as pickling makes them so."""
        return Reference.decode(self.body).digest if self.is_elsewhere else self.body


def encode(task_name: str, parameters: dict[str, Any], wait_for: Sequence[Any]) -> tuple[bytes, list[str]]:
    """The arguments as bytes, and the ids of the runs that must end before they can be used.

    Raises UnpicklableArgument, naming the one that cannot be sent.
    """
    upstream = _found.upstream = list[str]()
    try:
        body = values.dumps((parameters, wait_for))
    except Exception as failure:
        raise _unpicklable(task_name, parameters, failure) from failure
    # A second try of the pickling, by cloudpickle, finds the same futures again.
    return body, list(dict.fromkeys(upstream)) if upstream else []


def encode_for_queue(task_name: str, parameters: dict[str, Any], wait_for: Sequence[Any]) -> Encoded:
    """The same, with large arguments kept out of Redis.

    Raises StorageUnavailable, or, where there is no other place to keep them, PayloadTooLarge.
    """
    body, upstream = encode(task_name, parameters, wait_for)
    if len(body) <= _SMALL:
        return Encoded(body, upstream)
    name = f"arguments-{uuid.uuid4().hex}"
    placed = references.place_large(f"The arguments of task {task_name!r}", name, body, get_settings())
    return Encoded(placed.encode(), upstream, is_elsewhere=True) if placed else Encoded(body, upstream)


def encode_data(flow_name: str, parameters: dict[str, Any]) -> Encoded:
    """Parameters from outside, as JSON. Raises as `encode_for_queue` does where they are large."""
    body = json.dumps(parameters, allow_nan=False).encode()
    placed = None
    if len(body) > _SMALL:
        name = f"arguments-{uuid.uuid4().hex}"
        placed = references.place_large(f"The parameters of flow {flow_name!r}", name, body, get_settings())
    return Encoded(placed.encode(), [], is_elsewhere=True) if placed else Encoded(body, [])


def decode(envelope: Envelope, upstream: dict[str, bytes]) -> tuple[dict[str, Any], Sequence[Any]]:
    """Parameters and `wait_for` again. Their futures take the outcomes in `upstream`: stored records, by run id.

    Raises MissingResult, StorageUnavailable or PayloadRefused for arguments that are kept elsewhere and not to be had.
    """
    _found.records = upstream
    try:
        return values.loads(fetched(envelope).body)
    finally:
        _found.records = {}


def fetched(envelope: Envelope) -> Envelope:
    """The envelope with its arguments in it, wherever they were kept. Raises as `decode` does."""
    if not envelope.is_elsewhere:
        return envelope
    return replace(envelope, body=Reference.decode(envelope.body).read(), is_elsewhere=False)


def _unpicklable(task_name: str, parameters: dict[str, Any], failure: Exception) -> errors.UnpicklableArgument:
    for name, value in parameters.items():
        try:
            values.dumps(value)
        except Exception as cause:
            return errors.UnpicklableArgument(task_name, name, f"{type(cause).__name__}: {cause}")
    return errors.UnpicklableArgument(task_name, "wait_for", str(failure))


def _reduce(future: Future[Any]) -> tuple[Any, ...]:
    if not future.stored:
        # Its outcome exists in this process only, so it has to go along.
        future.wait()
        return _restore, (future.run_id, future.name, future.state)
    upstream: list[str] | None = getattr(_found, "upstream", None)
    if upstream is not None:
        upstream.append(future.run_id)
    return _restore, (future.run_id, future.name, None)


def _restore(run_id: str, name: str, state: State[Any] | None) -> Future[Any]:
    if state is not None:
        future: Future[Any] = Future(run_id, name)
        future.complete(state)
        return future
    future = Future(run_id, name, stored=True)
    stored = getattr(_found, "records", {}).get(run_id)
    if stored:
        future.complete(lambda: records.decode(run_id, stored).state)
    else:
        sessions.current().follow(future)
    return future


copyreg.pickle(Future, _reduce)  # pyright: ignore[reportArgumentType]
