"""The task runners, and the one that a flow without any of its own gets."""

from typing import TYPE_CHECKING, Any

from millstream.runners.base import TaskRunner
from millstream.runners.sequential import SequentialTaskRunner
from millstream.runners.threads import ThreadPoolTaskRunner
from millstream_shared.settings import get_settings

if TYPE_CHECKING:
    from millstream.runners.queue import QueueTaskRunner

__all__ = [
    "ConcurrentTaskRunner",
    "QueueTaskRunner",
    "SequentialTaskRunner",
    "TaskRunner",
    "ThreadPoolTaskRunner",
    "default_task_runner",
]

ConcurrentTaskRunner = ThreadPoolTaskRunner


def default_task_runner() -> TaskRunner[Any]:
    """The runner that the setting `default_task_runner` names (MILLSTREAM_DEFAULT_TASK_RUNNER; default: the queue)."""
    match get_settings().default_task_runner:
        case "threads" | "concurrent":
            return ThreadPoolTaskRunner()
        case "sequential":
            return SequentialTaskRunner()
        case "queue":
            return _queue_task_runner()()


def _queue_task_runner() -> Any:
    from millstream.runners.queue import QueueTaskRunner  # brings the Redis client, which in-process runs do not need

    return QueueTaskRunner


def __getattr__(name: str) -> Any:
    if name == "QueueTaskRunner":
        return _queue_task_runner()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
