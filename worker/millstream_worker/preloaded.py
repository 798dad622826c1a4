"""What is imported before processes are forked: all that they are likely to need.

So a run does not pay for it, in time or in memory. Nothing of it may start a thread or open a connection: neither
outlives a fork.
"""

import importlib
from typing import Final

_NEEDED: Final = (
    "asyncio",
    "millstream.deployments",
    "millstream.flow_sources",
    "millstream.flow_submission",
    "millstream.schemas",
    "millstream.store_session",
    "millstream.triggering",
    "millstream_worker.child",
    "millstream_worker.flow_child",
)

for name in _NEEDED:
    importlib.import_module(name)
