"""Flow runs that are cancelled, as a worker hears of them: what it executes of them stops, and nothing more begins."""

from collections.abc import Iterable

from millstream import cancelling
from millstream_shared import ids
from millstream_shared.claims import Claim
from millstream_shared.orders import Orders
from millstream_shared.store import Store


class Stops:
    """What is to stop. An order says only that it is time to look: which flow runs those are is kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._orders = Orders(store)
        self._flow_runs: dict[str, str] = {}
        self._concerned: set[str] = set()

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

    def among_claimed(self, claims: Iterable[Claim]) -> set[str]:
        """The same of runs that were claimed and have not begun."""
        run_ids = [claim.run_id for claim in claims]
        if not self.among(run_ids):
            return set()
        self.look()  # One that was cancelled may have been resumed.
        return set(self.among(run_ids))

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
