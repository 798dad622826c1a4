"""Child flow runs that completed in one try of a flow are not executed again in the next."""

import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from millstream_shared.states import State

if TYPE_CHECKING:
    from millstream.flows import Flow

Call = tuple[str, str, str, int]
_logger = logging.getLogger("millstream.flow_runs")


class Subflows:
    """What became of the flows that one flow run calls. A call is known by its flow and by its number among those.

    The states that completed are held as long as the flow run goes on.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._calls: Counter[tuple[str, str, str]] = Counter()
        self._completed: dict[Call, tuple[dict[str, Any], State[Any]]] = {}

    def begin_try(self) -> None:
        """Count calls anew."""
        with self._lock:
            self._calls.clear()

    def next_call(self, flow: "Flow[..., Any]") -> Call:
        """The call of `flow` that is made now."""
        which = flow.name, flow.__module__, getattr(flow, "__qualname__", "")
        with self._lock:
            self._calls[which] += 1
            return *which, self._calls[which]

    def completed(self, call: Call, parameters: dict[str, Any]) -> State[Any] | None:
        """The state that this call reached in an earlier try, if it completed with equal parameters."""
        before, state = self._completed.get(call, (None, None))
        if state is None or not _are_equal(before, parameters):
            return None
        told = "Flow %r completed in an earlier try, as run %r: that result is used again"
        _logger.info(told, call[0], state.run_name)
        return state

    def note(self, call: Call, parameters: dict[str, Any], state: State[Any]) -> None:
        """Remember a call that completed."""
        if state.is_completed():
            with self._lock:
                self._completed[call] = parameters, state


def _are_equal(before: Any, now: Any) -> bool:
    try:
        return bool(before == now)
    except Exception:
        return False  # such as arrays, of which nobody can say so in one word
