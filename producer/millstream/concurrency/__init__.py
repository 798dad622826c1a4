"""Concurrency limits for pieces of code: `concurrency` and `rate_limit`, here and in `.sync`; in `.asyncio` too."""

from millstream.concurrency.sync import ConcurrencySlotAcquisitionError, concurrency, rate_limit

__all__ = ["ConcurrencySlotAcquisitionError", "concurrency", "rate_limit"]
