"""Processes that execute background runs: `serve(*tasks)` is a worker for the queues of these tasks."""

import asyncio
from typing import Any

from millstream import serving
from millstream.tasks import Task
from millstream_shared.settings import get_settings


def serve(*tasks: Task[..., Any], limit: int | None = 10) -> None:
    """Execute what is queued for `tasks`, at most `limit` runs at once (None: no limit), until SIGTERM or Ctrl-C.

    The runs are executed by a worker in processes of its own, which finds functions as all workers do: by import, as
    this program could, or by value. It serves the tasks' queues, so it executes what else is put there; a task with
    `queue=` has one for itself. After the first signal running tasks may end, for a minute, then this returns; after a
    second one they are handed back at once. An async run counts while it awaits others.

    Raises TypeError for what is no task, ValueError without tasks or for a limit below 1, RedisUnavailable when the
    server does not answer, ServiceError when the worker ends by itself.
    """
    options = _options(tasks, limit)
    serving.find_server()
    serving.run(options)


async def aserve(*tasks: Task[..., Any], limit: int | None = 10) -> None:
    """The same without blocking the event loop. When it is cancelled, running tasks may end before it ends itself."""
    options = _options(tasks, limit)
    await asyncio.to_thread(serving.find_server)
    await serving.arun(options)


def _options(tasks: tuple[Any, ...], limit: Any) -> list[str]:
    """The worker's command line."""
    for each in tasks:
        if not isinstance(each, Task):
            raise TypeError(f"serve() takes tasks, functions with @task; got {each!r}.")
    if not tasks:
        raise ValueError("serve() needs a task, or several, whose background runs it shall execute.")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool)):
        raise TypeError(f"limit takes a number of runs, or None; got {limit!r}.")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is 1 or more, or None; got {limit}.")
    default = get_settings().default_queue
    options = [word for queue in dict.fromkeys(each.queue or default for each in tasks) for word in ("--queue", queue)]
    if limit is not None:
        # One process: each executes as many sync runs at once as it has threads.
        options += ["--processes", "1", "--threads", str(limit), "--most", str(limit)]
    return options
