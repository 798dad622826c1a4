"""Waiting for work without polling: a blocking pop that a selector can wait for beside everything else."""

from collections.abc import Sequence
from typing import Any

from millstream_shared import connections
from millstream_shared.store import Store


class Bell:
    """Rings when work comes to one of the queues, or after `patience` seconds all the same.

    A token in a queue's bell wakes one worker. The bell only saves time: the queue itself is the truth, so what was
    put there without ringing, by RQ's own tools, is found when the patience ends.
    """

    def __init__(self, store: Store, patience: float) -> None:
        self._store = store
        self.queues: tuple[str, ...] = ()
        """Those it was armed for."""
        self._patience = patience
        self._connection: Any = None
        self.is_armed = False

    def arm(self, queues: Sequence[str]) -> None:
        """Begin to wait."""
        if self._connection is None:
            self._connection = self._store.connection()
        self.queues = tuple(queues)
        self._store.arm_bell(self._connection, self.queues, self._patience)
        self.is_armed = True

    def fileno(self) -> int:
        return self._connection._sock.fileno()

    def answer(self) -> None:
        """Take the answer, once the selector says that there is one.

        Raises what a lost connection raises, and BackendFull: a server whose disk is full refuses even to pop.
        """
        self.is_armed = False
        try:
            self._connection.read_response()
        except Exception as refused:
            raise connections.name_refusal(refused, self._store.url) or refused from None

    def reset(self) -> None:
        """Drop the connection, and with it a pop that is under way."""
        self.is_armed = False
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None
