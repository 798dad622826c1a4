"""The pauses of flow runs that this process executes, each waiting to be woken."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from millstream.futures import Future
from millstream_shared import states

_waiting: dict[str, Future[Any]] = {}


@contextmanager
def registered(run_id: str) -> Generator[Future[Any]]:
    """Within, a future that is done once somebody resumes the flow run."""
    future = _waiting[run_id] = Future(run_id, run_id)
    try:
        yield future
    finally:
        if _waiting.get(run_id) is future:
            del _waiting[run_id]


def wake(run_id: str) -> None:
    """The flow run was resumed."""
    future = _waiting.get(run_id)
    if future is not None:
        future.complete(states.Completed(data=None))
