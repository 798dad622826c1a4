"""Waiting without polling: a blocking pop that a selector can wait for beside everything else."""

import selectors
import time
from collections.abc import Callable
from typing import Any

from millstream_shared import connections, errors
from millstream_shared.store import Store

_PAUSE_SECONDS = 0.1


class Bell:
    """Calls `rung` when something comes into one of the lists it listens to, or after `patience` seconds all the same.

    It only saves time: what there is to do lies elsewhere, in the store, and so is found when the patience ends if
    nobody has rung. After an outage too it is called, at once, as something may have been missed.
    """

    def __init__(
        self, store: Store, selector: selectors.BaseSelector, rung: Callable[[], None], patience: float
    ) -> None:
        self._store = store
        self._selector = selector
        self._rung = rung
        self._patience = patience
        self._connection: Any = None
        self._lists: tuple[str, ...] = ()
        self.again_at = 0.0
        """Until when, by the monotonic clock, `listen` does nothing: shortly after an outage."""

    @property
    def is_listening(self) -> bool:
        """Whether it waits for anything."""
        return bool(self._lists)

    def listen(self, *lists: str) -> None:
        """Wait for these lists, if it does not do that."""
        if lists == self._lists or time.monotonic() < self.again_at:
            return
        if self._lists:
            self.reset()
        try:
            if self._connection is None:
                self._connect()
            self._store.begin_to_pop(self._connection, lists, self._patience)
        except connections.OUTAGE:
            self._miss()
            return
        self._lists = lists

    def reset(self) -> None:
        """Listen no more, and drop the connection, with a pop that is under way."""
        self._lists = ()
        if self._connection is not None:
            self._selector.unregister(self._descriptor)
            self._connection.disconnect()
            self._connection = None

    def _connect(self) -> None:
        self._connection = self._store.connection()
        self._descriptor = self._connection._sock.fileno()
        self._selector.register(self._descriptor, selectors.EVENT_READ, self._answer)

    def _answer(self) -> None:
        self._lists = ()
        try:
            self._store.end_pop(self._connection)
        except (*connections.OUTAGE, errors.BackendFull):
            self._miss()
            return
        self._rung()

    def _miss(self) -> None:
        self.reset()
        self.again_at = time.monotonic() + _PAUSE_SECONDS
        # What is done then rides out the outage.
        self._rung()
