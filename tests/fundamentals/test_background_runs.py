"""Background runs: `delay` puts one on a queue, any worker executes it, and nobody has to wait."""

import asyncio
import pickle
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from millstream import Future, flow, limits, sessions, tags, task
from millstream.context import FlowRunContext, TaskRunContext
from millstream.exceptions import (
    MappingMissingIterable,
    ParameterBindError,
    RunLost,
    UnfinishedRun,
    UnpicklableArgument,
)
from millstream.futures import FutureList, future_of, wait
from millstream.task_runners import SequentialTaskRunner, TaskRunner
from millstream.task_worker import aserve, serve
from millstream_shared import records
from tests.harness import eventually


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task
async def add_later(a: int, b: int = 1) -> int:
    await asyncio.sleep(0)
    return a + b


@task
def fail() -> None:
    raise ValueError("no")


@task(tags=["own"])
def where() -> dict[str, Any]:
    run = TaskRunContext.get().task_run
    return {"flow": FlowRunContext.get(), "tags": set(run.tags), "flow_run_id": run.flow_run_id}


@task
def wait_for_file(path: str) -> str:
    eventually(lambda: Path(path).exists())
    return "there"


@task
def nested(x: int) -> tuple[int, str]:
    with pytest.raises(RuntimeError, match="@flow"):
        add.submit(x)
    return add.delay(x).result(), add.delay(x).run_id


@flow
def doubled(x: int) -> int:
    return sum(future.result() for future in [add.submit(x, 0), add.submit(x, 0)])


@task
def calls_a_flow(x: int) -> int:
    return doubled(x)


def test_delay_gives_a_future_outside_of_flows() -> None:
    """At once, with the id of the run; for sync and async tasks."""
    futures = [add.delay(1), add_later.delay(1, b=2)]
    assert all(isinstance(future, Future) for future in futures)
    assert [future.result() for future in futures] == [2, 3]
    assert futures[0].state.is_completed()


async def test_the_future_can_be_awaited() -> None:
    """As every other."""
    assert await asyncio.gather(add.delay(1), add_later.delay(2)) == [2, 3]


def test_delay_goes_to_the_queue_whatever_the_runner(task_runner: TaskRunner) -> None:
    """Under threads, too, the run is a worker's."""
    here = threading.get_native_id()

    @task
    def thread() -> int:
        return threading.get_native_id()

    @flow(task_runner=task_runner)
    def delaying() -> tuple[int, bool]:
        return add.delay(2).result(), thread.delay().result() == here

    assert delaying() == (3, False)


def test_a_background_run_belongs_to_no_flow() -> None:
    """It has only the tags of the place where it is made."""

    @flow(task_runner=SequentialTaskRunner())
    def delaying() -> Any:
        with tags("around"):
            return where.delay().result()

    assert delaying() == {"flow": None, "tags": {"own", "around"}, "flow_run_id": None}


def test_a_flow_does_not_wait_for_it(tmp_path: Path) -> None:
    """But if it returns the future, that is waited for."""
    file = tmp_path / "file"

    @flow
    def leaving() -> None:
        futures.append(wait_for_file.delay(str(file)))

    @flow
    def returning() -> Any:
        return add.delay(1)

    futures: list[Future] = []
    leaving()
    assert not futures[0].done()
    file.touch()
    assert futures[0].result() == "there"
    assert returning().is_completed()


def test_a_task_makes_background_runs() -> None:
    """It may wait for them; to submit runs to a runner it needs a flow run, and has none here."""
    result, run_id = nested.delay(4).result()
    assert result == 5
    assert future_of(run_id).result() == 5


def test_a_task_in_the_background_calls_flows() -> None:
    """Whose runs have their own task runners."""
    assert calls_a_flow.delay(4).result() == 8


def test_a_function_defined_anywhere_can_run_in_the_background() -> None:
    """It travels by value."""
    step = 5

    @task
    def local(x: int) -> int:
        return x + step

    assert local.delay(1).result() == 6


def test_a_failure_is_in_the_future() -> None:
    """The exception itself."""
    future = fail.delay()
    with pytest.raises(ValueError, match="no"):
        future.result()
    assert future.state.is_failed()


