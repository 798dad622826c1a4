"""Rules of runs that a task runner executes in other processes of its own: in a pool, or on a Dask cluster."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from millstream import State, allow_failure, flow, quote, sessions, tags, task
from millstream.context import FlowRunContext, TaskRunContext
from millstream.exceptions import CrashedRun, UnpicklableArgument, UnpicklableResult
from millstream.futures import wait
from millstream.states import Completed
from millstream.task_runners import DaskTaskRunner, ProcessPoolTaskRunner, TaskRunner
from tests.harness import eventually

HERE = os.getpid()


@pytest.fixture(scope="module")
def dask_address(_served: str) -> Iterator[str]:
    """A cluster of two workers, for all tests of this file."""
    distributed, config = pytest.importorskip("distributed"), pytest.importorskip("dask.config")
    # Deaths are part of these tests. They are not to be told on standard error, a worker that dies in one test is not
    # to be closed in another, and nobody needs to try for half a minute to reach a dead one.
    patience = {"distributed.deploy.lost-worker-timeout": "1 day", "distributed.comm.timeouts.connect": "5s"}
    with (
        config.set(patience),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=60,
            scheduler_kwargs={"allowed_failures": 0},
            env={"MILLSTREAM_REDIS_URL": _served, "MILLSTREAM_LOGGING_LEVEL": "CRITICAL"},
        ) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture(params=["processes", "dask"])
def runner(request: pytest.FixtureRequest) -> TaskRunner:
    """Each runner in turn."""
    if request.param == "processes":
        return ProcessPoolTaskRunner(max_workers=2)
    return DaskTaskRunner(address=request.getfixturevalue("dask_address"))


@task
def double(x: int) -> int:
    return 2 * x


@task
def where() -> int:
    return os.getpid()


@task
def fail(x: int) -> None:
    raise KeyError(x)


@task
def tree(depth: int) -> int:
    return 1 + (sum(tree.map([depth - 1] * 3).result()) if depth else 0)


@task
async def async_tree(depth: int) -> int:
    return 1 + (sum(await asyncio.gather(*async_tree.map([depth - 1] * 2))) if depth else 0)


@task
def surroundings() -> dict[str, object]:
    flow_context, task_context = FlowRunContext.get(), TaskRunContext.get()
    return {
        "flow": flow_context.flow_run.run_id,
        "flow name": flow_context.flow_run.name,
        "run": task_context.task_run.run_id,
        "name": task_context.task_run.name,
        "tags": task_context.task_run.tags,
    }


@task(tags=["of the task"])
def nested_surroundings() -> list[dict[str, object]]:
    return [surroundings.submit().result(), surroundings()]


@task
def die(how: str) -> None:
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)


@task
def third_process_lucky(path: Path) -> int:
    with path.open("a") as file:
        file.write("x")
    if path.stat().st_size < 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return path.stat().st_size


@task
def give_up() -> None:
    raise SystemExit(4)


@task
def a_lock() -> object:
    return threading.Lock()


@task
def kind(x: object) -> str:
    return type(x).__name__


@task(retries=2, retry_delay_seconds=0.01, timeout_seconds=30)
def third_time_lucky() -> tuple[int, int]:
    run = TaskRunContext.get().task_run
    if run.run_count < 3:
        raise ValueError("not yet")
    return run.run_count, os.getpid()


@flow
def doubling(x: int) -> int:
    return 2 * x


@task
def call_a_flow(x: int) -> int:
    return doubling(x)


def run(runner: TaskRunner, body):
    """The value of a flow with this runner, whose function is `body`."""
    return flow(body, name="testing", task_runner=runner)()


def test_runs_are_executed_elsewhere(runner: TaskRunner) -> None:
    """And their results come back, in the order of the map."""

    def body() -> tuple[list[int], set[int]]:
        return double.map(range(20)).result(), {future.result() for future in [where.submit() for _ in range(4)]}

    results, processes = run(runner, body)
    assert results == [2 * x for x in range(20)]
    assert HERE not in processes


def test_futures_are_resolved_before_the_run_travels(runner: TaskRunner) -> None:
    """In arguments at any depth, and in `wait_for`, however long the chain."""

    def body() -> tuple[int, list[int]]:
        future = double.submit(1)
        for _ in range(20):
            future = double.submit(future, wait_for=[future])
        return future.result(), task(sum).submit([double.submit(1), double.submit(2)]).result()

    assert run(runner, body) == (2**21, 6)


def test_a_failed_run_raises_its_own_exception(runner: TaskRunner) -> None:
    """With the traceback of where it was raised as the cause; what needed the run is not called."""

    def body() -> tuple[State, State, str]:
        bad = fail.submit(1)
        wait([bad])
        return bad.state, double.submit(bad, return_state=True), kind.submit(allow_failure(bad)).result()

    bad, needing, told = run(runner, body)
    error = bad.result(raise_on_failure=False)
    assert isinstance(error, KeyError)
    assert "in fail" in str(error.__cause__)
    assert needing.name == "NotReady"
    assert told == "KeyError"


def test_an_argument_is_what_the_task_would_see_at_home(runner: TaskRunner) -> None:
    """A quoted state stays one; another one gives its value."""

    def body() -> tuple[str, str]:
        state = Completed(data=1)
        return kind.submit(quote(state)).result(), kind.submit(state).result()

    assert run(runner, body) == ("State", "int")


def test_what_cannot_travel_is_told_by_the_future(runner: TaskRunner) -> None:
    """An argument as UnpicklableArgument, a function too, a result as UnpicklableResult."""
    lock = threading.Lock()

    @task
    def closes_over_a_lock() -> None:
        lock.acquire()

    def body() -> list[BaseException]:
        futures = [kind.submit(lock), closes_over_a_lock.submit(), a_lock.submit()]
        return [future.result(raise_on_failure=False) for future in futures]

    argument, function, result = run(runner, body)
    assert isinstance(argument, UnpicklableArgument)
    assert argument.argument == "x"
    assert isinstance(function, UnpicklableArgument)
    assert isinstance(result, UnpicklableResult)


def test_a_task_defined_in_a_function_travels_by_value(runner: TaskRunner) -> None:
    """With what it closes over."""
    step = 10

    @task
    def add(x: int) -> int:
        return x + step

    assert run(runner, lambda: add.map([1, 2]).result()) == [11, 12]


def test_runs_know_their_flow_run_tags_and_names(runner: TaskRunner) -> None:
    """So do the runs that they submit or call."""

    def body() -> tuple[str, str, dict[str, object], str, list[dict[str, object]]]:
        with tags("around"):
            future, nested = surroundings.submit(), nested_surroundings.submit()
        found = FlowRunContext.get().flow_run
        return found.run_id, found.name, future.result(), future.run_id, nested.result()

    flow_run, flow_name, seen, run_id, nested = run(runner, body)
    assert seen == {
        "flow": flow_run,
        "flow name": flow_name,
        "run": run_id,
        "name": seen["name"],
        "tags": frozenset({"around"}),
    }
    for inner in nested:
        assert (inner["flow"], inner["flow name"], inner["tags"]) == (flow_run, flow_name, {"around"})
        assert inner["run"] != run_id


def test_a_tree_of_runs_ends(runner: TaskRunner) -> None:
    """With fewer places than it has runs which wait for others."""
    assert run(runner, lambda: tree.submit(3).result()) == 40


def test_a_tree_of_async_runs_ends(runner: TaskRunner) -> None:
    """Likewise."""
    assert run(runner, lambda: async_tree.submit(3).result()) == 15


def test_all_runs_are_recorded_at_home(runner: TaskRunner) -> None:
    """Also those within runs: with their names, parents, times and outcomes, but without values."""

    def body() -> tuple[str, str]:
        outer = nested_surroundings.submit()
        wait([outer, fail.submit(1)])
        return FlowRunContext.get().flow_run.run_id, outer.run_id

    flow_run, outer = run(runner, body)
    found = [record for record in sessions.current().store.tree(flow_run) if record.kind == "task"]
    told = sorted((record.function_name, record.state_name, record.parent_run_id) for record in found)
    assert told == [
        ("fail", "Failed", None),
        ("nested_surroundings", "Completed", None),
        ("surroundings", "Completed", outer),
        ("surroundings", "Completed", outer),
    ]
    assert all(record.created <= record.started <= record.ended for record in found)
    assert all(record.flow_run_id == flow_run for record in found)


def test_a_task_calls_a_flow(runner: TaskRunner) -> None:
    """Whose run is recorded from there."""
    assert run(runner, lambda: call_a_flow.submit(4).result()) == 8


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_a_run_whose_process_dies_is_crashed(runner: TaskRunner, how: str) -> None:
    """It alone: all others complete, in a new process if need be."""

    def body() -> tuple[State, list[int]]:
        before, deadly, after = double.map(range(6)), die.submit(how), double.map(range(6))
        results = before.result() + after.result()
        deadly.wait()
        return deadly.state, results

    crashed, results = run(runner, body)
    assert crashed.is_crashed()
    assert results == [2 * x for x in range(6)] * 2
    with pytest.raises(CrashedRun, match="was lost: it"):
        crashed.result()


def test_a_worker_of_a_cluster_may_end_for_reasons_of_its_own(dask_address: str, tmp_path: Path) -> None:
    """As on a queue, a run is given up when the third process dies under it, and not before."""
    runner = DaskTaskRunner(address=dask_address)
    assert run(runner, lambda: third_process_lucky.submit(tmp_path / "processes").result()) == 3


def test_a_run_is_tried_again_where_it_is(runner: TaskRunner) -> None:
    """After its delay, for which the process waits."""
    count, process = run(runner, lambda: third_time_lucky.submit().result())
    assert count == 3
    assert process != HERE


def test_an_exit_ends_the_run_only(runner: TaskRunner) -> None:
    """The process goes on."""
    state = run(runner, lambda: [give_up.submit(return_state=True)][0].is_crashed())
    assert state is True


def test_runs_are_submitted_without_a_flow(runner: TaskRunner) -> None:
    """While the runner is entered."""
    with runner:
        assert runner.submit(double, {"x": 1}).result() == 2
        assert runner.map(double, {"x": [1, 2]}).result() == [2, 4]
    with pytest.raises(RuntimeError, match="not started"):
        runner.submit(double, {"x": 1})


async def test_async_flows_await_them(runner: TaskRunner) -> None:
    """Or block their own loop until they end."""

    @flow(task_runner=runner)
    async def body() -> list[int]:
        return [*await asyncio.gather(*double.map([1, 2])), double.submit(3).result()]

    assert await body() == [2, 4, 6]


def test_a_flow_waits_for_runs_that_it_does_not_ask_for(runner: TaskRunner) -> None:
    """As under any runner."""
    futures = run(runner, lambda: quote(double.map(range(3))))
    assert [future.state.is_completed() for future in futures] == [True] * 3


def test_all_runs_can_be_cancelled(runner: TaskRunner) -> None:
    """Those that have begun, those that have not, and those that wait for others; then there may be more."""
    with runner:
        # A cluster cannot interrupt what its workers have begun.
        seconds = 60 if isinstance(runner, ProcessPoolTaskRunner) else 1
        futures = [runner.submit(sleep, {"seconds": seconds}) for _ in range(3)]
        futures.append(runner.submit(double, {"x": futures[0]}))
        if seconds > 1:
            eventually(lambda: futures[0].state.is_running())
        runner.cancel_all()
        assert [future.state.name for future in futures] == ["Cancelled"] * 4
        assert runner.submit(double, {"x": 1}).result() == 2


@task
def sleep(seconds: float) -> None:
    threading.Event().wait(seconds)
