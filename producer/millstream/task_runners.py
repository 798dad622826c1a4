"""The task runners, and the one that a flow without any of its own gets."""

import importlib
from typing import TYPE_CHECKING, Any

from millstream.runners.base import TaskRunner
from millstream.runners.sequential import SequentialTaskRunner
from millstream.runners.threads import ThreadPoolTaskRunner
from millstream_shared.settings import get_settings

if TYPE_CHECKING:
    from millstream.runners.dask import DaskTaskRunner
    from millstream.runners.processes import ProcessPoolTaskRunner
    from millstream.runners.queue import QueueTaskRunner
    from millstream.runners.ray import RayTaskRunner

__all__ = [
    "ConcurrentTaskRunner",
    "DaskTaskRunner",
    "ProcessPoolTaskRunner",
    "QueueTaskRunner",
    "RayTaskRunner",
    "SequentialTaskRunner",
    "TaskRunner",
    "ThreadPoolTaskRunner",
    "default_task_runner",
]

ConcurrentTaskRunner = ThreadPoolTaskRunner

# Where the others come from. Imported when first used: each brings what runs in this process do not need.
_SOURCES = {
    "DaskTaskRunner": "dask",
    "ProcessPoolTaskRunner": "processes",
    "QueueTaskRunner": "queue",
    "RayTaskRunner": "ray",
}


def default_task_runner() -> TaskRunner[Any]:
    """The runner that the setting `default_task_runner` names (MILLSTREAM_DEFAULT_TASK_RUNNER; default: the queue)."""
    match get_settings().default_task_runner:
        case "threads" | "concurrent":
            return ThreadPoolTaskRunner()
        case "sequential":
            return SequentialTaskRunner()
        case "queue":
            return __getattr__("QueueTaskRunner")()


def __getattr__(name: str) -> Any:
    source = _SOURCES.get(name)
    if source is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"millstream.runners.{source}"), name)
    return value
