"""Runs that have not ended, as their jobs in the store tell of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, cast

from millstream_shared import envelopes, ids
from millstream_shared.envelopes import Header
from millstream_shared.flow_headers import FlowHeader
from millstream_shared.links import Link
from millstream_shared.queues import Queues
from millstream_shared.workers import Workers, moment

_MOST_AT_ONCE: Final = 500

Status = Literal["queued", "started", "scheduled", "deferred"]


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """A run that is queued, postponed, held back or executed by a worker.

    `awaits` is the concurrency limit in whose line it stands. Of `upstream`, the runs whose results it is given, it
    waits for those that have not ended; `waits` counts those, and other runs that it was told to wait for. `tries`
    counts the tries that failed before it was postponed. `worker` is the last one that took it: it `is_held` by that
    one, whose lease lasts `lease_seconds`, while its status is `started`. Times are in seconds since the epoch.
    `queue` is, of a flow run, that of the flow runs of a queue. `sealed` is the payload without arguments.
    """

    run_id: str
    kind: Literal["task", "flow"]
    status: Status
    queue: str
    name: str
    function_name: str
    flow_run_id: str | None
    parent_run_id: str | None
    tags: tuple[str, ...]
    awaits: str
    waits: int
    upstream: tuple[str, ...]
    attempts: int
    crashes: int
    tries: int
    worker: str
    is_held: bool
    lease_seconds: float
    created: float | None
    started: float | None
    sealed: bytes


class UnfinishedRuns:
    """All of them on the server that `link` leads to."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._queues = Queues(link)
        self._workers = Workers(link)

    def look(self, run_ids: Sequence[str]) -> dict[str, UnfinishedRun]:
        """Those of the runs that have not ended and have a job; what a process executes itself has none."""
        found: dict[str, UnfinishedRun] = {}
        for at in range(0, len(run_ids), _MOST_AT_ONCE):
            some = run_ids[at : at + _MOST_AT_ONCE]
            for run_id, fields in zip(some, self._link.script("unfinished", *some), strict=True):
                if fields:
                    found[run_id] = _run(run_id, fields)
        return found

    def in_tree(self, run_id: str) -> list[str]:
        """The ids of all those in the tree of a run. Reads all queues: for rare use."""
        tree = ids.tree_of(run_id)
        found = dict.fromkeys(self._begun_or_queued(tree))
        fresh = list(found)
        while fresh:
            # What waits for others is known only to those.
            waiting = [each for some in _chunks(fresh) for each in self._link.script("dependents", *some)]
            fresh = [each for each in map(bytes.decode, waiting) if each.startswith(tree) and each not in found]
            found |= dict.fromkeys(fresh)
        return list(found)

    def begun_in_tree(self, run_id: str) -> set[str]:
        """The ids of those in the tree of a run that some process holds. Asks for each that has a lease."""
        tree = ids.tree_of(run_id)
        return {held for owner in self._workers.owners() for held in self._workers.held(owner) if held.startswith(tree)}

    def _begun_or_queued(self, tree: str) -> Iterable[str]:
        yield from self.begun_in_tree(tree)
        for queue in self._queues.names():
            for page in self._queues.waiting(queue):
                yield from (run_id for run_id in page if run_id.startswith(tree))
        yield from (run_id for run_id in self._queues.set_aside() if run_id.startswith(tree))


def _chunks(run_ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (run_ids[at : at + _MOST_AT_ONCE] for at in range(0, len(run_ids), _MOST_AT_ONCE))


def _run(run_id: str, fields: Sequence[Any]) -> UnfinishedRun:
    texts = [cast("bytes", field).decode(errors="replace") for field in fields[:12]]
    status, queue, name, tags, awaits, waits, attempts, crashes, tries, worker, started_at, mode = texts
    sealed, is_held, lease = fields[12:]
    header, created, upstream = _opened(sealed, is_flow=mode == "f")
    return UnfinishedRun(
        run_id=run_id,
        kind="flow" if mode == "f" else "task",
        status=cast("Status", status),
        queue=queue,
        name=name or run_id,
        function_name=name
        if header is None
        else header.flow_name
        if isinstance(header, FlowHeader)
        else header.task_name,
        flow_run_id=None
        if header is None
        else header.parent_flow_run_id
        if isinstance(header, FlowHeader)
        else header.flow_run_id or None,
        parent_run_id=None
        if header is None
        else header.parent_task_run_id
        if isinstance(header, FlowHeader)
        else header.parent_run_id,
        tags=header.tags if header else tuple(tags.split("\n")) if tags else (),
        awaits=awaits,
        waits=int(waits or 0),
        upstream=upstream,
        attempts=int(attempts or 0),
        crashes=int(crashes or 0),
        tries=int(tries or 0),
        worker=worker,
        is_held=bool(is_held),
        lease_seconds=lease / 1000,
        created=created,
        started=moment(started_at),
        sealed=sealed,
    )


def _opened(sealed: bytes, *, is_flow: bool) -> tuple[Header | FlowHeader | None, float | None, tuple[str, ...]]:
    try:
        envelope = envelopes.open_unchecked(sealed)
        return _header(envelope.header, is_flow), envelope.created, envelope.upstream
    except Exception:
        # Of another version, or damaged: whoever executes it says so.
        return None, None, ()


@lru_cache(maxsize=64)
def _header(encoded: bytes, is_flow: bool) -> Header | FlowHeader:
    # All runs of a map have the same one.
    return FlowHeader.decode(encoded) if is_flow else Header.decode(encoded)
