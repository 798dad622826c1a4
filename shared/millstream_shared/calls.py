"""Commands on the shortest way: over connections that are at hand, with answers as they come."""

import os
import time
from typing import Any

from redis.exceptions import ResponseError

_KEPT_SECONDS = 1.0


class Calls:
    """Calls commands over connections from the pool of `client`, each of which it keeps for a second.

    `Redis.execute_command` takes two to three times as long, with what it does around each call: it asks the pool,
    which looks whether somebody has hung up and whether the connection is to be replaced, notes metrics, and looks up
    how to convert the answer. Safe to use from several threads, and in a process that was forked.
    """

    def __init__(self, client: Any) -> None:
        self._pool = client.connection_pool
        self._process = os.getpid()
        self._spare: list[tuple[Any, float]] = []

    def call(self, *words: Any) -> Any:
        """The answer to a command, as the protocol has it. Raises what redis raises; nothing is tried again."""
        connection, until = self._take()
        try:
            connection.send_command(*words)
            answer = connection.read_response()
        except ResponseError:
            self._spare.append((connection, until))
            raise
        except BaseException:
            # It has hung up: an answer that comes after all is for nobody.
            self._pool.release(connection)
            raise
        self._spare.append((connection, until))
        return answer

    def close(self) -> None:
        """Give all connections back to the pool."""
        while self._spare:
            self._pool.release(self._spare.pop()[0])

    def _take(self) -> tuple[Any, float]:
        """A connection, and until when it is kept."""
        if self._process != os.getpid():
            # They are the parent's.
            self._process, self._spare = os.getpid(), []
        now = time.monotonic()
        try:
            connection, until = self._spare.pop()
        except IndexError:
            return self._pool.get_connection(), now + _KEPT_SECONDS
        if now < until:
            return connection, until
        self._pool.release(connection)
        return self._pool.get_connection(), now + _KEPT_SECONDS
