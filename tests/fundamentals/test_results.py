"""What becomes of results: kept or not, large or small, here or in another place, readable or not."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pydantic
import pytest

from millstream import flow, sessions, task
from millstream.exceptions import MissingResult, PayloadTooLarge, StorageUnavailable, UnpicklableResult
from millstream.results import ResultStore
from millstream.task_runners import QueueTaskRunner, TaskRunner
from millstream_shared import records, settings


class Report(pydantic.BaseModel):
    lines: list[int]


@task
def give(value: Any) -> Any:
    return value


@task
def make(size: int) -> bytes:
    return bytes(size)


@task
async def make_async(size: int) -> bytes:
    return bytes(size)


@task
def size_of(data: bytes) -> int:
    return len(data)


def stored(run_id: str) -> records.Record:
    session = sessions.current()
    session.recorder.flush()
    return records.decode(run_id, session.store.records([run_id])[run_id])


def test_the_value_of_a_run_is_stored_where_results_are_persisted() -> None:
    """By the task's option, else as the flow around says; without either it stays in the process that called."""

    @flow
    def calling(**options: Any) -> records.Record:
        state = give.with_options(**options)(3, return_state=True)
        return stored(state.run_id)

    assert calling().data is None
    assert calling(persist_result=True).state.result() == 3
    persisting = calling.with_options(persist_result=True)
    state = persisting(return_state=True)
    assert state.result().state.result() == 3
    assert stored(state.run_id).state.result().state.result() == 3
    assert persisting(persist_result=False).data is None


def test_the_settings_say_what_holds_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """MILLSTREAM_RESULTS_PERSIST_BY_DEFAULT."""

    @flow
    def calling() -> str:
        return give(3, return_state=True).run_id

    assert stored(calling()).data is None
    monkeypatch.setenv("MILLSTREAM_RESULTS_PERSIST_BY_DEFAULT", "1")
    settings.get_settings.cache_clear()
    assert stored(calling()).state.result() == 3


def test_where_and_how_implies_that_they_are_persisted(tmp_path: Path) -> None:
    """A storage, a serializer, a key or a cache policy; not so an explicit `persist_result=False`."""
    from millstream.cache_policies import INPUTS, NO_CACHE

    for options in (
        {"result_storage": tmp_path},
        {"result_serializer": "json"},
        {"result_storage_key": "k"},
        {"cache_policy": INPUTS},
        {"cache_key_fn": lambda *_: None},
    ):
        assert give.with_options(**options).options.results.persist
        assert not give.with_options(persist_result=False, **options).options.results.persist
    assert give.with_options(cache_policy=NO_CACHE).options.results is None


def test_a_large_result_goes_to_the_storage(task_runner: TaskRunner, result_folder: Path) -> None:
    """The record says where; whoever reads the result notices nothing."""

    @flow(task_runner=task_runner, persist_result=True)
    def submitting() -> list[str]:
        futures = [make.submit(2_000_000), make_async.submit(2_000_000), make.submit(10)]
        assert [len(future.result()) for future in futures] == [2_000_000, 2_000_000, 10]
        assert size_of.submit(futures[0]).result() == 2_000_000
        return [future.run_id for future in futures]

    large, also_large, small = (stored(run_id) for run_id in submitting())
    assert [each.data_kind for each in (large, also_large, small)] == [records.REFERENCE] * 2 + [records.VALUE]
    assert len(large.data or b"") < 300
    assert len(large.state.result()) == 2_000_000
    # One file each: what is cached of it and what is recorded of it lead to the same.
    assert len([file for file in result_folder.rglob("*") if file.is_file()]) == 2


def test_a_large_result_that_is_gone_is_missing(result_folder: Path) -> None:
    """The error says where it should be."""

    @flow(task_runner=QueueTaskRunner())
    def submitting() -> None:
        future = make.submit(2_000_000)
        future.wait()
        (file,) = (file for file in result_folder.rglob("*") if file.is_file())
        file.unlink()
        assert future.state.is_completed()
        with pytest.raises(MissingResult, match=str(file)):
            future.result()

    submitting()


def test_a_large_argument_goes_to_the_storage(result_folder: Path) -> None:
    """At `submit`, for the worker to read."""

    @flow(task_runner=QueueTaskRunner())
    def submitting() -> int:
        return size_of.submit(bytes(2_000_000)).result()

    assert submitting() == 2_000_000
    assert [file.stat().st_size > 2_000_000 for file in result_folder.rglob("arguments-*")] == [True]