def test_bad_arguments_are_refused_at_once() -> None:
    """Those that do not fit, and those that cannot be sent."""
    with pytest.raises(ParameterBindError):
        add.delay()
    with pytest.raises(UnpicklableArgument, match="'a'"):
        add.delay(threading.Lock())
    with pytest.raises(TypeError, match="tuple"):
        add.apply_async("ab")
    with pytest.raises(TypeError, match="tuple"):
        add.apply_async(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dictionary"):
        add.apply_async(kwargs=[1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dictionary"):
        add.apply_async((1,), dependencies=[add.delay(1)])  # type: ignore[arg-type]


def test_apply_async_takes_arguments_as_collections() -> None:
    """The positional ones, and those by name."""
    assert add.apply_async((1,), {"b": 4}).result() == 5
    assert add.apply_async([1]).result() == 2
    assert add.apply_async(kwargs={"a": 3}).result() == 4


def test_background_runs_wait_for_others(tmp_path: Path) -> None:
    """For futures among their arguments, in `wait_for` and in `dependencies`; at any depth, and in the store."""
    file = tmp_path / "file"
    slow = wait_for_file.delay(str(file))
    after = [add.apply_async((1,), wait_for=[slow]), add.apply_async((1,), dependencies={"it": [slow]})]
    chained = add.delay(add.delay(1), b=add_later.delay(10))
    assert chained.result() == 13
    assert not any(future.done() for future in after)
    file.touch()
    assert [future.result() for future in after] == [2, 2]


def test_a_run_after_one_that_failed_is_not_begun() -> None:
    """As with other runs."""
    with pytest.raises(UnfinishedRun):
        add.apply_async((1,), wait_for=fail.delay()).result()


def test_futures_of_a_runner_in_this_process_can_be_waited_for(task_runner: TaskRunner) -> None:
    """Their outcome goes along."""

    @flow(task_runner=task_runner)
    def delaying() -> int:
        return add.delay(add.submit(1)).result()

    assert delaying() == 3


def test_a_deferred_map_needs_no_flow() -> None:
    """One background run for each element."""
    futures = add.map([1, 2, 3], b=10, deferred=True)
    assert isinstance(futures, FutureList)
    assert futures.result() == [11, 12, 13]
    assert add.map([], deferred=True) == []
    assert [state.name for state in add.map([1], deferred=True, return_state=True)] == ["Completed"]
    with pytest.raises(MappingMissingIterable):
        add.map(1, deferred=True)


def test_a_future_survives_pickling() -> None:
    """Only its id travels."""
    future = pickle.loads(pickle.dumps(add.delay(1)))
    assert future.result() == 2


@pytest.mark.parametrize("kind", [str, uuid.UUID])
def test_a_future_is_made_from_the_id_alone(kind: Any, tmp_path: Path) -> None:
    """Of a run that has ended, and of one that has not."""
    file = tmp_path / "file"
    ended, going_on = add.delay(1), wait_for_file.delay(str(file))
    ended.wait()
    again = future_of(kind(going_on.run_id))
    assert future_of(kind(ended.run_id)).result(timeout=5) == 2
    assert not again.done()
    file.touch()
    assert again.result(timeout=5) == "there"
    assert again.task_run_id == going_on.task_run_id


def test_who_follows_a_run_hears_of_its_end_at_once(tmp_path: Path) -> None:
    """And not only when it looks, every few seconds."""
    waits = []
    for number in range(3):
        file = tmp_path / f"{number}"
        submitted = wait_for_file.delay(str(file))
        followed = [future_of(submitted.run_id), pickle.loads(pickle.dumps(submitted))]
        file.touch()
        submitted.wait()
        since = time.monotonic()
        assert wait(followed, timeout=5).not_done == set()
        waits.append(time.monotonic() - since)
    assert min(waits) < 0.5


def test_an_id_that_no_run_has_is_lost() -> None:
    """What is no id at all is refused."""
    future = future_of(uuid.uuid4())
    with pytest.raises(RunLost):
        future.result(timeout=20)
    for wrong in ("x", ""):
        with pytest.raises(ValueError, match="32 hex digits"):
            future_of(wrong)


def test_limits_on_tags_hold(tmp_path: Path) -> None:
    """While one run has the only slot, the next one waits for it."""
    tag = f"limit-{uuid.uuid4().hex[:8]}"
    limits.create(limits.of_tag(tag), 1)
    try:
        with tags(tag):
            first = wait_for_file.delay(str(tmp_path / "file"))
            eventually(lambda: first.state.is_running())
            second = add.delay(1)
        eventually(lambda: second.state.name == "AwaitingConcurrencySlot")
        (tmp_path / "file").touch()
        assert [first.result(), second.result()] == ["there", 2]
    finally:
        limits.delete(limits.of_tag(tag))


def test_methods_run_in_the_background() -> None:
    """With their instance."""
    assert Counter(3).up_to.delay(2).result() == [3, 4]
    assert Counter(3).up_to.apply_async((1,)).result() == [3]
    assert Counter(3).up_to.map([1, 2], deferred=True).result() == [[3], [3, 4]]


class Counter:
    def __init__(self, start: int) -> None:
        self.start = start

    @task
    def up_to(self, count: int) -> Any:
        for i in range(count):
            yield self.start + i


def test_the_record_says_that_there_is_no_flow_run() -> None:
    """It is kept like all others."""
    future = where.delay()
    future.wait()
    stored = sessions.current().store.records([future.run_id])
    record = records.decode(future.run_id, stored[future.run_id])
    assert (record.flow_run_id, record.parent_run_id, record.state_name) == (None, None, "Completed")


@pytest.mark.parametrize("wrong", [add.fn, flow(add.fn), None])
def test_serve_takes_tasks(wrong: Any) -> None:
    """And nothing else."""
    with pytest.raises(TypeError, match="@task"):
        serve(add, wrong)
    with pytest.raises(TypeError, match="@task"):
        asyncio.run(aserve(wrong))


def test_serve_needs_a_task_and_a_limit_that_lets_them_run() -> None:
    """Otherwise nothing would ever happen."""
    with pytest.raises(ValueError, match="needs a task"):
        serve()
    with pytest.raises(ValueError, match="limit"):
        add.serve(limit=0)
    with pytest.raises(TypeError, match="limit"):
        serve(add, limit="10")  # type: ignore[arg-type]
