"""Finds what is wrong with a server, its workers and the settings here, and says what to do: `millstream doctor`."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Final, Literal

from millstream import sessions
from millstream_shared import connections, errors, server_facts, storages
from millstream_shared.queues import Queue, Queues
from millstream_shared.server_facts import ServerFacts
from millstream_shared.settings import Settings, get_settings
from millstream_shared.store import Store
from millstream_shared.workers import Worker, Workers

Verdict = Literal["ok", "warning", "problem"]

_OLDEST: Final = (7, 0)
_CLOCK_WARNING, _CLOCK_PROBLEM = 1.0, 30.0
_REAP_SECONDS: Final = 20.0
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found: a sentence, and, unless it is `ok`, what to do about it."""

    check: str
    verdict: Verdict
    says: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """All that the checks look at."""

    settings: Settings
    store: Store
    server: ServerFacts
    workers: Sequence[Worker]
    queues: Sequence[Queue]

    @property
    def is_private(self) -> bool:
        """Whether the server is one of ours, for this machine alone."""
        return self.store.is_private


def examine() -> list[Finding]:
    """All findings, in an order in which one would look. Raises ConfigurationError for settings that do not fit.

    A server that does not answer is a finding too; what cannot be known without one is left out then.
    """
    settings = get_settings()
    try:
        store = sessions.store()
        subject = Subject(
            settings,
            store,
            server_facts.read(store),
            Workers(store).read_all(),
            Queues(store).read(Queues(store).names()),
        )
    except errors.ServiceError as failure:
        return [Finding("server", "problem", str(failure)), check_storage(settings)]
    return [*(check(subject) for check in _CHECKS), check_storage(settings)]


# --- the server -------------------------------------------------------------------------------------------------------


def check_server(subject: Subject) -> Finding:
    """Whether it is one that we can work with."""
    server = subject.server
    version = ".".join(map(str, server.version))
    says = f"{server.name} {version} answers at {connections.say_where(subject.store.url)}"
    if not server.version:
        return Finding("server", "warning", f"{says} and does not tell its version", "It has to be 7.0 or later.")
    if server.name == "Redis" and server.version < _OLDEST:
        return Finding("server", "problem", says, "Redis 7.0 or later, or Valkey, is needed.")
    if server.is_replica:
        return Finding("server", "problem", f"{says}, as a replica", "Use the address of its primary.")
    return Finding("server", "ok", says)


def check_persistence(subject: Subject) -> Finding:
    """Whether it keeps what is queued when it ends."""
    server = subject.server
    if server.writes_fail:
        return Finding("persistence", "problem", "its last write to disk failed", "See to its disk and its log.")
    if server.appends is None:
        return Finding("persistence", "warning", "it does not say whether it keeps its data", "Ask who runs it.")
    if not server.appends:
        advice = "Turn on its log: CONFIG SET appendonly yes, and `appendonly yes` in its configuration."
        if server.saves:
            return Finding("persistence", "warning", "when it dies, minutes of work are lost: snapshots only", advice)
        return Finding("persistence", "problem", "when it ends, all runs are lost: nothing is written to disk", advice)
    if server.fsync == "no":
        advice = "CONFIG SET appendfsync everysec."
        return Finding("persistence", "warning", "its log is written when the system likes", advice)
    return Finding("persistence", "ok", f"its log is on, synced: {server.fsync or 'unknown'}")


def check_eviction(subject: Subject) -> Finding:
    """Whether it may throw runs away for want of memory."""
    server = subject.server
    if server.eviction is None:
        return Finding("eviction", "warning", "it does not say what it evicts", "See that its policy is noeviction.")
    if server.eviction == "noeviction":
        return Finding("eviction", "ok", "it evicts nothing")
    says = f"it evicts by {server.eviction} when its memory is full: runs and results would vanish"
    advice = "CONFIG SET maxmemory-policy noeviction."
    return Finding("eviction", "problem" if server.most_bytes else "warning", says, advice)


def check_memory(subject: Subject) -> Finding:
    """Whether there is room for more."""
    used, most = subject.server.used_bytes, subject.server.most_bytes
    if used is None:
        return Finding("memory", "warning", "it does not say how much it uses", "See to its limit where it is hosted.")
    megabytes = used / 2**20
    if not most:
        return Finding("memory", "ok", f"{megabytes:,.1f} MiB used, no limit")
    share = used / most
    says = f"{megabytes:,.1f} of {most / 2**20:,.1f} MiB used ({share:.0%})"
    advice = "Give it more, or keep less: MILLSTREAM_RETENTION_SECONDS, MILLSTREAM_LARGEST_INLINE_BYTES."
    verdict: Verdict = "problem" if share > 0.9 else "warning" if share > 0.75 else "ok"
    return Finding("memory", verdict, says, "" if verdict == "ok" else advice)


def check_clock(subject: Subject) -> Finding:
    """Whether times mean the same here and there."""
    server = subject.server
    off = max(abs(server.clock_ahead) - server.clock_error, 0.0)
    way = "ahead of" if server.clock_ahead > 0 else "behind"
    if off < _CLOCK_WARNING:
        return Finding("clock", "ok", "the server's clock agrees with the one here")
    says = f"the server's clock is {off:.1f} s {way} the one here"
    verdict: Verdict = "problem" if off >= _CLOCK_PROBLEM else "warning"
    return Finding("clock", verdict, says, "Keep both by NTP: postponed and scheduled runs come at the wrong time.")


