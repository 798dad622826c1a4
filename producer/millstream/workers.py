"""Workers as programs and commands look after them: which there are, what they do, how to end them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from millstream import sessions
from millstream_shared import errors
from millstream_shared.unfinished import UnfinishedRun, UnfinishedRuns
from millstream_shared.workers import Worker, Workers

__all__ = ["Inspection", "Worker", "inspect", "read", "read_all", "stop", "wait_for_end"]

_PAUSE_SECONDS = 0.1
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Inspection:
    """A worker, and the runs that it executes, the longest first."""

    worker: Worker
    executing: Sequence[UnfinishedRun]


def read_all() -> list[Worker]:
    """All workers that were heard of lately, ours and stock workers of RQ, by name."""
    return _workers().read_all()


def read(name: str) -> Worker:
    """One worker, by its own name or the one that it was given.

    Raises ObjectNotFound, naming those there are, if there is none of that name.
    """
    found = _workers().read(_workers().resolve(name))
    if found is None:
        names = [worker.name for worker in read_all()]
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        there = f"There are {shown}." if names else "No worker runs: `millstream worker start` starts one."
        raise errors.ObjectNotFound(f"There is no worker {name!r}, or it was not heard of for long. {there}")
    return found


def inspect(name: str) -> Inspection:
    """A worker with what it executes. Raises ObjectNotFound as `read` does."""
    worker = read(name)
    runs = UnfinishedRuns(sessions.store()).look(list(_workers().held(worker.name)))
    return Inspection(worker, sorted(runs.values(), key=lambda run: run.started or 0.0))


def stop(name: str, *, at_once: bool = False) -> None:
    """Tell a worker to end; returns when it has been told.

    It claims nothing more, hands back what it has not begun, and ends with what it executes, or, `at_once`, without.
    Raises ObjectNotFound as `read` does, ServiceError if the worker does not listen.
    """
    worker = read(name)
    if not _workers().tell_to_stop(worker.name, at_once=at_once):
        place = f"process {worker.pid} on {worker.host}" if worker.pid else "its process"
        raise errors.ServiceError(f"The worker {name!r} does not listen: it is dead or cut off; see to {place}.")


def wait_for_end(name: str, timeout: float | None = None) -> bool:
    """Wait, up to `timeout` seconds, until a worker is registered no more; whether that is so."""
    name = _workers().resolve(name)
    deadline = None if timeout is None else time.monotonic() + timeout
    while _workers().read(name) is not None:
        if deadline is not None and time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def _workers() -> Workers:
    return Workers(sessions.store())
