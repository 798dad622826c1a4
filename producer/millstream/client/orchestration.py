"""The client: `get_client()` gives what programs need to make, follow and look after runs from anywhere."""

from typing import Self

from millstream.client.deployment_calls import DeploymentCalls
from millstream.client.flow_run_calls import FlowRunCalls
from millstream.client.limit_calls import LimitCalls

__all__ = ["Client", "PrefectClient", "get_client"]


class Client(FlowRunCalls, DeploymentCalls, LimitCalls):
    """Calls to the store that this process uses. It holds nothing of its own, and may be used by several threads.

    Use it as it is, in `with` or in `async with`. Its methods are plain calls in sync code; where an event loop runs
    they give awaitables, so that it is not blocked. Each has a twin that always does, as `aread_flow_run` for
    `read_flow_run`. All raise RedisUnavailable when the server does not answer.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """There is nothing to close."""


def get_client(sync_client: bool | None = None) -> Client:
    """A client. With `sync_client` its methods block also where an event loop runs; with False they never do."""
    return Client(sync_client)


PrefectClient = Client
