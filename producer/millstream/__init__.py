"""Workflows in plain Python, run by independent workers over Redis."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.context import tags
    from millstream.deployments import aserve, deploy, serve
    from millstream.flows import Flow, flow
    from millstream.futures import Future, FutureList
    from millstream.run_logging import get_run_logger
    from millstream.states import State
    from millstream.tasks import Task, task
    from millstream.utilities.annotations import allow_failure, opaque, quote, unmapped

__all__ = [
    "Flow",
    "Future",
    "FutureList",
    "State",
    "Task",
    "allow_failure",
    "aserve",
    "deploy",
    "flow",
    "get_run_logger",
    "opaque",
    "quote",
    "serve",
    "tags",
    "task",
    "unmapped",
]

# Where each name comes from. Imported when first used, so that a program pays for what it uses.
_SOURCES = {
    "Flow": "flows",
    "Future": "futures",
    "FutureList": "futures",
    "State": "states",
    "Task": "tasks",
    "allow_failure": "utilities.annotations",
    "aserve": "deployments",
    "deploy": "deployments",
    "flow": "flows",
    "get_run_logger": "run_logging",
    "opaque": "utilities.annotations",
    "quote": "utilities.annotations",
    "serve": "deployments",
    "tags": "context",
    "task": "tasks",
    "unmapped": "utilities.annotations",
}


def __getattr__(name: str) -> Any:
    source = _SOURCES.get(name)
    if source is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{source}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
