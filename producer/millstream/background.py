"""Background runs: what `Task.delay` puts on a queue for any worker, and nobody has to wait for.

Such a run belongs to no flow: it has a tree of its own, and of the place where it is made it takes nothing along but
the tags.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from millstream import context, dependencies, mapping, printing, sessions
from millstream.futures import FutureList
from millstream.runners import nesting
from millstream_shared.envelopes import Header
from millstream_shared.settings import get_settings

if TYPE_CHECKING:
    from millstream.tasks import Task


def submit(task: "Task[..., Any]", batch: Sequence[dict[str, Any]], wait_for: Any = None) -> FutureList[Any]:
    """Queue one run of `task` for each dictionary of parameters; gives their futures, in order, at once.

    Raises UnpicklableArgument for what cannot be sent, PayloadTooLarge or StorageUnavailable for what is too large and
    cannot be kept elsewhere, RedisUnavailable when the server stays away.
    """
    from millstream.runners import queue as queue_runner  # brings what only those need who submit

    if not batch:
        return FutureList()
    session = sessions.current()
    queue = task.queue or get_settings().default_queue
    session.use_queue(queue)
    upstream = dependencies.as_sequence(wait_for)
    header = _header(task, queue_runner.function_of(session, task))
    futures = FutureList(queue_runner.send(session, task, queue, header, batch, upstream))
    session.note_background(queue, futures)
    return futures


def map_over(task: "Task[..., Any]", parameters: dict[str, Any], wait_for: Any = None) -> FutureList[Any]:
    """Queue one run of `task` per element of those `parameters` that are iterable; see `Task.map`."""
    takes = task.parameters
    return submit(task, mapping.expand(parameters, takes.defaults, takes.variadic_keyword), wait_for)


def _header(task: "Task[..., Any]", function: str) -> Header:
    tags = context.current_tags()
    return Header(
        function=function,
        task_name=task.name,
        queue="",
        flow_run_id="",
        flow_run_name="",
        flow_name="",
        parent_run_id=None,
        tags=tuple(sorted(task.tags | tags)),
        inherited_tags=tuple(sorted(tags)),
        depth=nesting.depth() + 1,
        log_prints=get_settings().logging_log_prints or printing.are_logged(),
    )


def checked_call(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that `apply_async` was given. Raises TypeError for what is not several of them."""
    if args is not None and (isinstance(args, str | bytes | Mapping) or not hasattr(args, "__iter__")):
        raise TypeError(f"args takes a tuple or list of arguments, such as ({args!r},); got {args!r}.")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise TypeError(f"kwargs takes a dictionary of arguments by name, got {kwargs!r}.")
    return tuple(args or ()), dict(cast("Mapping[str, Any]", kwargs or {}))


def upstream_of(wait_for: Any, dependencies_by_name: Any) -> tuple[Any, ...]:
    """What a run waits for: `wait_for`, and all that stands in a mapping of names to upstream runs.

    Raises TypeError when the latter is no mapping.
    """
    if dependencies_by_name is None:
        return dependencies.as_sequence(wait_for)
    if not isinstance(dependencies_by_name, Mapping):
        raise TypeError(f"dependencies takes a dictionary of upstream runs by name, got {dependencies_by_name!r}.")
    more = cast("Mapping[str, Any]", dependencies_by_name).values()
    return (*dependencies.as_sequence(wait_for), *(each for some in more for each in dependencies.as_sequence(some)))
