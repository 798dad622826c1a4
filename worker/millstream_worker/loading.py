"""Finds the task of a run: by importing it, or by its definition in the store."""

import hashlib
from collections import OrderedDict
from typing import Any, cast

from millstream import sessions
from millstream.tasks import Task
from millstream_shared import entrypoints, errors, values

_KEPT = 200
_by_content: OrderedDict[str, Task[..., Any]] = OrderedDict()


def load_task(function: str) -> Task[..., Any]:
    """The task that a payload names. Raises FunctionUnavailable, with the reason."""
    kind, _, digest = function.partition(":")
    if kind == "sha256":
        return _from_content(digest)
    loaded = entrypoints.load(function)
    if not isinstance(loaded, Task):
        raise errors.FunctionUnavailable(function, "it is not a task here: another version of the code is installed")
    return cast("Task[..., Any]", loaded)


def _from_content(digest: str) -> Task[..., Any]:
    task = _by_content.get(digest)
    if task is None:
        definition = sessions.current().store.definition(digest)
        name = f"sha256:{digest}"
        if definition is None:
            raise errors.FunctionUnavailable(name, "its definition is no longer in the store")
        if hashlib.sha256(definition).hexdigest() != digest:
            raise errors.FunctionUnavailable(name, "its definition was altered")
        try:
            task = cast("Task[..., Any]", values.loads(definition))
        except Exception as failure:
            raise errors.FunctionUnavailable(name, f"{type(failure).__name__}: {failure}") from failure
        _by_content[digest] = task
        if len(_by_content) > _KEPT:
            _by_content.popitem(last=False)
    return task
