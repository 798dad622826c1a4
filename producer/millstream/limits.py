"""Concurrency limits as programs make, change and look at them: `limits.create("db", 5)`.

The limit on the task runs that carry a tag is one of these, under the name that `of_tag` gives: at most so many of them
are executed at once, whatever process executes them.
"""

from typing import Any, Final

from millstream import sessions
from millstream_shared import errors, limits
from millstream_shared.limits import Holder, Inspection, Limit, Limits, Waiter, of_tag

__all__ = [
    "Holder",
    "Inspection",
    "Limit",
    "Waiter",
    "create",
    "delete",
    "inspect",
    "of_tag",
    "read",
    "read_all",
    "reset",
    "update",
]

_MOST_SLOTS: Final = 2**31 - 1


def create(
    name: str,
    limit: int,
    *,
    active: bool = True,
    slot_decay_per_second: float = 0.0,
    overwrite: bool = False,
) -> Limit:
    """Make a limit of `limit` slots. With `slot_decay_per_second`, they come back with time and are not given back.

    0 slots: nothing passes; a task run with such a tag ends as Aborted. An inactive limit limits nothing. Raises
    ObjectAlreadyExists if there is one of that name and not `overwrite`, ValueError for numbers that make no sense,
    ConfigurationError for the limit of a tag with a decay.
    """
    _check(name, limit, slot_decay_per_second)
    fields = {"limit": limit, "active": active, "decay": slot_decay_per_second}
    if not _limits().write(name, "any" if overwrite else "new", **fields):
        raise errors.ObjectAlreadyExists(
            f"There is a concurrency limit {name!r} already: change it by limits.update() or `millstream gcl update`, "
            "or create it with overwrite=True."
        )
    return read(name)


def update(
    name: str, *, limit: int | None = None, active: bool | None = None, slot_decay_per_second: float | None = None
) -> Limit:
    """Change what is given. Who waits is let in if there is room now; who holds slots keeps them.

    Raises ObjectNotFound if there is no such limit, ValueError for numbers that make no sense.
    """
    _check(name, limit, slot_decay_per_second)
    if not _limits().write(name, "old", limit=limit, active=active, decay=slot_decay_per_second):
        raise _not_found(name)
    return read(name)


def read(name: str) -> Limit:
    """The limit as it stands. Raises ObjectNotFound if there is none."""
    found = _limits().read(name)
    if not found:
        raise _not_found(name)
    return found[0]


def read_all() -> list[Limit]:
    """All limits, by name."""
    return _limits().read()


def inspect(name: str) -> Inspection:
    """The limit with who holds its slots, and who waits for them, in order. Raises ObjectNotFound if there is none."""
    found = _limits().inspect(name)
    if found is None:
        raise _not_found(name)
    return found


def reset(name: str) -> None:
    """Take all slots back, though those who had them may go on. Raises ObjectNotFound if there is no such limit."""
    if not _limits().reset(name):
        raise _not_found(name)


def delete(name: str) -> None:
    """Have no such limit any more; who waited for it is let in. Raises ObjectNotFound if there is none."""
    if not _limits().delete(name):
        raise _not_found(name)


def _limits() -> Limits:
    return sessions.current().slots.limits


def _check(name: str, limit: Any, decay: Any) -> None:
    limits.check_name(name)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= _MOST_SLOTS):
        raise ValueError(f"A limit is a number of slots, 0 or more; got {limit!r}.")
    if decay is not None and (isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 <= decay < 1e9):
        raise ValueError(f"slot_decay_per_second is a number of slots, 0 or more; got {decay!r}.")
    if decay and limits.is_of_tag(name):
        raise errors.ConfigurationError(
            f"Slots of {name!r} are held by task runs, and cannot come back with time: use rate_limit()."
        )


def _not_found(name: str) -> errors.ObjectNotFound:
    if limits.is_of_tag(name):
        tag = name.removeprefix(of_tag(""))
        missing, advice = f"on the tag {tag!r}", f"millstream concurrency-limit create {tag} N"
    else:
        missing, advice = repr(name), f"millstream gcl create {name} --limit N"
    return errors.ObjectNotFound(f"There is no concurrency limit {missing}. Make it by `{advice}`.")
