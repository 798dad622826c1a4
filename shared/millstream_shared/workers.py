"""Workers as they are registered in the store: ours, and stock workers of RQ."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from millstream_shared import keys
from millstream_shared.links import Link

_CHANNEL: Final = "rq:pubsub:"
"""What RQ puts before a worker's name (rq 2.12, `rq/command.py`)."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as it describes itself: it serves `queues`, and executes the flow runs of `flow_queues`.

    Times are in seconds since the epoch, by the clock of its machine. `executing` is the number of runs that it holds.
    `lease_seconds` is how long it may be silent before those go to others. What a stock worker of RQ does not say is
    empty, or None.
    """

    name: str
    queues: tuple[str, ...]
    flow_queues: tuple[str, ...]
    state: str
    host: str
    pid: int | None
    started: float | None
    heartbeat: float | None
    processes: int | None
    threads: int | None
    version: str
    python: str
    executing: int
    lease_seconds: float | None

    def serves(self, queue: str) -> bool:
        """Whether it takes runs from the queue of exactly this name, which may be that of the flow runs of a queue."""
        name = keys.without_flows(queue)
        return name in (self.queues if name == queue else self.flow_queues)


class Workers:
    """All workers of the server that `link` leads to."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def read_all(self) -> list[Worker]:
        """Those heard of lately, by name."""
        return [worker for name in sorted(self._registered()) if (worker := self.read(name)) is not None]

    def read(self, name: str) -> Worker | None:
        """The worker of that name; None if there is none, it has ended, or it has not been heard of for long."""
        words = self._link.command("HGETALL", keys.worker(name))
        if not words or b"death" in words:
            return None
        fields = {field.decode(): value.decode(errors="replace") for field, value in words.items()}
        executing = self._link.command("HLEN", keys.held(name))
        return _worker(name, fields, executing, self.lease_seconds(name))

    def resolve(self, name: str) -> str:
        """The worker that was started with `--name name`, if there is one, else `name` itself."""
        found: bytes | None = self._link.command("GET", keys.worker_name(name))
        return found.decode().partition(" ")[0] if found else name

    def dead(self) -> list[str]:
        """The names of those that are registered and have not been heard of for so long that nothing else is known."""
        return sorted(name for name in self._registered() if not self._link.command("EXISTS", keys.worker(name)))

    def held(self, name: str) -> dict[str, int]:
        """The runs that a process holds: id and attempt."""
        words = self._link.command("HGETALL", keys.held(name))
        return {run_id.decode(): int(attempt) for run_id, attempt in words.items()}

    def owners(self) -> dict[str, float]:
        """All processes that have a lease, and how many seconds it still lasts; of one that ran out, less than 0."""
        now = self._server_time()
        found = self._link.command("ZRANGE", keys.LEASES, 0, -1, "WITHSCORES")
        return {name.decode(): float(until) / 1000 - now for name, until in _pairs(found)}

    def lease_seconds(self, owner: str) -> float | None:
        """How long the lease of a process lasts, less than 0 if it has run out; None if it has none."""
        until = self._link.command("ZSCORE", keys.LEASES, owner)
        return None if until is None else float(until) / 1000 - self._server_time()

    def holder(self, run_id: str) -> str | None:
        """The process that holds a run. Asks for each that has a lease: for rare use."""
        owners = self.owners()
        return next((owner for owner in owners if self._link.command("HEXISTS", keys.held(owner), run_id)), None)

    def tell_to_stop(self, name: str, *, at_once: bool) -> bool:
        """Have a worker end as by SIGTERM, `at_once` as by two. False if it does not listen.

        A stock worker of RQ ends, either way, after the job that it executes.
        """
        order = json.dumps({"command": "shutdown", "at_once": at_once})
        return bool(self._link.command("PUBLISH", _CHANNEL + name, order))

    def _registered(self) -> set[str]:
        registered = self._link.command("SMEMBERS", keys.WORKERS)
        return {key.decode().removeprefix(keys.worker("")) for key in registered}

    def _server_time(self) -> float:
        seconds, microseconds = self._link.command("TIME")
        return int(seconds) + int(microseconds) / 1e6


def _worker(name: str, fields: Mapping[str, str], executing: int, lease_seconds: float | None) -> Worker:
    ours = fields.get("millstream_version")
    served = list(filter(None, fields.get("queues", "").split(",")))
    return Worker(
        name=name,
        queues=tuple(name for name in served if name == keys.without_flows(name)),
        flow_queues=tuple(keys.without_flows(name) for name in served if name != keys.without_flows(name)),
        state=fields.get("state", ""),
        host=fields.get("hostname", ""),
        pid=_number(fields.get("pid")),
        started=moment(fields.get("birth")),
        heartbeat=moment(fields.get("last_heartbeat")),
        processes=_number(fields.get("processes")),
        threads=_number(fields.get("threads")),
        version=f"millstream {ours}" if ours else f"rq {fields.get('version', '')}".strip(),
        python=fields.get("python_version", "").split(" ")[0],
        executing=executing,
        lease_seconds=lease_seconds,
    )


def moment(text: str | None) -> float | None:
    """A point in time as RQ writes it, in seconds since the epoch; None for what is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _pairs(found: list[Any]) -> Iterable[tuple[bytes, float]]:
    # The two versions of Redis' protocol give them in pairs, and one behind the other.
    return zip(found[::2], found[1::2], strict=True) if found and isinstance(found[0], bytes) else found
