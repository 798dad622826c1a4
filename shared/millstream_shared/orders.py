"""What processes are told to do at once: to stop flow runs, or to go on with one that is paused."""

from collections.abc import Iterable, Sequence
from typing import Final

from millstream_shared import ids, keys
from millstream_shared.links import Link

_STOP: Final = "stop"
_RESUME: Final = "resume"


def to_resume(run_id: str) -> str:
    """The order that a paused flow run goes on."""
    return f"{_RESUME} {run_id}"


def stopped(orders: Iterable[bytes]) -> list[str]:
    """The flow runs that these orders tell to stop, the outermost ones first."""
    return _named(orders, _STOP)


def resumed(orders: Iterable[bytes]) -> list[str]:
    """The flow runs that these orders tell to go on."""
    return _named(orders, _RESUME)


def _named(orders: Iterable[bytes], kind: str) -> list[str]:
    words = (order.decode().split(" ") for order in orders)
    return [run_id for known, *named in words if known == kind for run_id in named]


class Orders:
    """The orders for the processes on the server that `link` leads to.

    An order only saves time. That a flow run is to stop is kept for an hour, and looked up by whoever may have missed
    the order.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    def cancelled(self) -> dict[str, str]:
        """The flow runs that are to stop, or were lately, by their trees."""
        found = self._link.command("ZRANGE", keys.CANCELLED, 0, -1)
        return {ids.tree_of(name.decode()): name.decode() for name in found}

    def are_cancelled(self, run_ids: Sequence[str]) -> list[str]:
        """Those of these flow runs that are to stop."""
        if not run_ids:
            return []
        scores = self._link.command("ZMSCORE", keys.CANCELLED, *run_ids)
        return [run_id for run_id, score in zip(run_ids, scores, strict=True) if score is not None]
