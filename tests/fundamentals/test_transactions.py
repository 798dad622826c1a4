"""Tasks within a transaction count when it commits, and are undone by their hooks when it rolls back."""
# ruff: noqa: PT012, ARG005 - a transaction that fails is a block of several statements

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from millstream import flow, sessions, task
from millstream.cache_policies import INPUTS
from millstream.exceptions import ConfigurationError
from millstream.results import ResultStore
from millstream.task_runners import TaskRunner
from millstream.transactions import (
    CommitMode,
    IsolationLevel,
    Transaction,
    atransaction,
    get_transaction,
    transaction,
)
from millstream_shared import records

Told = list[str]


def telling(task_to_tell_of: Any, told: Told) -> Any:
    """The task with hooks that tell what happens to it."""

    def hook(what: str) -> Callable[[Transaction], None]:
        return lambda transaction: told.append(f"{what} {task_to_tell_of.name}")

    return task_to_tell_of.with_options(on_commit=[hook("commit")], on_rollback=[hook("rollback")])


@task
def first() -> int:
    return 1


@task
def second() -> int:
    return 2


@task
def fail() -> None:
    raise ValueError("no")


@task(cache_policy=INPUTS)
def draw(salt: str) -> str:
    return salt + uuid.uuid4().hex


@task
def set_here(value: str) -> str:
    around = get_transaction()
    assert around is not None
    around.set("here", value + around.get("outside"))
    return value


def new() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def told() -> Told:
    return []


def test_what_completes_is_committed_at_the_end(task_runner: TaskRunner, told: Told) -> None:
    """In the order in which it was submitted, and not before."""

    @flow(task_runner=task_runner)
    def committing() -> None:
        with transaction() as around:
            telling(first, told).submit().wait()
            telling(second, told).submit()
            assert around.is_active()
            assert told == []
        assert around.is_committed()

    committing()
    assert sorted(told) == ["commit first", "commit second"]


def test_an_exception_rolls_back_what_completed(task_runner: TaskRunner, told: Told) -> None:
    """The last one first; the exception goes on. Nothing is to be undone of a run that failed itself."""

    @flow(task_runner=task_runner)
    def failing() -> list[str]:
        futures = []
        with pytest.raises(ValueError, match="no"), transaction() as around:
            for each in (first, second):
                futures.append(telling(each, told).submit())
                futures[-1].wait()
            telling(fail, told).submit().result()
        assert around.is_rolled_back()
        return [future.state.name for future in futures]

    assert failing() == ["RolledBack", "RolledBack"]
    assert told == ["rollback second", "rollback first"]


def test_a_run_that_is_rolled_back_is_recorded_as_such(task_runner: TaskRunner) -> None:
    """It stays Completed, under the name RolledBack."""

    @flow(task_runner=task_runner)
    def failing() -> str:
        with pytest.raises(ValueError, match="no"), transaction():
            future = first.submit()
            future.wait()
            raise ValueError("no")
        return future.run_id

    run_id = failing()
    session = sessions.current()
    session.recorder.flush()
    record = records.decode(run_id, session.store.records([run_id])[run_id])
    assert (record.state_type, record.state_name) == ("COMPLETED", "RolledBack")


def test_a_failed_part_rolls_back_even_where_nobody_looks(task_runner: TaskRunner, told: Told) -> None:
    """The flow goes on: it is its affair what the failure means."""

    @flow(task_runner=task_runner)
    def going_on() -> bool:
        with transaction() as around:
            telling(first, told).submit().wait()
            fail.submit()
        return around.is_rolled_back()

    assert going_on()
    assert told == ["rollback first"]


def test_direct_calls_are_parts_as_well(told: Told) -> None:
    """Also outside of flows."""
    with transaction():
        assert telling(first, told)() == 1
    with pytest.raises(ValueError, match="no"), transaction():
        telling(second, told)()
        fail()
    assert told == ["commit first", "rollback second"]


async def test_async_code_has_the_same(told: Told) -> None:
    """`atransaction`; its hooks may be coroutines, which are awaited."""

    async def commit(around: Transaction) -> None:
        told.append(f"commit {around.get('name')}")

    @task(on_commit=[commit])
    async def work() -> int:
        return 1

    async with atransaction() as around:
        around.set("name", "work")
        assert await work() == 1
    with pytest.raises(ValueError, match="no"):
        async with atransaction():
            telling(first, told)()
            raise ValueError("no")
    assert told == ["commit work", "rollback first"]
    assert get_transaction() is None


def test_hooks_can_be_decorated_functions(told: Told) -> None:
    """As other hooks; they get the transaction of the run, from which what was set around it can be seen."""

    @task
    def write() -> None: ...

    @write.on_rollback
    def remove(around: Transaction) -> None:
        told.append(around.get("path"))

    with pytest.raises(ValueError, match="no"), transaction() as around:
        around.set("path", "a file")
        write()
        raise ValueError("no")
    assert told == ["a file"]
    assert write.on_rollback_hooks == (remove,)


