"""What the process has imported from which those of flow runs are forked: all that a flow is likely to need.

So a run does not pay for it, in time or in memory. Nothing of it may start a thread or open a connection: neither
outlives a fork.
"""

import gc
import importlib
from typing import Final

_NEEDED: Final = (
    "asyncio",
    "millstream.cli.main",
    "millstream.deployments",
    "millstream.flow_sources",
    "millstream.flow_submission",
    "millstream.schemas",
    "millstream.store_session",
    "millstream.triggering",
    "millstream_worker.flow_child",
)

for name in _NEEDED:
    importlib.import_module(name)

# The collector would write to all that was imported, in each process, and so copy the memory that they share.
gc.collect()
gc.freeze()
