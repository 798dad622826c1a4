"""Concurrency limits in the store: made and changed, looked at, and their slots taken and given back."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from millstream_shared import errors, states
from millstream_shared.states import State

_TAG = "tag:"
_LONGEST_NAME = 400
_MOST_AT_ONCE = 500
_MOST_PARTS = 10_000


def of_tag(tag: str) -> str:
    """The name of the limit on the runs that carry a tag."""
    return _TAG + tag


def is_of_tag(name: str) -> bool:
    """Whether this names the limit of a tag."""
    return name.startswith(_TAG)


def is_name(name: object) -> bool:
    """Whether a limit can be called so: some text without line breaks."""
    return isinstance(name, str) and bool(name.strip()) and "\n" not in name and len(name) <= _LONGEST_NAME


def check_name(name: object) -> None:
    """Raise InvalidNameError for what no limit can be called."""
    if not is_name(name):
        raise errors.InvalidNameError(
            f"The name of a concurrency limit is one line of at most {_LONGEST_NAME} characters; got {name!r}."
        )


def join_tags(tags: Iterable[str]) -> str:
    """The tags of a run, in the form in which the scripts read them; those that no limit can have are left out."""
    return "\n".join(sorted(tag for tag in tags if is_name(tag)))


def aborted(name: str) -> State[Any]:
    """The state of a run that a limit of 0 does not let begin."""
    return states.Cancelled(name="Aborted", message=f"{_said(name)} is 0: no run may begin.")


def awaiting(name: str) -> State[Any]:
    """The state of a run that a limit holds back."""
    return states.AwaitingConcurrencySlot(message=f"{_said(name)} is reached: the run begins when a slot is free.")


def _said(name: str) -> str:
    if is_of_tag(name):
        return f"The concurrency limit on the tag {name.removeprefix(_TAG)!r}"
    return f"The concurrency limit {name!r}"


@dataclass(frozen=True, slots=True)
class Limit:
    """A concurrency limit as it stands.

    `limit` slots, of which `taken` are in use while `waiting` ask for some. `slot_decay_per_second` over 0: slots are
    not given back but come back with time. `created` is in seconds since the epoch.
    """

    name: str
    limit: int
    active: bool
    slot_decay_per_second: float
    created: float
    taken: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has slots: a task run, or code of a process. `since` is in seconds since the epoch.

    `owner` is the process; it is empty while a run that was called has not been taken by a worker. Slots whose lease is
    not renewed within `lease_seconds` are free again.
    """

    id: str
    label: str
    owner: str
    occupy: int
    since: float
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class Waiter:
    """Who stands in line. `owner` is the process that waits; a queued run needs none."""

    id: str
    label: str
    owner: str
    occupy: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """A limit with its holders, and its waiters, the next one first; at most a thousand of each."""

    limit: Limit
    holders: list[Holder]
    waiters: list[Waiter]


