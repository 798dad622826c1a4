"""Facts of the runs that are going on, under `millstream.runtime`."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millstream import flow, runtime, tags, task
from millstream.context import FlowRunContext, TaskRunContext
from millstream.task_runners import TaskRunner

FLOW_FACTS = [
    "id",
    "name",
    "flow_name",
    "flow_version",
    "tags",
    "parameters",
    "run_count",
    "scheduled_start_time",
    "parent_flow_run_id",
    "root_flow_run_id",
    "api_url",
    "ui_url",
]
TASK_FACTS = ["id", "name", "task_name", "tags", "parameters", "run_count", "api_url", "ui_url"]


def facts(of: Any, names: list[str]) -> dict[str, Any]:
    return {name: getattr(of, name) for name in names}


@task
def of_my_flow() -> dict[str, Any]:
    return facts(runtime.flow_run, FLOW_FACTS)


@task(tags=["own"])
def of_my_task(number: int = 3) -> dict[str, Any]:
    assert number == 3
    found = facts(runtime.task_run, TASK_FACTS)
    assert found["id"] == str(TaskRunContext.get().task_run.id)
    return found


@task(retries=2)
def counting() -> list[int | None]:
    counts = [runtime.task_run.run_count, runtime.flow_run.run_count]
    if counts[0] != 3:
        raise ValueError(counts)
    return counts


def test_a_task_knows_its_flow_run(task_runner: TaskRunner) -> None:
    """By id, name, version, tags, parameters and count, wherever it is executed."""

    @flow(task_runner=task_runner, name="sums", version="7", flow_run_name="sums-of-{up_to}")
    def sums(up_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
        assert up_to == 4
        return facts(runtime.flow_run, FLOW_FACTS), of_my_flow.submit().result()

    before = datetime.now(UTC)
    with tags("nightly"):
        here, there = sums(4)
    assert there == here | {"scheduled_start_time": there["scheduled_start_time"]}
    assert abs(there["scheduled_start_time"] - here["scheduled_start_time"]) < timedelta(milliseconds=1)
    assert before - timedelta(milliseconds=1) < here["scheduled_start_time"] < datetime.now(UTC)
    assert (here["name"], here["flow_name"], here["flow_version"]) == ("sums-of-4", "sums", "7")
    assert (here["tags"], here["parameters"], here["run_count"]) == (["nightly"], {"up_to": 4}, 1)
    assert (here["parent_flow_run_id"], here["root_flow_run_id"]) == (None, here["id"])


def test_a_task_knows_itself(task_runner: TaskRunner) -> None:
    """By id, name, tags, parameters with defaults, and count."""

    @flow(task_runner=task_runner)
    def asking() -> dict[str, Any]:
        return of_my_task.submit().result()

    found = asking()
    assert found["task_name"] == "of_my_task"
    assert found["name"] == f"of_my_task-{found['id'][-3:]}"
    assert (found["tags"], found["parameters"], found["run_count"]) == (["own"], {"number": 3}, 1)


def test_counts_grow_with_each_try(task_runner: TaskRunner) -> None:
    """Those of the task and those of the flow, each for itself."""
    tried: list[int | None] = []

    @flow(task_runner=task_runner, retries=1)
    def trying() -> list[int | None]:
        tried.append(runtime.flow_run.run_count)
        counts = counting.submit().result()
        if len(tried) == 1:
            raise ValueError("once more")
        return counts

    assert trying() == [3, 2]
    assert tried == [1, 2]


def test_a_child_knows_where_it_comes_from(task_runner: TaskRunner) -> None:
    """The flow run that called it, and the outermost one."""

    @flow(task_runner=task_runner)
    def inner() -> list[Any]:
        here = [runtime.flow_run.parent_flow_run_id, runtime.flow_run.root_flow_run_id]
        there = of_my_flow.submit().result()
        assert [there["parent_flow_run_id"], there["root_flow_run_id"]] == here
        return here

    @flow
    def middle() -> list[Any]:
        return [runtime.flow_run.id, *inner()]

    @flow
    def outer() -> list[Any]:
        return [str(FlowRunContext.get().flow_run.id), *middle()]

    outermost, parent, *seen = outer()
    assert seen == [parent, outermost]


def test_outside_of_runs_there_is_nothing() -> None:
    """None, an empty list or an empty dictionary; a flow is in no task run."""
    of_flow = facts(runtime.flow_run, FLOW_FACTS)
    assert of_flow == dict.fromkeys(FLOW_FACTS) | {"tags": [], "parameters": {}}
    of_task = dict.fromkeys(TASK_FACTS) | {"tags": [], "parameters": {}}
    assert facts(runtime.task_run, TASK_FACTS) == flow(lambda: facts(runtime.task_run, TASK_FACTS))() == of_task


def test_a_fact_that_does_not_exist_is_named() -> None:
    """With those that do."""
    with pytest.raises(AttributeError, match=r"runtime\.task_run has no 'flow_name'; it has id, name, task_name, tags"):
        _ = runtime.task_run.flow_name


def test_no_run_has_a_page_of_its_own(task_runner: TaskRunner) -> None:
    """Its addresses are there to be asked for, and are None."""

    @flow(task_runner=task_runner)
    def asking() -> list[dict[str, Any]]:
        return [facts(runtime.flow_run, FLOW_FACTS), of_my_flow.submit().result(), of_my_task.submit().result()]

    assert all((found["api_url"], found["ui_url"]) == (None, None) for found in asking())


def test_facts_can_be_set_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of code that reads them."""
    for name, text in {
        "FLOW_RUN__NAME": "mine",
        "FLOW_RUN__TAGS": "a,b",
        "FLOW_RUN__PARAMETERS": '{"x": 1}',
        "FLOW_RUN__SCHEDULED_START_TIME": "2026-01-02T03:04:05+00:00",
        "FLOW_RUN__UI_URL": "https://host/mine",
        "TASK_RUN__RUN_COUNT": "4",
    }.items():
        monkeypatch.setenv(f"MILLSTREAM__RUNTIME__{name}", text)
    assert (runtime.flow_run.name, runtime.flow_run.tags, runtime.flow_run.parameters) == ("mine", ["a", "b"], {"x": 1})
    assert runtime.flow_run.scheduled_start_time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (runtime.flow_run.ui_url, runtime.flow_run.api_url) == ("https://host/mine", None)
    assert runtime.task_run.run_count == 4
    monkeypatch.setenv("MILLSTREAM__RUNTIME__TASK_RUN__RUN_COUNT", "many")
    with pytest.raises(ValueError, match=r"MILLSTREAM__RUNTIME__TASK_RUN__RUN_COUNT cannot be 'many'"):
        _ = runtime.task_run.run_count


def test_facts_are_imported_when_they_are_asked_for() -> None:
    """A program that does not use them does not pay for them."""
    script = "import sys, millstream; millstream.flow; print('millstream.runtime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"
