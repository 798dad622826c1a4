"""How lines that runs log leave a child process: through its worker, which has a connection to the store.

A connection of its own would cost each child the import of the Redis client, 50 ms and 6 MB, for the first line. And on
one channel the lines of a run stay ahead of the news that it has ended.
"""

import threading

from millstream_shared.logs import Batch
from millstream_worker import channels

_MOST_UNDERWAY = 2


class LinesMail:
    """Sends lines on `channel`, no more than its socket can hold while the worker, in an outage, takes nothing in.

    Otherwise a run that only wants to say that it has a time limit, or begins to wait, would be held up by lines.
    """

    def __init__(self, channel: channels.ChildEnd) -> None:
        self._channel = channel
        self._room = threading.Semaphore(_MOST_UNDERWAY)

    def has_room(self, timeout: float | None) -> bool:
        """Wait until the worker has taken in so much of what was sent that more can be."""
        return self._room.acquire(timeout=timeout)

    def send(self, batches: list[Batch]) -> None:
        """Send these."""
        try:
            self._channel.send(channels.LINES, batches)
        except BaseException:
            # What cannot be packed takes no room.
            self._room.release()
            raise

    def was_taken(self) -> None:
        """The worker has taken in what was sent first."""
        self._room.release()
