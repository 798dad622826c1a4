"""Facts of the runs that are going on here: `runtime.flow_run.name`, `runtime.task_run.run_count`.

Outside of runs each is None, or an empty list or dictionary. For tests a fact can be set from outside:
`MILLSTREAM__RUNTIME__FLOW_RUN__NAME=mine`; lists take their elements between commas, dictionaries take JSON. The
words, and that way to set them, are those of `prefect.runtime`. `api_url` and `ui_url` are None in runs too,
unless they are set so: no server has a page for each run.
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from millstream import sessions
from millstream.context import FlowRunContext, TaskRunContext
from millstream.runs import FlowRun, TaskRun
from millstream.surroundings import RemoteFlowRun
from millstream_shared import records
from millstream_shared.records import Record

__all__ = ["deployment", "flow_run", "task_run"]

T = TypeVar("T")


class _Fact(Generic[T]):
    """One fact of a run; `outside` makes what it is where there is no run, `parse` makes it of text."""

    def __init__(self, read: Callable[[Any], T], outside: Callable[[], T], parse: Callable[[str], T]) -> None:
        self._read, self._outside, self._parse = read, outside, parse

    def __set_name__(self, owner: "type[_Runtime]", name: str) -> None:
        self._variable = f"MILLSTREAM__RUNTIME__{owner.section}__{name.upper()}"

    def __get__(self, instance: "_Runtime", owner: type[Any]) -> T:
        given = os.environ.get(self._variable)
        if given is not None:
            try:
                return self._parse(given)
            except ValueError as wrong:
                raise ValueError(f"{self._variable} cannot be {given!r}: {wrong}.") from wrong
        run = instance._current()  # pyright: ignore[reportPrivateUsage]
        return self._outside() if run is None else self._read(run)


class _Runtime:
    section: ClassVar[str]

    def __init__(self, current: Callable[[], FlowRun | TaskRun | None]) -> None:
        self._current = current

    def __getattr__(self, name: str) -> Any:
        facts = ", ".join(fact for fact in vars(type(self)) if not fact.startswith("_") and fact != "section")
        raise AttributeError(f"runtime.{self.section.lower()} has no {name!r}; it has {facts}.")


def _text(read: Callable[[Any], str | None]) -> _Fact[str | None]:
    return _Fact(read, lambda: None, str)


def _number(read: Callable[[Any], int]) -> _Fact[int | None]:
    return _Fact(read, lambda: None, int)


def _texts(read: Callable[[Any], list[str]]) -> _Fact[list[str]]:
    return _Fact(read, list[str], lambda given: given.split(","))


def _mapping(read: Callable[[Any], dict[str, Any]]) -> _Fact[dict[str, Any]]:
    return _Fact(read, dict[str, Any], json.loads)


class _FlowRunFacts(_Runtime):
    """The flow run that is going on; inside a task, that of the task."""

    section = "FLOW_RUN"

    id = _text(lambda run: str(run.id))
    name = _text(lambda run: run.name)
    flow_name = _text(lambda run: run.flow_name)
    flow_version = _text(lambda run: run.flow_version)
    tags = _texts(lambda run: sorted(run.tags))
    parameters = _mapping(lambda run: run.parameters)
    run_count = _number(lambda run: run.run_count)
    scheduled_start_time = _Fact[datetime | None](
        lambda run: datetime.fromtimestamp(_scheduled(run), UTC), lambda: None, datetime.fromisoformat
    )
    parent_flow_run_id = _text(lambda run: _dashed(_parent(run)))
    parent_deployment_id = _text(lambda run: _dashed(_deployment_of_parent(run)))
    root_flow_run_id = _text(lambda run: _dashed(_root(run)))
    job_variables = _mapping(lambda _: {})
    api_url = _text(lambda _: None)
    ui_url = _text(lambda _: None)


class _TaskRunFacts(_Runtime):
    """The task run that is going on."""

    section = "TASK_RUN"

    id = _text(lambda run: str(run.id))
    name = _text(lambda run: run.name)
    task_name = _text(lambda run: run.task_name)
    tags = _texts(lambda run: sorted(run.tags))
    parameters = _mapping(lambda run: run.parameters)
    run_count = _number(lambda run: run.run_count)
    api_url = _text(lambda _: None)
    ui_url = _text(lambda _: None)


class _DeploymentFacts(_Runtime):
    """The deployment that the flow run is one of which is going on; all None if it is of none."""

    section = "DEPLOYMENT"

    id = _text(lambda run: _dashed(_deployment_id(run)))
    name = _text(lambda run: _of_deployment(run, "name"))
    version = _text(lambda run: _of_deployment(run, "version"))
    parameters = _mapping(lambda run: _of_deployment(run, "parameters") or {})
    flow_run_id = _text(lambda run: str(run.id) if _deployment_id(run) else None)


def _current_flow_run() -> FlowRun | None:
    found = FlowRunContext.get()
    return found and found.flow_run


def _current_task_run() -> TaskRun | None:
    found = TaskRunContext.get()
    return found and found.task_run


flow_run = _FlowRunFacts(_current_flow_run)
task_run = _TaskRunFacts(_current_task_run)
deployment = _DeploymentFacts(_current_flow_run)


def _dashed(run_id: str | None) -> str | None:
    return None if run_id is None else str(UUID(hex=run_id))


def _scheduled(run: FlowRun) -> float:
    """When it was to begin: of a run that nobody put off, when it was made."""
    if not isinstance(run, RemoteFlowRun):
        return run.created if run.due is None else run.due
    known = _recorded(run.run_id)
    return (known.details or {}).get("due", known.created) if known else run.created


def _deployment_id(run: FlowRun) -> str | None:
    return _recorded_deployment(run.run_id) if isinstance(run, RemoteFlowRun) else run.deployment_id


def _deployment_of_parent(run: FlowRun) -> str | None:
    parent = _parent(run)
    return _recorded_deployment(parent) if parent else None


def _recorded_deployment(run_id: str) -> str | None:
    known = _recorded(run_id)
    return (known.details or {}).get("deployment") if known else None


def _of_deployment(run: FlowRun, fact: str) -> Any:
    """A fact of the run's deployment as that is now; None if there is none (any more)."""
    id = _deployment_id(run)
    if id is None:
        return None
    from millstream_shared.deployments import Deployments  # brings pydantic, for who asks

    found = Deployments(sessions.current().store).read(id)
    return found and getattr(found, fact)


def _parent(run: FlowRun) -> str | None:
    if not isinstance(run, RemoteFlowRun):
        return run.parent_flow_run_id
    known = _recorded(run.run_id)
    return known and known.flow_run_id


def _root(run: FlowRun) -> str:
    root, parent = run.run_id, _parent(run)
    while parent is not None:
        known = _recorded(parent)
        root, parent = parent, known and known.flow_run_id
    return root


def _recorded(run_id: str) -> Record | None:
    stored = sessions.current().store.records([run_id]).get(run_id)
    return None if stored is None else records.decode(run_id, stored)
