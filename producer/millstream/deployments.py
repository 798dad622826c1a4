"""Deployments as programs make them: `flow.deploy(...)`, `serve(...)`, `Deployment.build_from_flow(...).apply()`."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self, Unpack
from uuid import UUID

from millstream import deployment_options, serving, sessions
from millstream.deployment_options import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, DeploymentKeywords
from millstream.git_sources import GitRepository
from millstream.triggering import arun_deployment, run_deployment
from millstream.utilities import asyncutils
from millstream_shared import deployments, errors, states
from millstream_shared.deployments import DeploymentRecord, Deployments
from millstream_shared.settings import get_settings

if TYPE_CHECKING:
    from millstream.flows import Flow

__all__ = [
    "ConcurrencyLimitConfig",
    "ConcurrencyLimitStrategy",
    "Deployment",
    "DeploymentKeywords",
    "DeploymentRecord",
    "GitRepository",
    "adeploy",
    "arun_deployment",
    "aserve",
    "delete",
    "deploy",
    "pause",
    "read",
    "read_all",
    "resume",
    "run_deployment",
    "serve",
]

_SERVED: Final = "served:"
_logger: Final = logging.getLogger("millstream.deployments")


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment that was described, and is not yet, or no longer as described, in the store.

    `keeps_paused`: nothing was said about pausing, so that `apply` leaves this as it is. `floating`: slugs of schedules
    whose intervals are counted from when the deployment was first made with them.
    """

    record: DeploymentRecord
    keeps_paused: bool = False
    floating: frozenset[str] = frozenset()

    @classmethod
    def build_from_flow(cls, flow: "Flow[..., Any]", name: str, **given: Unpack[DeploymentKeywords]) -> Self:
        """Describe a deployment of the flow; the options and errors are those of `Flow.to_deployment`."""
        if isinstance(several := given.get("schedules"), Iterator):
            given["schedules"] = list(several)  # They are looked at twice.
        record = deployment_options.record_of(flow, name, **given)
        return cls(record, given.get("paused") is None, deployment_options.floating(record, **given))

    @property
    def name(self) -> str:
        """Its name among the deployments of its flow."""
        return self.record.name

    @property
    def full_name(self) -> str:
        """`flow/deployment`, by which it is triggered."""
        return self.record.full_name

    def apply(self) -> Any:
        """Put it into the store, in place of one of the same name; its id, a UUID, which stays the same.

        Where an event loop runs this gives an awaitable. Raises RedisUnavailable.
        """
        return asyncutils.here_or_awaitable(self.write)

    async def aapply(self) -> UUID:
        """The same, to be awaited wherever it is called."""
        return await asyncio.to_thread(self.write)

    def write(self) -> UUID:
        """The same in the calling thread, whatever runs there."""
        store = _store()
        record = self._anchored(store.read(self.full_name)) if self.floating else self.record
        return UUID(store.write(record, keeps_paused=self.keeps_paused).id)

    def _anchored(self, before: DeploymentRecord | None) -> DeploymentRecord:
        """The record, its intervals counted on: who deploys more often than they fire would have them never fire."""
        anchors = {each.slug: each for each in before.schedules} if before else {}
        schedules = tuple(
            each.model_copy(update={"anchor": anchors[each.slug].anchor})
            if each.slug in self.floating
            and each.slug in anchors
            and anchors[each.slug].interval_seconds == each.interval_seconds
            else each
            for each in self.record.schedules
        )
        return self.record.model_copy(update={"schedules": schedules})


# --- several at once --------------------------------------------------------------------------------------------------


def deploy(*given: Deployment, work_pool_name: str | None = None, queue: str | None = None) -> Any:
    """Put deployments into the store; their ids, in this order. A queue here is for those that have none.

    Where an event loop runs this gives an awaitable. Raises TypeError for what is no deployment, ValueError for none.
    """
    return asyncutils.here_or_awaitable(_deploy, given, queue or work_pool_name)


async def adeploy(*given: Deployment, work_pool_name: str | None = None, queue: str | None = None) -> list[UUID]:
    """The same, to be awaited wherever it is called."""
    return await asyncio.to_thread(_deploy, given, queue or work_pool_name)


def _deploy(given: Sequence[Any], queue: str | None) -> list[UUID]:
    wanted = [_on_queue(each, queue) for each in _checked(given, "deploy")]
    return [each.write() for each in wanted]


def _checked(given: Sequence[Any], what: str) -> Sequence[Deployment]:
    for each in given:
        if not isinstance(each, Deployment):
            raise TypeError(f"{what}() takes deployments, as flow.to_deployment(name) makes them; got {each!r}.")
    if not given:
        raise ValueError(f"{what}() needs a deployment, or several: flow.to_deployment(name) makes one.")
    return given


