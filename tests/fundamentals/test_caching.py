"""Runs that are the same as an earlier one take its result: what the same is, for how long, and when it is not."""
# ruff: noqa: ARG001 - arguments here count for the key alone

import threading
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from millstream import flow, task
from millstream.cache_policies import (
    DEFAULT,
    FLOW_PARAMETERS,
    INPUTS,
    NO_CACHE,
    NONE,
    RUN_ID,
    TASK_SOURCE,
    CacheKeyFnPolicy,
    CachePolicy,
)
from millstream.context import TaskRunContext
from millstream.task_runners import QueueTaskRunner, TaskRunner
from millstream.tasks import task_input_hash
from millstream.transactions import IsolationLevel
from tests.harness import eventually


@task
def draw(x: Any = None, y: Any = None) -> str:
    return uuid.uuid4().hex


@task
def draw_otherwise(x: Any = None, y: Any = None) -> str:
    return uuid.uuid4().hex + ""


@task(cache_policy=INPUTS)
async def draw_async(salt: str) -> str:
    return uuid.uuid4().hex


@task(cache_policy=INPUTS)
def fail(salt: str) -> None:
    raise ValueError(uuid.uuid4().hex)


def by_first(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    return f"{context.task.name}-{parameters['x']}"


def new() -> str:
    """An argument that nobody has used."""
    return uuid.uuid4().hex


@flow
def twice(drawing: Any, one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether two calls of `drawing` give the same."""
    return drawing.submit(*one).result() == drawing.submit(*other).result()


def test_the_same_inputs_give_the_same_result(task_runner: TaskRunner) -> None:
    """In whatever flow run; the state says so by its name."""
    salt = new()

    @flow(task_runner=task_runner)
    def submitting() -> tuple[str, str]:
        future = draw.with_options(cache_policy=INPUTS).submit(salt, {"a": [1, 2]})
        return future.result(), future.state.name

    (first, name), (again, other_name) = submitting(), submitting()
    assert first == again
    assert (name, other_name) == ("Completed", "Cached")


def test_results_are_shared_by_all_ways_to_run_a_task() -> None:
    """What a worker has computed is not computed here again."""
    cached, salt = draw.with_options(cache_policy=INPUTS), new()
    same = twice.with_options(task_runner=QueueTaskRunner())(cached, (salt,), (salt,))
    state = cached(salt, return_state=True)
    assert (same, state.name) == (True, "Cached")


async def test_async_runs_are_cached_as_well() -> None:
    """The state is Cached, the value that of the first run."""
    salt = new()
    assert await draw_async(salt) == await draw_async(salt)


def test_the_default_is_one_flow_run(task_runner: TaskRunner) -> None:
    """Inputs, code and flow run: it counts where results are persisted, and only there."""
    salt = new()
    flow_of = twice.with_options(task_runner=task_runner)
    assert not flow_of(draw, (salt,), (salt,))
    persisting = draw.with_options(persist_result=True)
    assert flow_of(persisting, (salt,), (salt,))
    assert not flow_of(persisting, (salt,), (new(),))
    assert flow_of.with_options(persist_result=True)(draw, (salt,), (salt,))
    assert persisting(salt) != persisting(salt)


@pytest.mark.parametrize("kind", ["inputs", "source", "less", "both"])
def test_policies_say_what_counts(kind: str) -> None:
    """Alone, added to each other, and with parameters left out."""
    x, y, z = new(), new(), new()
    policy, same, other = {
        "inputs": (INPUTS, (x, y), (x, z)),
        "source": (TASK_SOURCE, (x,), ()),
        "less": (INPUTS - "y", (x, y), (z, y)),
        "both": (INPUTS + TASK_SOURCE, (x, y), (x, z)),
    }[kind]
    cached = draw.with_options(cache_policy=policy)
    assert twice(cached, same, same)
    assert twice(cached, same, other) == (kind == "source")
    if kind == "less":
        assert twice(cached, (x, y), (x, z))
    same_inputs = draw_otherwise.with_options(cache_policy=policy)(*same) == cached(*same)
    assert same_inputs == (kind in ("inputs", "less"))


def test_flow_parameters_can_count(concurrent_runner: TaskRunner) -> None:
    """Of the flow run that the task runs in, wherever it is executed."""
    cached = draw.with_options(cache_policy=FLOW_PARAMETERS + INPUTS)
    salt = new()

    @flow(task_runner=concurrent_runner)
    def submitting(parameter: int) -> str:
        return cached.submit(salt).result()

    assert submitting(1) == submitting(1) != submitting(2)


def test_run_id_is_one_flow_run() -> None:
    """Whatever the inputs."""
    cached = draw.with_options(cache_policy=RUN_ID)
    assert twice(cached, (new(),), (new(),))
    assert cached() != cached()


def test_no_cache_caches_nothing() -> None:
    """Nor does None, nor a policy where results are not to be persisted."""
    salt = new()
    for options in (
        {"cache_policy": NO_CACHE, "persist_result": True},
        {"cache_policy": None, "persist_result": True},
        {"cache_policy": INPUTS, "persist_result": False},
    ):
        assert not twice(draw.with_options(**options), (salt,), (salt,))
    assert NONE is NO_CACHE
    assert draw.cache_policy == DEFAULT


def test_a_function_can_compute_the_key(task_runner: TaskRunner) -> None:
    """From the run's context and its parameters, which are values and include defaults; None means not to cache."""
    salt = new()
    keyed = draw.with_options(cache_key_fn=by_first)

    @flow(task_runner=task_runner)
    def submitting() -> list[str]:
        return [keyed.submit(draw.with_options(cache_policy=INPUTS).submit(salt), y).result() for y in (1, 2)]

    first, second = submitting()
    assert first == second
    never = draw.with_options(cache_key_fn=lambda *_: None)
    assert not twice(never, (salt,), (salt,))
    ready = draw.with_options(cache_key_fn=task_input_hash)
    assert twice(ready, (salt,), (salt,))
    assert not twice(ready, (salt,), (new(),))


def test_a_key_function_counts_more_than_a_policy(caplog: pytest.LogCaptureFixture) -> None:
    """With a warning where both are given."""
    both = draw.with_options(cache_policy=INPUTS, cache_key_fn=by_first)
    assert "cache_key_fn" in caplog.text
    assert both.cache_policy == CacheKeyFnPolicy(by_first) == CachePolicy.from_cache_key_fn(by_first)
    salt = new()
    assert twice(both, (salt, 1), (salt, 2))
    draw.with_options(cache_policy=INPUTS, persist_result=False)
    assert "persist_result" in caplog.text


@pytest.mark.parametrize("where", ["redis", "storage"])
def test_a_result_counts_for_a_time(where: str, tmp_path: Path) -> None:
    """`cache_expiration`, a timedelta or seconds."""
    storage = tmp_path if where == "storage" else None
    short = draw.with_options(cache_policy=INPUTS, cache_expiration=timedelta(seconds=0.05), result_storage=storage)
    salt = new()
    first = short(salt)
    eventually(lambda: short(salt) != first)
    long = draw.with_options(cache_policy=INPUTS, cache_expiration=60, result_storage=storage)
    other = new()
    assert long(other) == long(other)


def test_a_result_can_be_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function is called, and the new result takes the place of the old one."""
    from millstream_shared import settings

    cached, salt = draw.with_options(cache_policy=INPUTS), new()
    first = cached(salt)
    second = cached.with_options(refresh_cache=True)(salt)
    assert first != second == cached(salt)
    monkeypatch.setenv("MILLSTREAM_REFRESH_CACHE", "true")
    settings.get_settings.cache_clear()
    assert cached(salt) != second
    assert cached.with_options(refresh_cache=False)(salt) == cached.with_options(refresh_cache=False)(salt)


def test_failures_are_not_cached() -> None:
    """Each call fails anew."""
    salt = new()
    messages = [fail(salt, return_state=True).message for _ in range(2)]
    assert messages[0] != messages[1]


def test_an_error_in_the_key_means_no_cache(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the task runs: here its argument cannot be told from others."""
    cached, lock = draw.with_options(cache_policy=INPUTS), threading.Lock()
    assert cached(lock) != cached(lock)
    assert "goes on without its cache" in caplog.text
    assert "INPUTS - " in caplog.text


def test_a_policy_can_have_a_place_of_its_own(tmp_path: Path) -> None:
    """`configure` gives a copy; policies that contradict each other cannot be added."""
    there = INPUTS.configure(key_storage=tmp_path)
    assert INPUTS.key_storage is None
    cached, salt = draw.with_options(cache_policy=there + TASK_SOURCE), new()
    assert cached(salt) == cached(salt)
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match="key_storage"):
        there + TASK_SOURCE.configure(key_storage=tmp_path / "other")
    with pytest.raises(ValueError, match="isolation_level"):
        INPUTS.configure(isolation_level=IsolationLevel.SERIALIZABLE) + RUN_ID.configure(
            isolation_level=IsolationLevel.READ_COMMITTED
        )


def test_serializable_runs_wait_for_each_other(concurrent_runner: TaskRunner) -> None:
    """Of many that are the same and begin at once, one is executed."""
    serial = draw.with_options(cache_policy=INPUTS.configure(isolation_level=IsolationLevel.SERIALIZABLE))
    salt = new()

    @flow(task_runner=concurrent_runner)
    def submitting() -> list[str]:
        return [future.result() for future in [serial.submit(salt) for _ in range(8)]]

    assert len(set(submitting())) == 1


def test_a_flow_that_is_tried_again_does_not_repeat_what_is_cached(concurrent_runner: TaskRunner) -> None:
    """Plain tasks are called again."""
    seen: list[tuple[str, str]] = []

    @flow(task_runner=concurrent_runner, retries=1)
    def trying() -> None:
        seen.append((draw.with_options(persist_result=True).submit(1).result(), draw.submit(1).result()))
        if len(seen) == 1:
            raise ValueError("once more")

    trying()
    (kept, plain), (kept_again, plain_again) = seen
    assert kept == kept_again
    assert plain != plain_again


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("cache_policy", "INPUTS"),
        ("cache_key_fn", 3),
        ("cache_expiration", "1h"),
        ("cache_expiration", timedelta(0)),
        ("refresh_cache", "yes"),
        ("persist_result", 1),
        ("result_serializer", "morse"),
        ("result_storage_key", 3),
        ("cache_result_in_memory", None),
        ("on_commit", draw),
        ("on_rollback", [3]),
    ],
)
def test_a_wrong_option_is_refused_at_once(option: str, value: Any) -> None:
    """By its name, where the task is declared."""
    with pytest.raises((TypeError, ValueError), match=option if option != "result_serializer" else "morse"):
        draw.with_options(**{option: value})


def test_only_names_can_be_left_out() -> None:
    """`-` takes a text."""
    with pytest.raises(TypeError, match="INPUTS - "):
        INPUTS - 3
