"""Workflows in plain Python, run by independent workers over Redis."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millstream.context import tags
    from millstream.deployments import aserve, deploy, serve
    from millstream.flow_runs import (
        apause_flow_run,
        aresume_flow_run,
        asuspend_flow_run,
        pause_flow_run,
        resume_flow_run,
        suspend_flow_run,
    )
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
    "apause_flow_run",
    "aresume_flow_run",
    "aserve",
    "asuspend_flow_run",
    "deploy",
    "flow",
    "get_run_logger",
    "opaque",
    "pause_flow_run",
    "quote",
    "resume_flow_run",
    "serve",
    "suspend_flow_run",
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
    "apause_flow_run": "flow_runs",
    "aresume_flow_run": "flow_runs",
    "aserve": "deployments",
    "asuspend_flow_run": "flow_runs",
    "deploy": "deployments",
    "flow": "flows",
    "get_run_logger": "run_logging",
    "opaque": "utilities.annotations",
    "pause_flow_run": "flow_runs",
    "quote": "utilities.annotations",
    "resume_flow_run": "flow_runs",
    "serve": "deployments",
    "suspend_flow_run": "flow_runs",
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
