"""Queues as programs and commands look after them: how they stand, what waits in them, pause and resume, purge."""

from collections.abc import Sequence
from dataclasses import dataclass

from millstream import purging, sessions
from millstream_shared import errors
from millstream_shared.queues import Queue, Queues
from millstream_shared.unfinished import UnfinishedRun, UnfinishedRuns

__all__ = ["Inspection", "Queue", "are_suspended", "inspect", "pause", "purge", "read", "read_all", "resume"]

_SHOWN = 20
_PURGED = "The queue {!r} was purged before a worker began this run."


@dataclass(frozen=True, slots=True)
class Inspection:
    """A queue, and the runs that begin next on it."""

    queue: Queue
    next: Sequence[UnfinishedRun]


def read_all() -> list[Queue]:
    """All queues that were ever used, are served by a worker, or are paused; by name."""
    queues = _queues()
    return queues.read(queues.names())


def read(name: str) -> Queue:
    """One queue. Raises ObjectNotFound, naming those there are, if there is none of that name."""
    _check(name)
    return _queues().read([name])[0]


def inspect(name: str, count: int = _SHOWN) -> Inspection:
    """A queue with the `count` runs that begin next. Raises ObjectNotFound as `read` does."""
    found = read(name)
    upcoming = UnfinishedRuns(sessions.store()).look(_queues().first(name, count))
    return Inspection(found, list(upcoming.values()))


def pause(name: str) -> bool:
    """Have millstream's workers claim nothing from the queue until `resume`; what they execute goes on.

    False if it is paused already. A stock `rq worker` does not care. Raises ObjectNotFound as `read` does.
    """
    _check(name)
    return _queues().pause(name)


def resume(name: str) -> bool:
    """Have workers claim from the queue again; False if it is not paused. Raises ObjectNotFound as `read` does."""
    _check(name)
    return _queues().resume(name)


def purge(name: str) -> int:
    """End as Cancelled all runs of the queue that no worker has begun; how many. Whoever waits for them is told.

    Runs that are postponed, or wait for a slot of a concurrency limit, are ended too; those that wait for the results
    of other runs are not. Raises ObjectNotFound as `read` does.
    """
    _check(name)
    return purging.purge(sessions.store(), name, _PURGED.format(name))


def are_suspended() -> bool:
    """Whether `rq suspend` has told the workers of all queues to claim nothing."""
    return _queues().are_suspended()


def _queues() -> Queues:
    return Queues(sessions.store())


def _check(name: str) -> None:
    known = _queues().names()
    if name in known:
        return
    shown = ", ".join(map(repr, known[:_SHOWN])) + (", ..." if len(known) > _SHOWN else "")
    there = f"There are {shown}." if known else "There are none yet."
    raise errors.ObjectNotFound(f"There is no queue {name!r}: no run was ever put on it, no worker serves it. {there}")
