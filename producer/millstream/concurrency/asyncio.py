"""Concurrency limits in async code: `async with concurrency("db"):` and `await rate_limit("api")`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

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
) -> AbstractAsyncContextManager[None]:
    """Hold `occupy` slots of each of the limits `names` while the block runs, as `millstream.concurrency.sync` does.

    If `strict`, a block whose slots were lost is cancelled, and ConcurrencySlotAcquisitionError raised in its place.
    """
    return _held(Wish.of(names, occupy, timeout_seconds, strict, max_retries, lease_duration))


@asynccontextmanager
async def _held(wish: Wish) -> AsyncGenerator[None]:
    ticket = await drivers.drive_async(acquisitions.taken(wish))
    task = asyncio.current_task()
    if ticket is not None and wish.strict and task is not None:
        ticket.on_loss = _canceller(task)
    try:
        yield
    except asyncio.CancelledError:
        if not (ticket and ticket.is_lost and wish.strict and task):
            raise
        task.uncancel()
    finally:
        if ticket is not None:
            ticket.on_loss = None
            await drivers.drive_async(acquisitions.given_back(ticket))
    acquisitions.check_kept(ticket)


def _canceller(task: "asyncio.Task[object]"):
    loop = asyncio.get_running_loop()

    def cancel() -> None:
        # The loop may be closed by now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)

    return cancel


async def rate_limit(
    names: str | Sequence[str], occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False
) -> None:
    """Wait for the turn of this call, as `millstream.concurrency.sync.rate_limit` does."""
    await drivers.drive_async(acquisitions.rated(Wish.of(names, occupy, timeout_seconds, strict)))
