"""What programs can say of a deployment, and its record made of that, or an error that says what is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack, cast

from millstream import flow_sources, schedules, schemas
from millstream_shared import deployments, errors
from millstream_shared.deployments import DeploymentRecord
from millstream_shared.schedules import ScheduleRecord

if TYPE_CHECKING:
    from millstream.flows import Flow


class ConcurrencyLimitStrategy(StrEnum):
    """What becomes of a run over the limit of its deployment: it waits, or it is cancelled."""

    ENQUEUE = "ENQUEUE"
    CANCEL_NEW = "CANCEL_NEW"


@dataclass(frozen=True, slots=True)
class ConcurrencyLimitConfig:
    """How many runs of a deployment are executed at once (1 or more), and what becomes of others. Else a ValueError."""

    limit: int
    collision_strategy: ConcurrencyLimitStrategy | deployments.CollisionStrategy = ConcurrencyLimitStrategy.ENQUEUE

    def __post_init__(self) -> None:
        """Refuse what no deployment could have."""
        _number(self.limit)
        # Frozen, so it is set the long way: the text counts as the member of that name.
        object.__setattr__(self, "collision_strategy", ConcurrencyLimitStrategy(_strategy(self.collision_strategy)))


class DeploymentKeywords(TypedDict, total=False):
    """The keywords of `Flow.to_deployment`, `Flow.deploy` and `Deployment.build_from_flow`."""

    version: str | None
    description: str | None
    tags: Iterable[str] | None
    parameters: Mapping[str, Any] | None
    enforce_parameter_schema: bool
    cron: str | Iterable[str] | None
    interval: timedelta | float | Iterable[timedelta | float] | None
    rrule: str | Iterable[str] | None
    schedule: schedules.Schedule | None
    schedules: Iterable[schedules.Schedule | ScheduleRecord | Mapping[str, Any]] | None
    paused: bool | None
    queue: str | None
    work_queue_name: str | None
    work_pool_name: str | None
    concurrency_limit: int | ConcurrencyLimitConfig | Mapping[str, Any] | None
    collision_strategy: ConcurrencyLimitStrategy | deployments.CollisionStrategy | None
    on_crash: deployments.OnCrash
    job_variables: None
    image: None
    build: None
    push: None


_SCHEDULES: Final = ("cron", "interval", "rrule", "schedule", "schedules")
_QUEUES: Final = ("queue", "work_queue_name", "work_pool_name")
_FOREIGN: Final = {
    "job_variables": "give the environment to the worker, and what a run needs as parameters",
    "image": "build the image by which workers are started, and start them on the queue",
    "build": "nothing is built",
    "push": "nothing is pushed",
}


def record_of(flow: "Flow[..., Any]", name: str, **given: Unpack[DeploymentKeywords]) -> DeploymentRecord:
    """What is kept of the deployment. Raises what `Flow.to_deployment` says."""
    if not hasattr(flow, "place"):
        raise TypeError(f"A deployment is made of a flow, a function with @flow; got {flow!r}.")
    deployments.check_name(name)
    _check_options(given)
    place = flow_sources.place_of(flow)
    limit, strategy = _limit(given.get("concurrency_limit"), given.get("collision_strategy"))
    schema, enforces = schemas.of_flow(flow), given.get("enforce_parameter_schema", True)
    record = DeploymentRecord(
        flow_name=flow.name,
        name=name,
        entrypoint=place.entrypoint,
        path=place.path,
        source=place.source,
        queue=_queue(given) or flow.queue,
        parameters=_parameters(flow.name, schema if enforces else None, given.get("parameters")),
        parameter_schema=schema,
        enforce_parameter_schema=enforces,
        tags=_tags(given.get("tags")),
        description=given.get("description") or flow.description,
        version=given.get("version") or flow.version,
        paused=bool(given.get("paused")),
        concurrency_limit=limit,
        collision_strategy=strategy,
        on_crash=given.get("on_crash", "crash"),
    )
    found = schedules.collect(**cast("Any", {key: given.get(key) for key in _SCHEDULES}))
    return record.model_copy(update={"schedules": tuple(checked_schedule(record, each) for each in found)})


def floating(record: DeploymentRecord, **given: Unpack[DeploymentKeywords]) -> frozenset[str]:
    """The slugs of intervals whose anchor nobody has given."""
    one, several = given.get("schedule"), given.get("schedules")
    written: list[Any] = [one] if one is not None else list(several or ())
    if given.get("interval") is not None:
        return frozenset(each.slug for each in record.schedules)
    return frozenset(
        each.slug
        for each, origin in zip(record.schedules, written, strict=False)
        if each.kind == "interval" and _anchor_of(origin) is None
    )


def _anchor_of(origin: Any) -> Any:
    if isinstance(origin, Mapping):
        return cast("Mapping[str, Any]", origin).get("anchor_date")
    return getattr(origin, "anchor_date", origin.anchor if isinstance(origin, ScheduleRecord) else None)


def _check_options(given: DeploymentKeywords) -> None:
    for option in given:
        if option not in DeploymentKeywords.__annotations__:
            known = ", ".join(DeploymentKeywords.__annotations__.keys() - _FOREIGN.keys())
            raise TypeError(f"A deployment has no option {option!r}; it has {known}.")
        if option in _FOREIGN and cast("Any", given).get(option):
            raise ValueError(f"{option!r} means nothing here, as workers are started by you: {_FOREIGN[option]}.")
    for option, values in (("on_crash", ("crash", "resume")), ("collision_strategy", ("ENQUEUE", "CANCEL_NEW"))):
        value = cast("Any", given).get(option)
        if value is not None and value not in values:
            raise ValueError(f"{option} is {' or '.join(map(repr, values))}; got {value!r}.")


def _queue(given: DeploymentKeywords) -> str | None:
    """The queue, under whichever of its names; a work queue lies within its pool, and is what workers serve."""
    if given.get("queue") and (given.get("work_queue_name") or given.get("work_pool_name")):
        raise ValueError("queue, work_pool_name and work_queue_name name the same thing, the queue: give one.")
    found = next((value for option in _QUEUES if (value := cast("Any", given).get(option)) is not None), None)
    if found is not None and (not isinstance(found, str) or not found.strip()):
        raise ValueError(f"A queue is named by a text; got {found!r}.")
    return found


def _limit(given: Any, beside: Any) -> tuple[int | None, deployments.CollisionStrategy]:
    """How many, and what becomes of others, which can be said in the limit or beside it."""
    limit, within = _taken_apart(given)
    said: list[deployments.CollisionStrategy] = [_strategy(each) for each in (within, beside) if each is not None]
    if len(set(said)) > 1:
        raise ValueError(f"collision_strategy is {said[0]!r} in concurrency_limit and {said[1]!r} beside it: give one.")
    return limit, said[0] if said else "ENQUEUE"


def _taken_apart(given: Any) -> tuple[int | None, Any]:
    if given is None:
        return None, None
    if isinstance(given, ConcurrencyLimitConfig):
        return given.limit, given.collision_strategy
    if not isinstance(given, Mapping):
        return _number(given), None
    config = cast("Mapping[str, Any]", given)
    unknown = sorted(config.keys() - {"limit", "collision_strategy"})
    if unknown:
        raise ValueError(f"concurrency_limit has limit and collision_strategy; got {', '.join(unknown)}.")
    return _number(config.get("limit")), config.get("collision_strategy")


def _number(limit: Any) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ValueError(f"concurrency_limit is a number of runs, 1 or more; got {limit!r}.")
    return limit


def _strategy(given: Any) -> deployments.CollisionStrategy:
    if given not in ("ENQUEUE", "CANCEL_NEW"):
        raise ValueError(f"collision_strategy is 'ENQUEUE' or 'CANCEL_NEW'; got {given!r}.")
    return "CANCEL_NEW" if given == "CANCEL_NEW" else "ENQUEUE"


def _tags(given: Any) -> tuple[str, ...]:
    if isinstance(given, str) or not all(isinstance(tag, str) for tag in given or ()):
        raise TypeError(f"tags takes several texts, such as ['nightly']; got {given!r}.")
    return tuple(sorted(set(given or ())))


def _parameters(flow_name: str, schema: schemas.Schema | None, given: Any) -> dict[str, Any]:
    """Default parameters, as far as they are given; without a schema they need only be JSON."""
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"parameters takes values by name; got {given!r}.")
    values = dict(cast("Mapping[str, Any]", given or {}))
    return schemas.checked(schema or {}, values, flow_name=flow_name, partial=True)


def checked_schedule(record: DeploymentRecord, schedule: ScheduleRecord) -> ScheduleRecord:
    """The schedule, its parameters checked: those of its runs are these and the deployment's, with none missing."""
    if not record.enforce_parameter_schema:
        return schedule
    wanted = {**record.parameters, **schedule.parameters}
    try:
        values = schemas.checked(record.parameter_schema, wanted, flow_name=record.flow_name)
    except (errors.ParameterBindError, errors.ParameterTypeError) as unfit:
        raise type(unfit)(
            f"Schedule {schedule.slug!r} of {record.full_name!r} could not begin any run. {unfit}"
        ) from None
    return schedule.model_copy(update={"parameters": {name: values[name] for name in schedule.parameters}})
