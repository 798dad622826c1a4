"""Queued flow runs: what `Flow.submit` and `Flow.map` put on a queue, for a worker, in a process of their own."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from millstream import arguments, context, dependencies, mapping, printing, recording, runs, sessions
from millstream.arguments import Encoded
from millstream.futures import Future, FutureList
from millstream.runners import queue as queue_runner
from millstream.runs import FlowRun
from millstream_shared import envelopes, errors, kept, states
from millstream_shared.claims import QueuedFlowRun
from millstream_shared.flow_headers import FlowHeader
from millstream_shared.settings import get_settings

if TYPE_CHECKING:
    from millstream.flows import Flow
    from millstream.store_session import Session


@dataclass(frozen=True, slots=True)
class Own:
    """What a single run has of its own: a name, more tags, when it begins, and a key of which there is one run only."""

    name: str | None = None
    tags: tuple[str, ...] = ()
    due: datetime | None = None
    key: str | None = None

    def give_to(self, run: FlowRun) -> None:
        """Have `run` be like this."""
        run.name, run.tags = self.name or run.name, run.tags | {*self.tags}
        if self.due is not None:
            due = self.due.astimezone(UTC)  # without a time zone it is that of the clock here
            run.due = due.timestamp()
            run.state = states.State(states.StateType.SCHEDULED, details={"scheduled_time": due})


def submit(
    flow: "Flow[..., Any]", batch: Sequence[dict[str, Any]], wait_for: Sequence[Any], own: Own | None = None
) -> FutureList[Any]:
    """Queue one run of `flow` for each dictionary of parameters, as children of the run that is going on here, if any.

    Gives their futures, in order, at once. Raises ParameterTypeError for parameters that do not fit the annotations,
    UnpicklableArgument for what cannot be sent, PayloadTooLarge or StorageUnavailable for what is too large and cannot
    be kept elsewhere, RedisUnavailable when the server stays away.
    """
    if not batch:
        return FutureList()
    session = sessions.current()
    queue = flow.queue or get_settings().default_queue
    session.use_queue(queue)
    bodies = [_encoded(flow, parameters, wait_for) for parameters in batch]
    function, log_prints = queue_runner.function_of(session, flow), printing.are_logged()
    queued: list[QueuedFlowRun] = []
    for parameters, body in zip(batch, bodies, strict=True):
        run = runs.new_flow_run(flow, parameters, body.identity)
        if own is not None:
            own.give_to(run)
        header = header_of(run, function, queue, log_prints=log_prints)
        key = kept.digest(f"{flow.name}/{own.key}") if own and own.key else ""
        queued.append(sealed(run, header, body, key=key))
    around = context.FlowRunContext.get()
    futures = send(session, queued, again=around is not None and around.flow_run.is_resumed)
    context.note_submitted(None, futures)
    if context.current() is None:
        session.note_background(queue, futures)
    return futures


def map_over(flow: "Flow[..., Any]", parameters: dict[str, Any], wait_for: Sequence[Any]) -> FutureList[Any]:
    """Queue one run of `flow` per element of those `parameters` that are iterable; see `Flow.map`."""
    takes = flow.parameters
    return submit(flow, mapping.expand(parameters, takes.defaults, takes.variadic_keyword), wait_for)


def _encoded(flow: "Flow[..., Any]", parameters: dict[str, Any], wait_for: Sequence[Any]) -> Encoded:
    body = arguments.encode_for_queue(flow.name, parameters, wait_for)
    if flow.should_validate_parameters and not body.upstream:
        # As early as it can be done; the worker does it again, and casts. What is not queued has ended by now.
        with suppress(errors.UpstreamTaskError):  # Then the run does not begin.
            flow.validate_parameters(dependencies.resolve_parameters(parameters))
    return body


def header_of(run: FlowRun, function: str, queue: str, **more: Any) -> FlowHeader:
    """What a worker of `queue` needs to execute `run`, whose flow it finds as `function`."""
    return FlowHeader(
        function=function,
        flow_name=run.flow_name,
        run_name=run.name,
        flow_version=run.flow_version,
        queue=queue,
        parent_flow_run_id=run.parent_flow_run_id,
        parent_task_run_id=run.parent_task_run_id,
        tags=tuple(sorted(run.tags)),
        deployment_id=run.deployment_id,
        due=run.due,
        **more,
    )


def sealed(run: FlowRun, header: FlowHeader, body: Encoded, **more: Any) -> QueuedFlowRun:
    """The run as the store takes it."""
    key = get_settings().signing_key
    upstream = "".join(body.upstream)
    run.queue = header.queue
    payload = envelopes.seal(
        run.run_id,
        time.time(),
        header.encoded,
        bytes.fromhex(upstream),
        body.body,
        key.encode() if key else None,
        is_elsewhere=body.is_elsewhere,
    )
    return QueuedFlowRun(
        run_id=run.run_id,
        name=run.name,
        queue=header.queue or "",
        payload=payload,
        record=recording.record_of_flow(run, run.state),
        created=run.created,
        flow_name=run.flow_name,
        upstream=upstream,
        deployment_id=run.deployment_id or "",
        due=run.due,
        parent_flow_run_id=run.parent_flow_run_id or "",
        **more,
    )


def send(session: "Session", queued: Sequence[QueuedFlowRun], *, again: bool = False) -> FutureList[Any]:
    """Put these on their queues, and give their futures. With `again` such runs may exist, which are followed then.

    A run with a key that another one had before gives the future of that one.
    """
    futures = [Future[Any](run.run_id, run.name, session.live_state, stored=True) for run in queued]
    session.watcher.watch(futures)
    try:
        given = session.store.submit_flows(queued, inbox=session.owner, again=again)
    except BaseException:
        session.watcher.forget(futures)
        raise
    for at, (future, run_id) in enumerate(zip(futures, given, strict=True)):
        if run_id != future.run_id:
            session.watcher.forget([future])
            futures[at] = Future[Any](run_id, run_id, session.live_state, stored=True)
            session.follow(futures[at])
    return FutureList(futures)
