"""Fires the schedules of deployments: of all workers, the one that has the lease for it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from millstream_shared import errors
from millstream_shared.deployments import DeploymentRecord, Deployments
from millstream_shared.schedules import ScheduleRecord, next_after, to_fire
from millstream_shared.scheduling import Due, Look, Refused, Scheduling
from millstream_shared.store import Store
from millstream_worker import worker_logging

Fire = Callable[[DeploymentRecord, ScheduleRecord, datetime, str], object]
"""Makes a run: the deployment, the schedule, for which time it is, and a key under which there is only one run."""

LEASE_SECONDS: Final = 10.0
_SECONDS_BETWEEN_LOOKS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Entry:
    """A schedule that can fire."""

    deployment: DeploymentRecord
    schedule: ScheduleRecord

    @property
    def name(self) -> str:
        # Other times make another entry: what is kept under a name is always a time that it has.
        digest = hashlib.sha256(self.schedule.timing.encode()).hexdigest()[:12]
        return f"{self.deployment.id}/{self.schedule.slug}/{digest}"

    def key(self, time: datetime) -> str:
        """The idempotency key of the run for that time."""
        return f"{self.deployment.id}/{self.schedule.slug}/{time.isoformat()}"


class Scheduler:
    """One worker's part in firing schedules. Not for several threads at once.

    `fire` may be called again for a time that it was called for, by this or another worker, always with the same key:
    it has to make one run of that. What it raises is logged, and the time is over; only a ServiceError is passed on,
    and the time comes again. `lease_seconds` is how long it may be silent before another worker fires instead: by
    default 10, or the lease of workers if that is shorter. `clock` gives the unix seconds that count, by default the
    server's.
    """

    def __init__(
        self,
        store: Store,
        owner: str,
        fire: Fire,
        *,
        lease_seconds: float | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.owner = owner
        self._deployments = Deployments(store)
        self._scheduling = Scheduling(store)
        self._fire = fire
        self._lease_seconds = lease_seconds or min(LEASE_SECONDS, store.settings.lease_seconds)
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._changes: int | None = None

    def tend(self) -> float:
        """Fire what is due, if it is this worker's to do; gives the seconds after which to call again, at the latest.

        The first worker to call it is the one whose it is, as long as it goes on to call it in time.
        """
        look = self._look()
        if isinstance(look, Look) and look.changes != self._changes:
            look = self._learn(look) or look
        if isinstance(look, Refused):
            self._changes = None
            return min(look.seconds, self._lease_seconds / 4)
        for due in look.due:
            self._attend(due, _moment(look.now))
        if look.due:
            return 0.0
        pause = min(_SECONDS_BETWEEN_LOOKS, self._lease_seconds / 4)
        return pause if look.first is None else min(pause, max((look.first - look.now) / 1000, 0.0))

    def end(self) -> None:
        """Let another worker go on at once. To be called when this one ends."""
        self._changes = None
        self._scheduling.resign(self.owner)

    def _look(self) -> Look | Refused:
        now = None if self._clock is None else round(self._clock() * 1000)
        return self._scheduling.look(self.owner, self._lease_seconds, now)

    def _learn(self, look: Look) -> Look | Refused:
        """Read the deployments anew, and enter schedules that are new; then what is to be done."""
        # Changes that are made while they are read are found at the next look.
        found = [
            _Entry(deployment, schedule)
            for deployment in self._deployments.read_all()
            if not deployment.paused
            for schedule in deployment.schedules
            if schedule.active
        ]
        self._entries = {entry.name: entry for entry in found}
        known = self._scheduling.entries()
        times: dict[str, int] = {}
        for name, entry in self._entries.items():
            # From the change on: what was due since, while no worker was there, has been missed.
            first = None if name in known else next_after(entry.schedule, _moment(entry.deployment.updated * 1000))
            if first is not None:
                times[name] = _milliseconds(first)
        if not self._scheduling.enter(self.owner, times, known.keys() - self._entries.keys()):
            self._changes = None
        else:
            self._changes = look.changes
        return self._look()

    def _attend(self, due: Due, now: datetime) -> None:
        entry = self._entries.get(due.entry)
        if entry is None:
            self._changes = None  # It is not known why it is there: learn anew.
            return
        for time in to_fire(entry.schedule, _moment(due.at), now):
            self._fire_one(entry, time)
        following = next_after(entry.schedule, now)
        self._scheduling.advance(self.owner, due, None if following is None else _milliseconds(following))

    def _fire_one(self, entry: _Entry, time: datetime) -> None:
        about = {"deployment": entry.deployment.full_name, "schedule": entry.schedule.slug, "time": time.isoformat()}
        try:
            self._fire(entry.deployment, entry.schedule, time, entry.key(time))
        except errors.ServiceError:
            raise
        except Exception as failure:
            # One deployment that cannot be run must not keep the others from running.
            worker_logging.error("a schedule could not be fired", reason=str(failure), **about)
        else:
            worker_logging.info("a schedule fired", **about)


def _moment(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
