"""What Redis keeps of schedules: when each fires next, and which process may fire them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from millstream_shared import keys
from millstream_shared.links import Link

_MOST_DUE: Final = 20
_MOST_ENTERED: Final = 500


@dataclass(frozen=True, slots=True)
class Due:
    """A schedule, by its entry, that fires at a time: `at`, in ms since the epoch."""

    entry: str
    at: int


@dataclass(frozen=True, slots=True)
class Look:
    """What who may fire schedules has to do. Times are in ms since the epoch.

    `changes` is another number after any change of deployments. `due` are schedules whose time has come, some twenty
    at most; `first` is when the first of all fires, None if there are none.
    """

    now: int
    changes: int
    first: int | None
    due: tuple[Due, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Another process fires schedules, and goes on for so many seconds unless it prolongs its lease."""

    seconds: float


class Scheduling:
    """The entries of schedules in one store. Each is a text that is never used for other times than it has."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def look(self, owner: str, lease_seconds: float, now: int | None = None) -> Look | Refused:
        """Be the one who fires schedules for so long, if no other is, and see what there is to do.

        `now` is the time in ms, by default the server's.
        """
        milliseconds = max(round(lease_seconds * 1000), 1)
        answer = self._link.script("schedules_look", owner, milliseconds, "" if now is None else now, _MOST_DUE)
        if answer[0]:
            return Refused(answer[0] / 1000)
        _, moment, changes, first, due = answer
        return Look(
            int(moment),
            int(changes),
            round(float(first)) if first else None,
            tuple(Due(entry.decode(), round(float(at))) for entry, at in _pairs(due)),
        )

    def enter(self, owner: str, times: Mapping[str, int], gone: Iterable[str] = ()) -> bool:
        """Enter schedules with their times in ms, and forget others; one that is there keeps its time.

        False, and perhaps not all is done, if this owner is not the one who fires schedules.
        """
        for some in _batches(list(times.items())):
            words = [word for entry, at in some for word in (at, entry)]
            if not self._link.script("schedules_enter", owner, len(some), *words):
                return False
        return all(self._link.script("schedules_enter", owner, 0, *some) for some in _batches(list(gone)))

    def advance(self, owner: str, due: Due, following: int | None) -> bool:
        """Go on to the time after the one that was fired, None if there is none.

        False if that was done already, or if this owner is not the one who fires schedules.
        """
        then = "" if following is None else following
        return bool(self._link.script("schedules_advance", owner, due.entry, due.at, then))

    def entries(self) -> dict[str, int]:
        """All entries, with their times in ms, the first one first."""
        found = self._link.script("schedules_list")
        return {entry.decode(): round(float(at)) for entry, at in _pairs(found)}

    def leader(self) -> str | None:
        """The owner who fires schedules now."""
        found = self._link.command("GET", keys.SCHEDULER)
        return found.decode() if found else None

    def resign(self, owner: str) -> None:
        """No longer be the one who fires schedules: another one can begin at once."""
        self._link.script("unlock", keys.SCHEDULER, owner)


def _pairs(flat: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _batches(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[at : at + _MOST_ENTERED] for at in range(0, len(items), _MOST_ENTERED))
