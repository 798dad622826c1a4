"""What flows know of deployments: methods that describe, make and serve one, and find flows where they are kept."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack, cast

if TYPE_CHECKING:
    from uuid import UUID

    from millstream import deployments, flow_sources
    from millstream.flows import Flow


class Deployable:
    """The part of a flow that is about deployments. What it needs is imported by who uses it: most programs do not."""

    place: "flow_sources.Place | None" = None
    """Where its code is, if it was loaded from there."""

    @property
    def _flow(self) -> "Flow[..., Any]":
        return cast("Flow[..., Any]", self)

    @staticmethod
    def from_source(source: Any, entrypoint: str) -> Any:
        """The flow at `folder/file.py:flow` in a folder or git repository, to be deployed from there.

        `source` is a folder, the address of a repository (`address@branch` for another than the default branch), or a
        `millstream.deployments.GitRepository`. Where an event loop runs this gives an awaitable. Raises
        MissingFlowError and ScriptError as `load_flow_from_entrypoint`; SourceUnavailable, which says what git said.
        """
        from millstream import flow_sources
        from millstream.utilities import asyncutils

        return asyncutils.here_or_awaitable(flow_sources.load_from_source, source, entrypoint)

    @staticmethod
    async def afrom_source(source: Any, entrypoint: str) -> "Flow[..., Any]":
        """The same, to be awaited wherever it is called."""
        import asyncio

        from millstream import flow_sources

        return await asyncio.to_thread(flow_sources.load_from_source, source, entrypoint)

    def to_deployment(self, name: str, **given: "Unpack[deployments.DeploymentKeywords]") -> "deployments.Deployment":
        """Describe a deployment of this flow, which `deploy` or `serve` puts into the store. Options:

        `version`, `description` (the flow's), `tags`; `parameters`, which runs have that are not given others;
        `enforce_parameter_schema` (true): parameters are checked before a run exists; one of `cron`, `interval`
        (seconds), `rrule`, `schedule` and `schedules`, see `millstream.schedules`; `paused` (as it is): its schedules
        do not fire; `queue`, also called `work_queue_name` or `work_pool_name` (the flow's, else the default queue),
        from which workers take its runs; `concurrency_limit`, how many of its runs are executed at once, and
        `collision_strategy` for further ones: "ENQUEUE" (they wait) or "CANCEL_NEW", both of which can be said in one
        `millstream.deployments.ConcurrencyLimitConfig`; `on_crash`: a run whose process died is Crashed ("crash"), or
        goes on where it was ("resume").

        Raises InvalidNameError for a name with `/ % & > <`; MissingFlowError for a flow that other processes cannot
        find; ParameterBindError and ParameterTypeError for parameters that the flow does not take, and for schedules
        whose runs would miss some; ValueError for schedules in two ways, a bad cron and what else makes no sense;
        TypeError for an option that does not exist.
        """
        from millstream import deployments

        return deployments.Deployment.build_from_flow(self._flow, name, **given)

    async def ato_deployment(
        self, name: str, **given: "Unpack[deployments.DeploymentKeywords]"
    ) -> "deployments.Deployment":
        """The same, to be awaited."""
        return self.to_deployment(name, **given)

    def deploy(self, name: str, **given: "Unpack[deployments.DeploymentKeywords]") -> Any:
        """Put a deployment of this flow into the store, for workers to execute its runs; its id, a UUID.

        One of the same name is replaced, and keeps its id. Where an event loop runs this gives an awaitable. Options
        and errors are those of `to_deployment`; RedisUnavailable when the server does not answer.
        """
        return self.to_deployment(name, **given).apply()

    async def adeploy(self, name: str, **given: "Unpack[deployments.DeploymentKeywords]") -> "UUID":
        """The same, to be awaited wherever it is called."""
        return await self.to_deployment(name, **given).aapply()

    def serve(
        self,
        name: str | None = None,
        *,
        limit: int | None = None,
        global_limit: "int | deployments.ConcurrencyLimitConfig | Mapping[str, Any] | None" = None,
        pause_on_shutdown: bool = True,
        **given: "Unpack[deployments.DeploymentKeywords]",
    ) -> None:
        """Put a deployment of this flow into the store and execute its runs here, until SIGTERM or Ctrl-C.

        `name` (the flow's); `limit`: how many of them at once here, `global_limit`: wherever they are executed. For all
        else see `millstream.deployments.serve` and `to_deployment`.
        """
        from millstream import deployments

        given.setdefault("concurrency_limit", global_limit)
        deployment = self.to_deployment(name or self._flow.name, **given)
        deployments.serve(deployment, limit=limit, pause_on_shutdown=pause_on_shutdown)
