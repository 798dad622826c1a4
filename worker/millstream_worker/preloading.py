"""What is imported before processes are forked: all that they are likely to need.

So a run does not pay for it, in time or in memory. Nothing of it may start a thread or open a connection: neither
outlives a fork.
"""

import importlib
from functools import cache
from typing import Final

from millstream_worker import processes

_ALL: Final = (
    "asyncio",
    "millstream.flow_sources",
    "millstream.flow_submission",
    "millstream.store_session",
    "millstream_worker.child",
    "millstream_worker.flow_child",
)
_FLOWS: Final = ("millstream.deployments", "millstream.schemas", "millstream.triggering")


def for_all() -> None:
    """What each process needs."""
    _load(_ALL)


@cache
def for_flows() -> None:
    """What flows need besides, and tasks that trigger deployments: a third of all the time that imports take."""
    _load(_FLOWS)


def _load(names: tuple[str, ...]) -> None:
    for name in names:
        importlib.import_module(name)
    processes.freeze_memory()