def _on_queue(deployment: Deployment, queue: str | None) -> Deployment:
    if queue is None or deployment.record.queue is not None:
        return deployment
    return replace(deployment, record=deployment.record.model_copy(update={"queue": queue}))


# --- a process that executes their runs -------------------------------------------------------------------------------


def serve(*given: Deployment, limit: int | None = None, pause_on_shutdown: bool = True) -> None:
    """Put deployments into the store and execute their runs, at most `limit` at once, until SIGTERM or Ctrl-C.

    A deployment without a queue gets one of its own, so that its runs come here. The runs are executed by a worker,
    each in a process of its own; the tasks that they submit go to the queues of those, as always. At the end, with
    `pause_on_shutdown`, the schedules of the deployments are paused, so that no runs pile up that nobody executes;
    serving them again lets them fire.
    After the first signal running flows may end, for a minute; after a second one they are handed back at once.

    Raises TypeError for what is no deployment, ValueError without deployments or for a limit below 1, RuntimeError
    where an event loop runs (`await aserve(...)`), RedisUnavailable, ServiceError when the worker ends by itself.
    """
    if states.loop_is_running():
        raise RuntimeError("serve() would block the event loop that runs here: await aserve() instead.")
    served = _served(given)
    options = _options(served, limit)
    serving.find_server()
    try:
        _write(served)
        serving.run(options)
    finally:
        _pause(served if pause_on_shutdown else [])


async def aserve(*given: Deployment, limit: int | None = None, pause_on_shutdown: bool = True) -> None:
    """The same without blocking the event loop. When it is cancelled, running flows may end before it ends itself."""
    served = _served(given)
    options = _options(served, limit)
    await asyncio.to_thread(serving.find_server)
    try:
        await asyncio.to_thread(_write, served)
        await serving.arun(options)
    finally:
        # In this thread: a loop that is being cancelled may not wait for another one.
        _pause(served if pause_on_shutdown else [])


def _served(given: Sequence[Any]) -> list[Deployment]:
    served = [
        replace(_on_queue(each, _SERVED + each.full_name), keeps_paused=False) for each in _checked(given, "serve")
    ]
    names = [each.full_name for each in served]
    if len(set(names)) < len(names):
        raise ValueError(f"serve() was given two deployments of the same name: {', '.join(names)}.")
    return served


def _options(served: Sequence[Deployment], limit: Any) -> list[str]:
    """The worker's command line."""
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise ValueError(f"limit is a number of runs, 1 or more, or None; got {limit!r}.")
    queues = dict.fromkeys(str(each.record.queue) for each in served)
    # One process for tasks, should any be put on these queues: flow runs have processes of their own.
    options = ["--processes", "1", *(word for queue in queues for word in ("--queue", queue))]
    return options if limit is None else [*options, "--flows", str(limit)]


def _write(served: Sequence[Deployment]) -> None:
    for each in served:
        each.write()


def _pause(served: Sequence[Deployment]) -> None:
    """Pause what has schedules. Who ends because the server is away does not wait for it to come back."""
    names = [each.full_name for each in served if each.record.schedules]
    if not names:
        return
    settings = get_settings()
    store = sessions.open_store(settings, outage_seconds=settings.first_contact_seconds)
    try:
        for name in names:
            Deployments(store).set_paused(name, True)
    except errors.ServiceError as failure:
        _logger.warning("The schedules of %s go on firing, though nobody serves them: %s", ", ".join(names), failure)
    finally:
        store.close()


# --- those in the store -----------------------------------------------------------------------------------------------


def read(name: str) -> DeploymentRecord:
    """The deployment called `flow/deployment`, or with this id. Raises ObjectNotFound if there is none."""
    return _existing(name, _store().read(str(name)))


def read_all() -> list[DeploymentRecord]:
    """All deployments, by their full names."""
    return _store().read_all()


def pause(name: str) -> DeploymentRecord:
    """Have no schedule of the deployment fire; it can still be triggered. Raises ObjectNotFound if there is none."""
    return _existing(name, _store().set_paused(str(name), True))


def resume(name: str) -> DeploymentRecord:
    """Have the schedules of the deployment fire again. Raises ObjectNotFound if there is none."""
    return _existing(name, _store().set_paused(str(name), False))


def delete(name: str) -> DeploymentRecord:
    """Have no such deployment any more; what it was. Its runs stay. Raises ObjectNotFound if there is none."""
    return _existing(name, _store().delete(str(name)))


def _existing(name: str, found: DeploymentRecord | None) -> DeploymentRecord:
    if found is None:
        raise deployments.not_found(str(name))
    return found


def _store() -> Deployments:
    return Deployments(sessions.current().store)
