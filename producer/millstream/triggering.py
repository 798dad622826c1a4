"""Makes runs of deployments: the one way in which scripts, tasks, the client, commands and schedules trigger them."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from millstream import (
    arguments,
    context,
    flow_submission,
    futures,
    printing,
    recorded_runs,
    runs,
    schemas,
    sessions,
    waiting,
)
from millstream.futures import Future
from millstream.runs import FlowRun
from millstream.utilities import asyncutils
from millstream_shared import deployments, kept
from millstream_shared.claims import QueuedFlowRun
from millstream_shared.deployments import DeploymentRecord, Deployments
from millstream_shared.settings import get_settings

_MOST_SHOWN: Final = 4096
"""Bytes of parameters that are kept with the record of a run."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run of a deployment as somebody wants it.

    `parameters` go before those of the deployment; `due` is when it is to begin (None: at once); of several with one
    `key` only the first is made; `queue` and `name` are others than usual. `is_child`: of the run that is going on.
    """

    parameters: Mapping[str, Any]
    name: str | None = None
    tags: tuple[str, ...] = ()
    due: datetime | None = None
    key: str | None = None
    queue: str | None = None
    is_child: bool = True


def trigger(record: DeploymentRecord, wanted: Wanted) -> Future[Any]:
    """Make a run of a deployment, and give its future at once.

    Raises ParameterBindError or ParameterTypeError, and makes none, for parameters that the flow does not take;
    PayloadTooLarge or StorageUnavailable for what is too large and cannot be kept elsewhere; RedisUnavailable.
    """
    session = sessions.current()
    queued = prepared(record, wanted)
    session.use_queue(queued.queue)
    # Its id follows from the call, also where it is nobody's child: a second execution of the call finds it.
    around = context.FlowRunContext.get()
    (future,) = flow_submission.send(session, [queued], again=around is not None and around.flow_run.is_resumed)
    if context.current() is None or not wanted.is_child:
        session.note_background(queued.queue, [future])
    return future


def prepared(record: DeploymentRecord, wanted: Wanted) -> QueuedFlowRun:
    """A run as `Store.submit_flows` takes it. Raises as `trigger` does."""
    parameters = _parameters(record, wanted)
    body = arguments.encode_data(record.flow_name, parameters)
    run = _run(record, wanted, parameters, body)
    queue = wanted.queue or record.queue or get_settings().default_queue
    header = flow_submission.header_of(
        run,
        record.entrypoint,
        queue,
        folder=record.path,
        source=record.source and record.source.model_dump_json(),
        is_data=True,
        log_prints=printing.are_logged(),
    )
    return flow_submission.sealed(
        run,
        header,
        body,
        resumes=record.on_crash == "resume",
        limit=record.limit_tag if record.concurrency_limit else "",
        is_cancelled_when_full=record.collision_strategy == "CANCEL_NEW",
        key=kept.digest(f"{record.id}/{wanted.key}") if wanted.key else "",
    )


def _parameters(record: DeploymentRecord, wanted: Wanted) -> dict[str, Any]:
    merged = {**record.parameters, **futures.resolve_futures_to_results(dict(wanted.parameters))}
    if not record.enforce_parameter_schema:
        return cast("dict[str, Any]", schemas.as_json(merged))
    return schemas.checked(record.parameter_schema, merged, flow_name=record.flow_name)


def _run(record: DeploymentRecord, wanted: Wanted, parameters: dict[str, Any], body: arguments.Encoded) -> FlowRun:
    run = runs.child_flow_run(record.flow_name, record.version, parameters, record.id.encode() + body.identity)
    if not wanted.is_child:
        run.parent_flow_run_id = run.parent_task_run_id = None
        run.tags = frozenset()
    flow_submission.Own(wanted.name, (*record.tags, *wanted.tags), wanted.due).give_to(run)
    run.deployment_id = record.id
    run.given = body.body.decode() if len(body.body) <= _MOST_SHOWN and not body.is_elsewhere else None
    return run


# --- run_deployment ---------------------------------------------------------------------------------------------------


def run_deployment(
    name: str | uuid.UUID,
    parameters: Mapping[str, Any] | None = None,
    scheduled_time: datetime | None = None,
    flow_run_name: str | None = None,
    timeout: float | None = None,
    poll_interval: float = 5,  # noqa: ARG001 - taken for programs that give it
    tags: Iterable[str] | None = None,
    idempotency_key: str | None = None,
    work_queue_name: str | None = None,
    as_subflow: bool = True,
    job_variables: Mapping[str, Any] | None = None,  # noqa: ARG001 - likewise
    client: Any = None,  # noqa: ARG001 - likewise
) -> Any:
    """Make a run of the deployment `flow/deployment`, or with this id, and wait until it has ended; its FlowRun.

    `parameters` go before those of the deployment; futures in them are waited for. `scheduled_time` is when it is to
    begin, by default at once; `timeout` how many seconds to wait for its end (default: no limit; 0 returns at once):
    then the run is given as it is. It never raises for a run that failed. Of several calls with one `idempotency_key`
    the first makes the run, and all give it. `work_queue_name` is another queue than the deployment's. In a flow or
    task the run is its child, unless not `as_subflow`. Where an event loop runs this gives an awaitable. The last three
    are taken for programs that give them: nothing is polled, and workers have no variables.

    Raises ObjectNotFound if there is no such deployment; ValueError for a negative timeout, and for a name without `/`;
    ParameterBindError or ParameterTypeError for parameters that the flow does not take, before there is a run.
    """
    waiting.check_timeout(timeout)
    checked = checked_name(name)
    wanted = Wanted(
        parameters or {},
        name=flow_run_name,
        tags=tuple(checked_tags(tags)),
        due=scheduled_time,
        key=idempotency_key,
        queue=work_queue_name,
        is_child=as_subflow,
    )
    return asyncutils.here_or_awaitable(_run_deployment, checked, wanted, timeout)


async def arun_deployment(name: str | uuid.UUID, *args: Any, **kwargs: Any) -> recorded_runs.FlowRun:
    """The same, to be awaited wherever it is called."""
    return await run_deployment(name, *args, **kwargs)


def _run_deployment(name: str, wanted: Wanted, timeout: float | None) -> recorded_runs.FlowRun:
    from millstream import run_history  # it asks deployments, which come here

    future = trigger(find(name), wanted)
    future.wait(timeout)
    return run_history.read_flow_run(future.run_id)


def find(name: str) -> DeploymentRecord:
    """The deployment of a full name or id. Raises ObjectNotFound."""
    found = Deployments(sessions.current().store).read(name)
    if found is None:
        raise deployments.not_found(name)
    return found


def checked_name(name: object) -> str:
    """How a deployment is referred to. Raises ValueError or TypeError for what is neither a full name nor an id."""
    if isinstance(name, uuid.UUID):
        return name.hex
    if not isinstance(name, str):
        raise TypeError(f"A deployment is known by its name, FLOW/DEPLOYMENT, or its id; got {name!r}.")
    if "/" in name:
        return name
    try:
        return uuid.UUID(name).hex
    except ValueError:
        raise ValueError(f"A deployment is known by its name, FLOW/DEPLOYMENT, or its id; got {name!r}.") from None


def checked_tags(tags: Any) -> Sequence[str]:
    """Tags as texts. Raises TypeError for a single text, whose letters would be meant."""
    if isinstance(tags, str):
        raise TypeError(f"tags takes several texts, such as [{tags!r}], not one text.")
    return [str(tag) for tag in tags or ()]
