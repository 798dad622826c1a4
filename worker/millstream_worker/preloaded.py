"""What the nursery has imported: all that the processes which are forked from it are likely to need.

So a run does not pay for it, in time or in memory. Nothing of it may start a thread or open a connection: neither
outlives a fork.
"""

import importlib
import signal
from typing import Final

from millstream_worker import processes

_NEEDED: Final = (
    "asyncio",
    "millstream.cli.main",
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

processes.set_name("ms-nursery")
processes.freeze_memory()
# It ends with the worker, and not by a signal to the whole process group: the worker lets its runs end first, and they
# end with the process that they were forked from.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
