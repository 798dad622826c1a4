"""Rules of RayTaskRunner; only where Ray is installed, which is large."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from millstream import State, flow, sessions, task
from millstream.context import FlowRunContext
from millstream.task_runners import RayTaskRunner

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray: pip install ray")


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    """One local Ray for all tests of this file: it takes seconds to start."""
    ray: Any = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")  # tests tell nobody that they run
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


@task
def double(x: int) -> int:
    return 2 * x


@task
def tree(depth: int) -> int:
    return 1 + (sum(tree.map([depth - 1] * 3).result()) if depth else 0)


@task
def fail() -> None:
    raise KeyError(1)


@task
def die() -> None:
    os._exit(3)


@needs_ray
@pytest.mark.usefixtures("_ray")
def test_runs_are_executed_by_ray() -> None:
    """Results come back in order, inputs are resolved before, runs within runs end, and all are recorded."""

    @flow(task_runner=RayTaskRunner())
    def body() -> tuple[list[int], int, int, State, str]:
        chain = double.submit(double.submit(1))
        bad = fail.submit()
        bad.wait()
        flow_run = FlowRunContext.get().flow_run.run_id
        return double.map(range(10)).result(), chain.result(), tree.submit(2).result(), bad.state, flow_run

    results, chained, size, bad, flow_run = body()
    assert (results, chained, size) == ([2 * x for x in range(10)], 4, 13)
    assert isinstance(bad.result(raise_on_failure=False), KeyError)
    assert len(list(sessions.current().store.tree(flow_run))) == 1 + 10 + 2 + 13 + 1


@needs_ray
@pytest.mark.usefixtures("_ray")
def test_a_run_whose_process_dies_is_crashed() -> None:
    """It alone."""

    @flow(task_runner=RayTaskRunner())
    def body() -> tuple[State, list[int]]:
        deadly, others = die.submit(), double.map(range(6))
        results = others.result()
        deadly.wait()
        return deadly.state, results

    crashed, results = body()
    assert crashed.is_crashed()
    assert results == [2 * x for x in range(6)]


@needs_ray
def test_runners_are_equal_by_their_configuration() -> None:
    """And an address is given once."""
    runner = RayTaskRunner("ray://there:1", {"namespace": "ours"})
    assert runner == runner.duplicate()
    assert runner != RayTaskRunner()
    assert runner.name == "ray"
    with pytest.raises(ValueError, match="twice"):
        RayTaskRunner("ray://there:1", {"address": "ray://here:1"})


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it, when the runner is made."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'millstream\[ray\]'"):
        RayTaskRunner()
