"""Finds the task or flow of a run: by importing it, or by its definition in the store."""

import hashlib
from collections import OrderedDict
from typing import Any, cast

from millstream import sessions
from millstream.flows import Flow
from millstream.tasks import Task
from millstream_shared import entrypoints, errors, values
from millstream_shared.flow_headers import FlowHeader

_KEPT = 200
_by_content: OrderedDict[str, Any] = OrderedDict()


def load_task(function: str) -> Task[..., Any]:
    """The task that a payload names. Raises FunctionUnavailable, with the reason."""
    loaded = _load(function)
    if not isinstance(loaded, Task):
        raise errors.FunctionUnavailable(function, "it is not a task here: another version of the code is installed")
    return cast("Task[..., Any]", loaded)


def load_flow(header: FlowHeader) -> Flow[..., Any]:
    """The flow that a payload names.

    Raises FunctionUnavailable, with the reason; for the flow of a deployment or of a file what `load_place` raises.
    """
    if header.folder or header.source or header.deployment_id or ".py:" in header.function:
        return _from_place(header)
    loaded = _load(header.function)
    if not isinstance(loaded, Flow):
        raise errors.FunctionUnavailable(
            header.function, "it is not a flow here: another version of the code is installed"
        )
    return cast("Flow[..., Any]", loaded)


def _from_place(header: FlowHeader) -> Flow[..., Any]:
    # What they bring is slow to import, and of no use where tasks are executed.
    from millstream import flow_sources
    from millstream_shared.deployments import GitSource

    source = GitSource.model_validate_json(header.source) if header.source else None
    return flow_sources.load_place(flow_sources.Place(header.function, header.folder, source))


def _load(function: str) -> Any:
    kind, _, digest = function.partition(":")
    return _from_content(digest) if kind == "sha256" else entrypoints.load(function)


def _from_content(digest: str) -> Any:
    found = _by_content.get(digest)
    if found is None:
        definition = sessions.current().store.definition(digest)
        name = f"sha256:{digest}"
        if definition is None:
            raise errors.FunctionUnavailable(name, "its definition is no longer in the store")
        if hashlib.sha256(definition).hexdigest() != digest:
            raise errors.FunctionUnavailable(name, "its definition was altered")
        try:
            found = values.loads(definition)
        except Exception as failure:
            raise errors.FunctionUnavailable(name, f"{type(failure).__name__}: {failure}") from failure
        _by_content[digest] = found
        if len(_by_content) > _KEPT:
            _by_content.popitem(last=False)
    return found
