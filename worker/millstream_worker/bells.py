"""Waiting without polling: a blocking pop that a selector can wait for beside everything else."""

import selectors
import time
from collections.abc import Callable
from typing import Any

from millstream_shared import connections, errors
from millstream_shared.claims import Claimed, Demand
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
        self.lists: tuple[str, ...] = ()
        """What it listens to; nothing until the next `listen` when it has rung."""
        self._claim: tuple[str, Demand] | None = None
        self._taken: tuple[Demand, Claimed] | None = None
        self.again_at = 0.0
        """Until when, by the monotonic clock, `listen` does nothing: shortly after an outage."""

    @property
    def will_claim(self) -> bool:
        """Whether it listens with a claim."""
        return self._claim is not None

    def listen(self, *lists: str, claim: tuple[str, Demand] | None = None) -> None:
        """Wait for these lists, if it does not do that. With `claim`, see `Store.begin_to_pop`, take what there is."""
        if lists == self.lists or time.monotonic() < self.again_at:
            return
        if self.lists:
            self.reset()
        try:
            if self._connection is None:
                self._connect()
            self._claim = claim
            self._store.begin_to_pop(self._connection, lists, self._patience, claim)
        except connections.OUTAGE:
            self._miss()
            return
        self.lists = lists

    def take(self) -> tuple[Demand, Claimed] | None:
        """What was asked for and claimed when it rang; None if that has to be done now. It is given once."""
        taken, self._taken = self._taken, None
        return taken

    def reset(self) -> None:
        """Listen no more, and drop the connection, with a pop that is under way."""
        self.lists = ()
        if self._claim is not None:
            # It may have been granted in this moment.
            self._claim = None
            self._store.lose_an_answer()
        if self._connection is not None:
            self._selector.unregister(self._descriptor)
            self._connection.disconnect()
            self._connection = None

    def _connect(self) -> None:
        self._connection = self._store.connection()
        self._descriptor = self._connection._sock.fileno()
        self._selector.register(self._descriptor, selectors.EVENT_READ, self._answer)

    def _answer(self) -> None:
        self.lists = ()
        try:
            self._store.end_pop(self._connection)
            if self._claim is not None and (claimed := self._store.end_claim(self._connection)):
                self._taken = self._claim[1], claimed
        except errors.LeaseLost:
            pass  # Who claims now hears it too.
        except (*connections.OUTAGE, errors.BackendFull):
            self._miss()
            return
        self._claim = None
        self._rung()

    def _miss(self) -> None:
        self.reset()
        self.again_at = time.monotonic() + _PAUSE_SECONDS
        # What is done then rides out the outage.
        self._rung()
