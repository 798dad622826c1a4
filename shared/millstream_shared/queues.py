"""Queues in the store: how each of them stands, what is in it, and whether workers claim from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from millstream_shared import envelopes, keys
from millstream_shared.links import Link
from millstream_shared.workers import Workers

_MOST_AT_ONCE: Final = 200
_PAGE: Final = 5000


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as it stands.

    `queued` runs can begin, of which `flow_runs` are runs of flows; `postponed` ones are to begin, or to be tried
    again, later; `failed` counts what RQ lists as failed: runs that crashed, flow runs that did not complete, jobs that
    are not ours. `workers` are those heard of lately. `oldest` is when the run was submitted that stands first or last,
    whichever is older, in seconds since the epoch.
    """

    name: str
    queued: int
    flow_runs: int
    postponed: int
    failed: int
    workers: int
    oldest: float | None
    paused: bool


class Queues:
    """All queues of the server that `link` leads to."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def names(self) -> list[str]:
        """All queues that were ever used, are served, or are paused; by name."""
        used = {name.decode().removeprefix(keys.queue("")) for name in self._link.command("SMEMBERS", keys.QUEUES)}
        served = {queue for worker in Workers(self._link).read_all() for queue in worker.queues}
        return sorted({keys.without_flows(name) for name in used} | served | self.paused())

    def read(self, names: Sequence[str]) -> list[Queue]:
        """How these stand, in this order."""
        found: list[Queue] = []
        for at in range(0, len(names), _MOST_AT_ONCE):
            some = names[at : at + _MOST_AT_ONCE]
            both = [name for queue in some for name in (queue, keys.flow_queue(queue))]
            figures = self._link.script("queue_list", *both)
            found += [
                _queue(name, tasks, flows) for name, tasks, flows in zip(some, figures[::2], figures[1::2], strict=True)
            ]
        return found

    def first(self, name: str, count: int) -> list[str]:
        """The ids of the runs that begin next; those of flow runs, which wait for nothing but a process, are last."""
        pages = [self._link.command("LRANGE", keys.queue(each), 0, count - 1) for each in _both(name)]
        return [run_id.decode() for page in pages for run_id in page][:count]

    def place(self, name: str, run_id: str) -> int | None:
        """Where the run stands in the queue of exactly this name, 1 for the next one; None if it does not."""
        at = self._link.command("LPOS", keys.queue(name), run_id)
        return None if at is None else at + 1

    def length(self, name: str) -> int:
        """How many runs are in the queue of exactly this name."""
        return self._link.command("LLEN", keys.queue(name))

    def postponed_until(self, name: str, run_id: str) -> float | None:
        """When a postponed run of the queue of exactly this name begins, in seconds since the epoch."""
        due = self._link.command("ZSCORE", keys.scheduled(name), run_id)
        return None if due is None else float(due)

    def waiting(self, name: str) -> Iterator[list[str]]:
        """The ids of what is queued or postponed, some at a time; what comes or goes meanwhile may be missed."""
        for each in _both(name):
            for command, key in (("LRANGE", keys.queue(each)), ("ZRANGE", keys.scheduled(each))):
                start = 0
                while page := self._link.command(command, key, start, start + _PAGE - 1):
                    yield [run_id.decode() for run_id in page]
                    start += _PAGE

    def set_aside(self) -> list[str]:
        """The ids of the runs, of all queues, that stand in the line of a concurrency limit."""
        found: list[str] = []
        for limit in self._link.command("SMEMBERS", keys.LIMITS):
            line = self._link.command("ZRANGE", keys.waiters(limit.decode()), 0, -1)
            # Code that waits for a slot has its process in its name; runs have not.
            found += [entry.decode() for entry in line if len(entry) == 32]
        return found

    def paused(self) -> set[str]:
        """The names of those from which workers claim nothing."""
        return {keys.without_flows(name.decode()) for name in self._link.command("SMEMBERS", keys.PAUSED)}

    def pause(self, name: str) -> bool:
        """Have workers claim nothing from the queue; False if that is so already."""
        return bool(self._link.script("pause", "1", *_both(name)))

    def resume(self, name: str) -> bool:
        """Have workers claim from the queue again; False if they do."""
        return bool(self._link.script("pause", "", *_both(name)))

    def are_suspended(self) -> bool:
        """Whether `rq suspend` has told the workers of all queues to claim nothing."""
        return bool(self._link.command("EXISTS", keys.SUSPENDED))


def _both(name: str) -> tuple[str, str]:
    return name, keys.flow_queue(name)


def _queue(name: str, tasks: Sequence[Any], flows: Sequence[Any]) -> Queue:
    queued, postponed, failed, paused, workers, *ends = tasks
    flow_runs, flows_postponed, flows_failed, _, _, *flow_ends = flows
    ages = [created for end in (*ends, *flow_ends) if (created := envelopes.created_in(end)) is not None]
    return Queue(
        name=name,
        queued=queued + flow_runs,
        flow_runs=flow_runs,
        postponed=postponed + flows_postponed,
        failed=failed + flows_failed,
        workers=workers,
        oldest=min(ages, default=None),
        paused=bool(paused),
    )