def test_a_task_without_a_transaction_commits_by_itself(task_runner: TaskRunner) -> None:
    """Its hooks are called where it was executed; an error in one rolls it back."""

    def complain(_: Transaction) -> None:
        raise ValueError("not so")

    @flow(task_runner=task_runner)
    def submitting() -> str:
        return first.with_options(on_commit=[complain]).submit().result() and "fine"

    assert submitting() == "fine"
    assert first.with_options(on_commit=[complain])(return_state=True).name == "RolledBack"


def test_an_error_on_commit_rolls_all_back(told: Told) -> None:
    """What was not committed yet, by its hooks; the error is logged."""

    def complain(_: Transaction) -> None:
        raise ValueError("not so")

    with transaction() as around:
        telling(first, told).with_options(on_commit=[complain])()
        telling(second, told)()
    assert around.is_rolled_back()
    assert told == ["rollback first", "rollback second"]


def test_an_error_on_rollback_does_not_keep_others_from_it(told: Told) -> None:
    """All hooks are called."""

    def complain(_: Transaction) -> None:
        raise ValueError("not so")

    with pytest.raises(ValueError, match="no"), transaction():
        telling(first, told)()
        second.with_options(on_rollback=[complain])()
        raise ValueError("no")
    assert told == ["rollback first"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (None, ["end of inner", "commit first"]),
        (CommitMode.LAZY, ["end of inner", "commit first"]),
        (CommitMode.EAGER, ["commit first", "end of inner"]),
    ],
)
def test_inner_transactions_commit_with_the_outermost(mode: CommitMode | None, expected: Told, told: Told) -> None:
    """Unless they are eager."""
    with transaction():
        with transaction(commit_mode=mode):
            telling(first, told)()
        told.append("end of inner")
    assert told == expected


def test_an_inner_rollback_rolls_back_what_is_around(told: Told) -> None:
    """Also where its exception is caught."""
    with transaction() as outer:
        telling(first, told)()
        with pytest.raises(ValueError, match="no"), transaction():
            telling(second, told)()
            raise ValueError("no")
        assert told == ["rollback second", "rollback first"]
        telling(first, told)()
    assert outer.is_rolled_back()
    assert told == ["rollback second", "rollback first", "rollback first"]


def test_nobody_commits_one_that_is_off(told: Told) -> None:
    """Except who says so."""
    with transaction(commit_mode=CommitMode.OFF):
        telling(first, told)()
    with transaction(commit_mode=CommitMode.OFF) as around:
        telling(second, told)()
        assert around.commit()
    assert told == ["rollback first", "commit second"]


def test_results_count_when_they_are_committed(task_runner: TaskRunner) -> None:
    """A run that is rolled back leaves nothing in the cache."""
    salt = new()

    @flow(task_runner=task_runner)
    def drawing(good: bool) -> str:
        with transaction():
            value = draw.submit(salt).result()
            if not good:
                raise ValueError(value)
        return value

    undone = drawing(False, return_state=True).data.args[0]
    value = drawing(True)
    assert undone != value == drawing(True) == draw(salt)


def test_values_reach_inwards_and_hooks(task_runner: TaskRunner, told: Told) -> None:
    """What is set in a transaction is seen in those within it; what a run sets, by its hooks."""

    @flow(task_runner=task_runner)
    def setting() -> None:
        with transaction() as around:
            around.set("outside", " there")
            set_here.with_options(on_commit=[lambda inner: told.append(inner.get("here"))]).submit("here")

    setting()
    assert told == ["here there"]
    with transaction() as around, pytest.raises(ValueError, match="outside"):
        around.get("outside")
    assert around.get("outside", None) is None


def test_a_staged_value_is_kept_under_the_key() -> None:
    """From then on, a transaction with that key is committed when it begins, unless it is to overwrite."""
    key = new()
    with transaction(key) as around:
        assert not around.is_committed()
        around.stage([1])
        assert around.is_staged()
        assert around.read() is None
    with transaction(key) as again:
        assert again.is_committed()
        assert again.read().result == [1]
    with transaction(key, overwrite=True) as once_more:
        once_more.stage([2])
    assert ResultStore().read(key).result == [2]
    with pytest.raises(ValueError, match="no"), transaction(key, overwrite=True) as undone:
        undone.stage([3])
        raise ValueError("no")
    assert ResultStore().read(key).result == [2]


def test_serializable_ones_hold_a_lock_on_their_key() -> None:
    """Until they have ended; a store without locks is refused."""
    key, store = new(), ResultStore()
    with transaction(key, isolation_level=IsolationLevel.SERIALIZABLE):
        assert not store.acquire_lock(key, "another", timeout=0)
    assert store.acquire_lock(key, "another", timeout=0)
    store.release_lock(key, "another")
    with (
        pytest.raises(ConfigurationError, match="SERIALIZABLE"),
        transaction(key, store={}, isolation_level=IsolationLevel.SERIALIZABLE),  # type: ignore[arg-type]
    ):
        pass


def test_one_can_be_entered_once() -> None:
    """Another one has to be made."""
    with Transaction() as around, pytest.raises(RuntimeError, match="entered already"), around:
        pass