Verdict = Literal["taken", "waits", "full", "never", "missing", "late", "steady"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request for slots; `about` is the limit in the way.

    `waits`: it stands in line. `full`: it could not be had at once. `never`: more was asked for than there are slots.
    `missing`: there is no such limit, and there had to be. `late`: it would have taken too long. `steady`: the slots of
    this limit do not come back with time. `missing` and `decaying` name limits of which no slot was taken; `holds` says
    whether any was, which has to be given back.
    """

    verdict: Verdict
    about: str = ""
    seconds: float = 0.0
    missing: tuple[str, ...] = ()
    decaying: tuple[str, ...] = ()
    holds: bool = False


class Limits:
    """All limits of one store; `script` runs one of its scripts, as Store.script does."""

    def __init__(self, script: Callable[..., Any]) -> None:
        self._script = script

    # -- limits

    def write(self, name: str, must: Literal["new", "any", "old"], **fields: float | bool | None) -> bool:
        """Make a limit, or change one: `limit`, `active`, `decay` a second; what is None stays as it is.

        False if there is one and it `must` be new, or none and it must be old. Lets in whom it lets in now.
        """
        given = [word for field, value in fields.items() if value is not None for word in (field, _number(value))]
        return self._then_call_lines(self._script("limit_write", name, must, *given))

    def reset(self, name: str) -> bool:
        """Forget all holders, and let in as many as there are slots; False if there is no such limit."""
        return self._then_call_lines(self._script("limit_clear", name, ""))

    def delete(self, name: str) -> bool:
        """Have no such limit any more, and let in all who wait for it; False if there is none."""
        return self._then_call_lines(self._script("limit_clear", name, "1"))

    def read(self, *names: str) -> list[Limit]:
        """These limits, as far as they exist; without names all of them, by name."""
        return [_limit(fields) for fields in self._script("limit_list", *names)]

    def inspect(self, name: str) -> Inspection | None:
        """A limit with its holders and waiters; None if there is no such limit."""
        found = self.read(name)
        if not found:
            return None
        holders, waiters = self._script("limit_inspect", name)
        return Inspection(
            found[0],
            [
                Holder(id.decode(), label.decode(), owner.decode(), occupy, since / 1000, left / 1000)
                for id, label, owner, occupy, since, left in holders
            ],
            [Waiter(id.decode(), label.decode(), owner.decode(), occupy) for id, label, owner, occupy in waiters],
        )

    def _then_call_lines(self, left: int) -> bool:
        # Long lines are called a part at a time. If we do not come to their end, the workers' duties do.
        parts = 0
        while left > 0 and parts < _MOST_PARTS:
            left = self._script("call_lines")
            parts += 1
        return left >= 0

    # -- slots

    def acquire(
        self,
        owner: str,
        id: str,
        names: Sequence[str],
        *,
        label: str,
        occupy: int = 1,
        lease_seconds: float = 0.0,
        strict: bool = False,
        may_wait: bool = True,
    ) -> Answer:
        """Take `occupy` slots of each of these limits, of all or of none; or stand in line until told.

        The slots are held until `free`, or until `lease_seconds` (0: as long as the owner's) have passed without
        `extend`. `strict`: all of the limits have to exist. Raises LeaseLost if the owner has no lease.
        """
        lease = round(lease_seconds * 1000)
        flags = "1" if strict else "", "1" if may_wait else ""
        shown = " ".join(label.split()) or "?"
        verdict, about, missing, decaying, holds = self._script(
            "acquire", owner, id, occupy, lease, shown, *flags, *names
        )
        return Answer(verdict.decode(), about.decode(), 0.0, _names(missing), _names(decaying), bool(holds))

    def free(self, owner: str, ids: Sequence[str]) -> list[str]:
        """Give back what these hold, or take them out of the line.

        The ids of those of which nothing is known, as after a `free` before this one, and of those that had a lease of
        their own and have lost their slots.
        """
        lost: list[str] = []
        for at in range(0, len(ids), _MOST_AT_ONCE):
            lost += [id.decode() for id in self._script("free", owner, *ids[at : at + _MOST_AT_ONCE])]
        return lost

    def extend(self, owner: str, leases: Sequence[tuple[str, float]]) -> list[str]:
        """Prolong leases: (id, seconds). The ids of those whose slots are lost."""
        words = [word for id, seconds in leases for word in (id, round(seconds * 1000))]
        return [id.decode() for id in self._script("extend", owner, *words)]

    def stand(self, owner: str, ids: Sequence[str]) -> dict[str, str]:
        """How those stand that wait: `h` if they have their slots, `w` if they wait, an empty text if unknown."""
        return dict(zip(ids, (state.decode() for state in self._script("stand", owner, *ids)), strict=True))

    def reserve(
        self, names: Sequence[str], occupy: int, *, longest: float | None = None, strict: bool = False
    ) -> Answer:
        """Take slots that come back with time; the answer says how many `seconds` to wait before they may be used.

        Takes none if that is more than `longest`. A negative `occupy` gives back what was not used.
        """
        limit = "" if longest is None else max(int(longest * 1000), 0)
        verdict, about, missing = self._script("rate", occupy, limit, "1" if strict else "", *names)
        if isinstance(about, int):
            return Answer(verdict.decode(), "", about / 1000, _names(missing))
        return Answer(verdict.decode(), about.decode(), 0.0, _names(missing))


def _limit(fields: Sequence[Any]) -> Limit:
    name, limit, active, decay, created, taken, waiting = fields
    return Limit(name.decode(), int(limit), active == b"1", float(decay), float(created), taken, waiting)


def _number(value: float | bool) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _names(found: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(name.decode() for name in found)
