"""The default task runner: each run is an RQ job on a Redis queue, executed by whichever worker takes it."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from millstream import arguments, context, printing, sessions, surroundings
from millstream.arguments import Encoded
from millstream.futures import Future
from millstream.runners import nesting
from millstream.runners.base import TaskRunner
from millstream_shared import envelopes, errors, ids, values
from millstream_shared.claims import QueuedRun
from millstream_shared.envelopes import Header
from millstream_shared.settings import get_settings

if TYPE_CHECKING:
    from millstream.call_ids import CallIds
    from millstream.flows import Flow
    from millstream.store_session import Session
    from millstream.tasks import Task


_PART = 500
"""Runs in one round trip."""


class QueueTaskRunner(TaskRunner[Future[Any]]):
    """Puts every run on `queue`, unless its task names another one; default: MILLSTREAM_DEFAULT_QUEUE, or "default".

    Futures among the arguments hold a run back, in Redis, until their runs have ended; nobody has to stay alive for it.
    Memory is not shared with the caller: a task works on copies of its arguments.
    """

    def __init__(self, queue: str | None = None) -> None:
        self.queue = queue
        self._flow_run_id: str | None = None
        self._last: tuple[tuple[Any, ...], Header] | None = None

    def configuration(self) -> dict[str, Any]:
        """The keyword arguments that make an equal runner."""
        return {"queue": self.queue}

    def submit_batch(
        self, task: "Task[..., Any]", batch: Sequence[dict[str, Any]], wait_for: Sequence[Any]
    ) -> list[Future[Any]]:
        """Queue a run for each element of the batch, in one round trip per 500.

        Raises UnpicklableArgument for what cannot be sent, PayloadTooLarge or StorageUnavailable for what is too large
        and cannot be kept elsewhere, RedisUnavailable when the server stays away.
        """
        session = sessions.current()
        queue = task.queue or self.queue or get_settings().default_queue
        session.use_queue(queue)
        # What a task needs to go on comes before what nobody has begun: trees are walked depth first, and the number of
        # tasks that wait for others stays small.
        header = self._header(session, task)
        around = context.FlowRunContext.get()
        # Within a task this is another execution's affair: what a task has started begins anew with it.
        call_ids = around.call_ids if around is not None and header.parent_run_id is None else None
        again = around is not None and around.flow_run.is_resumed
        return send(
            session,
            task,
            queue,
            header,
            batch,
            wait_for,
            in_front=header.depth > 1,
            call_ids=call_ids,
            again=again and call_ids is not None,
        )

    def stop(self, abandon: bool) -> None:
        """With `abandon`, end the runs that no worker has begun: their flow run was interrupted, nobody wants them."""
        if abandon and self._flow_run_id:
            sessions.current().withdraw(self._flow_run_id)

    def _header(self, session: "Session", task: "Task[..., Any]") -> Header:
        flow_context = context.FlowRunContext.get()
        task_context = context.TaskRunContext.get()
        if flow_context is None:
            raise errors.MissingContextError(f"Task {task.name!r} was submitted outside of a flow run.")
        flow_run = flow_context.flow_run
        task_run = task_context.task_run if task_context else None
        if self._flow_run_id != flow_run.run_id:
            self._flow_run_id = flow_run.run_id
            if flow_context.flow is not None:
                surroundings.share_parameters(session, flow_run, flow_context.flow)
        function, tags, depth = function_of(session, task), context.current_tags(), nesting.depth()
        around, log_prints = surroundings.Surroundings.here().encode(task.name), printing.are_logged()
        place = (task, function, flow_run, flow_run.run_count, task_run, tags, depth, around, log_prints)
        known = self._last
        if known is not None and known[0] == place:
            return known[1]
        header = Header(
            function=function,
            task_name=task.name,
            queue=self.queue or "",
            flow_run_id=flow_run.run_id,
            flow_run_name=flow_run.name,
            flow_name=flow_run.flow_name,
            parent_run_id=task_run.run_id if task_run else None,
            tags=tuple(sorted(task.tags | tags)),
            inherited_tags=tuple(sorted(tags)),
            depth=depth + 1,
            around=around,
            flow_run_count=flow_run.run_count,
            log_prints=log_prints,
            flow_version=flow_run.flow_version,
        )
        self._last = place, header
        return header


def send(
    session: "Session",
    task: "Task[..., Any]",
    queue: str,
    header: Header,
    batch: Sequence[dict[str, Any]],
    wait_for: Sequence[Any],
    *,
    in_front: bool = False,
    call_ids: "CallIds | None" = None,
    again: bool = False,
) -> list[Future[Any]]:
    """Put a run for each element of the batch on `queue`, at its end or `in_front`. Raises as `submit_batch` does.

    `call_ids` gives the runs their ids; with `again` runs of these ids may exist, which are followed then.
    """
    # All arguments before the first run: one that cannot be sent must not leave half a map behind. The rest goes
    # in parts, so that workers begin while later parts are still being made.
    name = task.name
    bodies = [arguments.encode_for_queue(name, parameters, wait_for) for parameters in batch]
    futures: list[Future[Any]] = []
    for at in range(0, len(bodies), _PART):
        queued = _seal(name, header, bodies[at : at + _PART], call_ids)
        futures += _send_part(
            session, queue, queued, is_async=task.isasync, in_front=in_front, tags=header.tags, again=again
        )
    return futures


def _send_part(
    session: "Session",
    queue: str,
    queued: list[QueuedRun],
    *,
    is_async: bool,
    in_front: bool,
    tags: Sequence[str],
    again: bool,
) -> list[Future[Any]]:
    live_state = session.live_state
    futures: list[Future[Any]] = [Future(run.run_id, run.description, live_state, stored=True) for run in queued]
    session.watcher.watch(futures)
    try:
        session.store.submit(
            queue, queued, inbox=session.owner, is_async=is_async, in_front=in_front, tags=tags, again=again
        )
    except BaseException:
        session.watcher.forget(futures)
        raise
    return futures


def _seal(task_name: str, header: Header, bodies: list[Encoded], call_ids: "CallIds | None") -> list[QueuedRun]:
    key = get_settings().signing_key
    signing_key = key.encode() if key else None
    encoded, created = header.encoded, time.time()
    queued: list[QueuedRun] = []
    run_ids = _run_ids(task_name, header.flow_run_id, bodies, call_ids)
    for run_id, (body, upstream, is_elsewhere) in zip(run_ids, bodies, strict=True):
        needed = "".join(upstream)
        payload = envelopes.seal(
            run_id, created, encoded, bytes.fromhex(needed), body, signing_key, is_elsewhere=is_elsewhere
        )
        queued.append(QueuedRun(run_id, f"{task_name}-{run_id[-3:]}", payload, needed))
    return queued


def _run_ids(task_name: str, flow_run_id: str, bodies: list[Encoded], call_ids: "CallIds | None") -> Iterable[str]:
    if call_ids is not None:
        return call_ids.of_tasks(task_name, (body.identity for body in bodies))
    if flow_run_id:
        return (ids.new_task_run_id(flow_run_id) for _ in bodies)
    return (ids.new_background_run_id() for _ in bodies)


def function_of(session: "Session", function: "Task[..., Any] | Flow[..., Any]") -> str:
    """How a worker finds a task or flow: by name where that leads to this very one, else by the hash of its content."""
    if by_name := function.reference:
        return by_name
    try:
        definition = values.dumps(function)
    except Exception as failure:
        raise errors.UnpicklableArgument(function.name, "the function itself", str(failure)) from failure
    digest = hashlib.sha256(definition).hexdigest()
    session.put_definition(digest, definition)
    return f"sha256:{digest}"