# --- workers and queues -----------------------------------------------------------------------------------------------


def check_workers(subject: Subject) -> Finding:
    """Whether there are any."""
    if subject.workers:
        executing = sum(worker.executing for worker in subject.workers)
        return Finding("workers", "ok", f"{len(subject.workers)} registered, executing {executing} runs")
    if subject.is_private:
        return Finding("workers", "ok", "none now: programs on a private server start their own")
    return Finding("workers", "warning", "none is registered", "millstream worker start")


def check_dead_workers(subject: Subject) -> Finding:
    """Whether there are registrations of workers that were not heard of."""
    dead = Workers(subject.store).dead()
    if not dead:
        return Finding("registrations", "ok", "all registered workers were heard of")
    advice = "Look for what killed them; any worker removes the registrations in its upkeep, every ten minutes."
    return Finding("registrations", "warning", f"not heard of for long: {_some(dead)}", advice)


def check_unserved_queues(subject: Subject) -> Finding:
    """Whether runs wait on queues that no worker serves."""
    tasks = [queue for queue in subject.queues if queue.queued > queue.flow_runs and not queue.workers]
    flows = {name for worker in subject.workers for name in worker.flow_queues}
    runs = [queue for queue in subject.queues if queue.flow_runs and queue.name not in flows and queue not in tasks]
    if not tasks and not runs:
        return Finding("queues", "ok", "no run waits where no worker serves")
    says = f"no worker serves {_some([f'{queue.name!r} (runs: {queue.queued})' for queue in (*tasks, *runs)])}"
    options = " ".join(f"-q {queue.name}" for queue in (*tasks, *runs)) + (" --flows N" if runs else "")
    return Finding("queues", "problem", says, f"millstream worker start {options}")


def check_pauses(subject: Subject) -> Finding:
    """Whether workers were told to claim nothing."""
    if Queues(subject.store).are_suspended():
        return Finding("pauses", "warning", "all workers are suspended", "rq resume")
    paused = [queue.name for queue in subject.queues if queue.paused]
    if paused:
        return Finding("pauses", "warning", f"paused: {_some(paused)}", "millstream queue resume NAME")
    return Finding("pauses", "ok", "no queue is paused")


def check_leases(subject: Subject) -> Finding:
    """Whether processes have died whose runs nobody has taken over."""
    owners = Workers(subject.store).owners()
    dead = sorted(owner for owner, left in owners.items() if left < (0 if not subject.workers else -_REAP_SECONDS))
    if not dead:
        return Finding("leases", "ok", f"{len(owners)} processes hold one, none has run out")
    says = f"run out, and nobody has taken over what they executed: {_some(dead)}"
    return Finding("leases", "problem", says, "Any worker does so within seconds: millstream worker start")


def check_versions(subject: Subject) -> Finding:
    """Whether workers are of the same version, and of the same Python, as programs here."""
    ours, python = f"millstream {metadata.version('millstream')}", platform.python_version_tuple()[:2]
    other = [
        f"{worker.name}: {worker.version}, Python {worker.python or 'unknown'}"
        for worker in subject.workers
        if (worker.version != ours and worker.version.startswith("millstream"))
        or (worker.python and tuple(worker.python.split(".")[:2]) != python)
    ]
    if not other:
        return Finding("versions", "ok", f"{ours}, Python {'.'.join(python)}, as all workers")
    says = f"here {ours}, Python {'.'.join(python)}, unlike {_some(other)}"
    return Finding("versions", "warning", says, "Install the same everywhere: functions travel between them.")


# --- settings ---------------------------------------------------------------------------------------------------------


def check_signing_key(subject: Subject) -> Finding:
    """Whether payloads are signed."""
    if subject.settings.signing_key is not None:
        return Finding("signing key", "ok", "payloads are signed")
    if subject.is_private:
        return Finding("signing key", "ok", "none, and none is needed: the server is this user's alone")
    says = "none: whoever can write to this Redis can run code on its workers"
    return Finding("signing key", "warning", says, "Set MILLSTREAM_SIGNING_KEY, the same everywhere.")


def check_storage(settings: Settings) -> Finding:
    """Whether large results can be written where they belong, and read again."""
    place = storages.for_large(settings)
    if place is None:
        says = f"none: what is over {settings.largest_in_redis_bytes / 2**20:,.0f} MiB is refused, the rest is in Redis"
        return Finding("result storage", "warning", says, "Set MILLSTREAM_RESULT_STORAGE to what all workers share.")
    path, content = storages.path_of_today(f"doctor-{os.urandom(8).hex()}"), os.urandom(32)
    try:
        place.write_path(path, content)
        is_same = place.read_path(path) == content
        place.remove(path)
    except (errors.MillstreamError, OSError) as failure:
        return Finding("result storage", "problem", str(failure), "See to its rights and space.")
    if not is_same:
        return Finding("result storage", "problem", f"{place.address} gives back other bytes than it was given")
    return Finding("result storage", "ok", f"{place.address} can be written and read")


_CHECKS: Final[Sequence[Callable[[Subject], Finding]]] = (
    check_server,
    check_persistence,
    check_eviction,
    check_memory,
    check_clock,
    check_workers,
    check_dead_workers,
    check_unserved_queues,
    check_pauses,
    check_leases,
    check_versions,
    check_signing_key,
)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return "; ".join(names[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
