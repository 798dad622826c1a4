"""Flow runs that are cancelled, as a worker hears of them: what it executes of them stops, and nothing more begins."""

from collections.abc import Iterable
from typing import Any

from millstream import cancelling
from millstream_shared import ids
from millstream_shared.orders import Orders
from millstream_shared.store import Store


class Stops:
    """What is to stop. Waits for orders on a connection of its own, as `bells.Bell` does for work.

    An order says only that it is time to look: which flow runs are to stop is kept in the store.
    """

    def __init__(self, store: Store, patience: float) -> None:
        self._store = store
        self._orders = Orders(store)
        self._patience = patience
        self._connection: Any = None
        self._flow_runs: dict[str, str] = {}
        self._concerned: set[str] = set()
        self.is_armed = False

    # -- hearing of it

    def arm(self, owner: str) -> None:
        """Begin to wait."""
        if self._connection is None:
            self._connection = self._store.connection()
        self._orders.arm(self._connection, owner, self._patience)
        self.is_armed = True

    def fileno(self) -> int:
        return self._connection._sock.fileno()

    def answer(self) -> None:
        """Take the answer, once the selector says that there is one. Raises what a lost connection raises."""
        self.is_armed = False
        self._connection.read_response()

    def reset(self) -> None:
        """Drop the connection, and with it a pop that is under way."""
        self.is_armed = False
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    # -- what is to stop

    def look(self) -> None:
        """See in the store which flow runs are to stop."""
        self._flow_runs = self._orders.cancelled()

    def __bool__(self) -> bool:
        """Whether there may be any."""
        return bool(self._flow_runs)

    def among(self, run_ids: Iterable[str]) -> list[str]:
        """Those of these runs that are to stop; their flow runs are cleared away when they have."""
        found = [run_id for run_id in run_ids if ids.tree_of(run_id) in self._flow_runs]
        self._concerned |= {ids.tree_of(run_id) for run_id in found}
        return found

    # -- when it has stopped

    def clear_away(self, in_flight: Iterable[str]) -> None:
        """Cancel what runs have left that were to stop and are not executed here any more."""
        if not self._concerned:
            return
        going = {ids.tree_of(run_id) for run_id in in_flight}
        for tree in self._concerned - going:
            self._concerned.discard(tree)
            if tree in self._flow_runs:
                cancelling.stop_what_came_later(self._store, self._flow_runs[tree])
