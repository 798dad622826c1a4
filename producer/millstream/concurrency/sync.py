"""Concurrency limits in sync code: `with concurrency("db"):` and `rate_limit("api")`."""

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager

from millstream import acquisitions, drivers
from millstream.acquisitions import Wish
from millstream_shared.errors import ConcurrencySlotAcquisitionError

__all__ = ["ConcurrencySlotAcquisitionError", "concurrency", "rate_limit"]


def concurrency(
    names: str | Sequence[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    max_retries: int | None = None,
    lease_duration: float = 300.0,
    strict: bool = False,
) -> AbstractContextManager[None]:
    """Hold `occupy` slots of each of the limits `names` while the block runs; wait for them if there are none.

    All processes that use one Redis share a limit; those who wait are let in in order, and told at once. Slots of all
    limits are taken together, or of none. A limit that does not exist, or is inactive, limits nothing; there is a
    warning the first time. `timeout_seconds` (default: no limit) bounds the wait; `max_retries=0` means not to wait at
    all, and more than that means nothing, as nobody polls. Slots are held under a lease of `lease_duration` seconds (60
    or more), which is renewed as long as the block runs; those of a process that dies are free in at most 20 s. Of a
    limit with `slot_decay_per_second`, the slots are not given back but come back with time.

    Raises TimeoutError when time is up, and ConcurrencySlotAcquisitionError if more is asked for than the limit has,
    for a limit that does not exist if `strict`, and, if `strict`, at the end of a block whose slots were lost (else
    there is a warning). ValueError for arguments that make no sense, RedisUnavailable if the server stays away.
    """
    return _held(Wish.of(names, occupy, timeout_seconds, strict, max_retries, lease_duration))


@contextmanager
def _held(wish: Wish) -> Generator[None]:
    ticket = drivers.drive(acquisitions.taken(wish))
    try:
        yield
    finally:
        drivers.drive(acquisitions.given_back(ticket))
    acquisitions.check_kept(ticket)


def rate_limit(
    names: str | Sequence[str], occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False
) -> None:
    """Wait for the turn of this call: take `occupy` slots of each of the limits `names`, which come back with time.

    Each limit needs a `slot_decay_per_second`: so many calls a second pass, in the order in which they come, after as
    many as the limit has slots have passed at once. One that does not exist, or is inactive, limits nothing.

    Raises TimeoutError, at once, if it would take longer than `timeout_seconds`; ConcurrencySlotAcquisitionError for a
    limit without decay, for one with fewer than `occupy` slots and, if `strict`, for one that does not exist.
    """
    drivers.drive(acquisitions.rated(Wish.of(names, occupy, timeout_seconds, strict)))
