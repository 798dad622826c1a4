"""The schedules of deployments that are in the store: listed, added, paused, resumed and taken away."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from millstream import deployment_options, deployments, schedules, sessions
from millstream.schedules import Schedule, ScheduleRecord
from millstream_shared import errors
from millstream_shared.deployments import DeploymentRecord, Deployments
from millstream_shared.schedules import next_after


@dataclass(frozen=True, slots=True)
class PlannedSchedule:
    """A schedule with the moment at which it fires next, in UTC; None: it does not, or its deployment is paused."""

    schedule: ScheduleRecord
    following: datetime | None


def read(name: str) -> list[PlannedSchedule]:
    """The schedules of the deployment `flow/deployment`, or of that id. Raises ObjectNotFound if there is none."""
    deployment = deployments.read(name)
    now = datetime.now(UTC)
    return [
        PlannedSchedule(each, next_after(each, now) if each.active and not deployment.paused else None)
        for each in deployment.schedules
    ]


def add(name: str, schedule: Schedule, *, replace: bool = False) -> ScheduleRecord:
    """Give the deployment one more schedule, or with `replace` put it in place of all it has; what is kept of it.

    Raises ObjectNotFound if there is no such deployment, ObjectAlreadyExists if it has a schedule with that slug,
    ParameterBindError or ParameterTypeError if its parameters do not fit the flow.
    """

    def change(deployment: DeploymentRecord) -> tuple[ScheduleRecord, ...]:
        present = () if replace else deployment.schedules
        if schedule.slug in [each.slug for each in present]:
            raise errors.ObjectAlreadyExists(
                f"{deployment.full_name!r} has a schedule {schedule.slug!r}: delete it, or choose another slug."
            )
        *_, added = schedules.collect(schedules=[*present, schedule])
        return (*present, deployment_options.checked_schedule(deployment, added))

    return _change(name, change).schedules[-1]


def remove(name: str, slug: str) -> ScheduleRecord:
    """Take a schedule from the deployment; what it was. Raises ObjectNotFound if there is none."""
    gone: list[ScheduleRecord] = []

    def change(deployment: DeploymentRecord) -> tuple[ScheduleRecord, ...]:
        gone.append(_find(deployment, slug))
        return tuple(each for each in deployment.schedules if each.slug != slug)

    _change(name, change)
    return gone[-1]


def set_active(name: str, slug: str | None, active: bool) -> list[ScheduleRecord]:
    """Have a schedule fire, or not; without a slug, all of the deployment; those schedules as they are now.

    What one does not fire meanwhile is not missed. Raises ObjectNotFound if there is no such schedule.
    """

    def change(deployment: DeploymentRecord) -> tuple[ScheduleRecord, ...]:
        if slug is not None:
            _find(deployment, slug)
        return tuple(
            each.model_copy(update={"active": active}) if slug in (None, each.slug) else each
            for each in deployment.schedules
        )

    return [each for each in _change(name, change).schedules if slug in (None, each.slug)]


def _change(name: str, change: Callable[[DeploymentRecord], tuple[ScheduleRecord, ...]]) -> DeploymentRecord:
    changed = Deployments(sessions.current().store).change(
        name, lambda deployment: deployment.model_copy(update={"schedules": change(deployment)})
    )
    return deployments.read(name) if changed is None else changed


def _find(deployment: DeploymentRecord, slug: str) -> ScheduleRecord:
    for each in deployment.schedules:
        if each.slug == slug:
            return each
    there_are = ", ".join(each.slug for each in deployment.schedules) or "none"
    raise errors.ObjectNotFound(f"{deployment.full_name!r} has no schedule {slug!r}; it has {there_are}.")
