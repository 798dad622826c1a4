"""How far ahead of its free threads a worker claims: what it ends in 30 ms, so that short runs never wait for Redis."""

import time

_SECONDS_AHEAD = 0.03
_MOST_AHEAD = 400
_WINDOW_SECONDS = 0.1


class Pace:
    """Measures how many runs end per second. Long runs give a pace of nothing: they are left for other workers."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._count = 0
        self._since = time.monotonic()
        self._tally = 0

    def ended(self, count: int) -> None:
        """So many runs have just ended."""
        self._tally += count
        self._count += count
        now = time.monotonic()
        passed = now - self._since
        if passed >= _WINDOW_SECONDS:
            # A pause says nothing about how long runs take.
            self._rate = self._count / passed if passed < 10 * _WINDOW_SECONDS else 0.0
            self._count, self._since = 0, now
        elif passed > 0.005:
            self._rate = max(self._rate, self._count / passed)

    def stalled(self) -> None:
        """What was claimed ahead did not get its turn."""
        self._rate, self._count, self._since = 0.0, 0, time.monotonic()

    def ahead(self) -> int:
        """How many runs to claim beyond the free threads."""
        return min(int(self._rate * _SECONDS_AHEAD), _MOST_AHEAD)

    def take_tally(self) -> int:
        """How many runs ended since the last time this was asked."""
        tally, self._tally = self._tally, 0
        return tally