def test_without_a_storage_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument at `submit`; the error names the setting."""
    monkeypatch.setenv("MILLSTREAM_LARGEST_IN_REDIS_BYTES", "600000")
    settings.get_settings.cache_clear()

    @flow(task_runner=QueueTaskRunner())
    def submitting() -> int:
        with pytest.raises(PayloadTooLarge, match="MILLSTREAM_LARGEST_IN_REDIS_BYTES"):
            size_of.map([b"", bytes(700_000)])
        return size_of.submit(bytes(550_000)).result()

    assert submitting() == 550_000


def test_a_storage_that_cannot_be_used_fails_the_run(task_runner: TaskRunner, tmp_path: Path) -> None:
    """By name, and no other run."""
    (tmp_path / "no folder").write_text("")
    blocked = make.with_options(result_storage=tmp_path / "no folder")

    @flow(task_runner=task_runner)
    def submitting() -> str:
        future, other = blocked.submit(10), make.submit(10)
        with pytest.raises(StorageUnavailable):
            future.result()
        assert len(other.result()) == 10
        return future.state.name

    assert submitting() == "Failed"


def test_a_result_that_cannot_be_serialized_stays_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    """In the same process, with a warning; the run is Completed all the same."""

    @flow
    def calling() -> Any:
        return give.with_options(result_serializer="json", result_storage_key="unreadable")({1, 2})

    assert calling() == {1, 2}
    assert "is not kept" in caplog.text


def test_a_result_that_cannot_be_sent_fails_the_run() -> None:
    """Where another process has to hand it over."""

    @task
    def lock() -> Any:
        return threading.Lock()

    @flow(task_runner=QueueTaskRunner())
    def submitting() -> None:
        with pytest.raises(UnpicklableResult):
            lock.submit().result()

    submitting()


def test_a_result_is_found_under_its_key(task_runner: TaskRunner, tmp_path: Path) -> None:
    """A text over parameters and run, in the storage and by the serializer that the task names."""
    keyed = give.with_options(
        result_storage=tmp_path,
        result_serializer="json",
        result_storage_key="{flow_run.flow_name}/{parameters[value]}.json",
    )

    @flow(task_runner=task_runner)
    def submitting() -> list[int]:
        return [keyed.submit(value).result() for value in (1, 2)]

    assert submitting() == [1, 2]
    store = ResultStore(tmp_path, "json")
    assert store.read("submitting/2.json").result == 2
    assert not store.exists("submitting/3.json")
    with pytest.raises(MissingResult, match="submitting/3"):
        store.read("submitting/3.json")


def test_results_without_a_key_go_to_the_storage_under_the_run(task_runner: TaskRunner, tmp_path: Path) -> None:
    """As the serializer writes them, so that other programs can read them."""

    @flow(task_runner=task_runner, result_storage=tmp_path, result_serializer="json")
    def submitting() -> Any:
        future = give.with_options(cache_policy=None).submit({"a": [1]})
        assert future.result() == {"a": [1]}
        return Report(lines=[future.result()["a"][0]])

    state = submitting(return_state=True)
    assert state.result() == stored(state.run_id).state.result() == Report(lines=[1])
    contents = [json.loads(file.read_bytes()) for file in tmp_path.rglob("*") if file.is_file()]
    assert {"a": [1]} in contents


class Shelf:
    """A storage of the user's, half of it async."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write_path(self, path: str, content: bytes) -> None:
        (self.folder / path.replace("/", "_")).write_bytes(content)

    async def read_path(self, path: str) -> bytes:
        await asyncio.sleep(0)
        return (self.folder / path.replace("/", "_")).read_bytes()


@pytest.mark.parametrize("kind", ["text", "path", "url", "object"])
def test_a_storage_is_a_folder_a_url_or_an_object(kind: str, tmp_path: Path) -> None:
    """Anything else is refused where the task is declared."""
    storages = {"text": str(tmp_path), "path": tmp_path, "url": "memory://results", "object": Shelf(tmp_path)}
    keyed = give.with_options(result_storage=storages[kind], result_storage_key=f"key-{kind}")
    assert [keyed(4), keyed(4)] == [4, 4]
    assert keyed(5, return_state=True).name == "Cached"
    assert ResultStore(storages[kind]).read(f"key-{kind}").result == 4
    with pytest.raises(TypeError, match="result storage"):
        give.with_options(result_storage=3)


async def test_a_store_can_be_awaited(tmp_path: Path) -> None:
    """Its methods with an `a` in front do not block the loop."""
    store = ResultStore(tmp_path)
    await store.awrite("key", [1])
    assert await store.aexists("key")
    assert (await store.aread("key")).result == [1]


@pytest.mark.parametrize("where", ["storage", "redis"])
def test_a_result_need_not_stay_in_memory(where: str, tmp_path: Path) -> None:
    """It is read from where it is kept each time that it is asked for."""
    storage = tmp_path if where == "storage" else None
    remote = give.with_options(persist_result=True, cache_result_in_memory=False, result_storage=storage)

    @flow
    def calling() -> None:
        value = [1]
        state = remote(value, return_state=True)
        assert state.result() == value
        assert state.result() is not value
        assert state.result() is not state.result()

    calling()
