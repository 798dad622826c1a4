"""Generator tasks and flows: a call hands out the items as they come, and the run goes on meanwhile."""

import asyncio
import contextlib
import gc
import time
import uuid
from collections.abc import AsyncGenerator, Generator, Iterator
from contextvars import ContextVar
from types import AsyncGeneratorType, GeneratorType
from typing import Any

import pytest

from millstream import flow, limits, sessions, tags, task
from millstream.context import FlowRunContext, TaskRunContext, get_run_context
from millstream.exceptions import MissingContextError, ParameterBindError, UnfinishedRun
from millstream.states import State
from millstream.task_runners import TaskRunner
from millstream.transactions import Transaction, transaction

DECORATORS = pytest.mark.parametrize("decorate", [task, flow])


@task
def count(n: int) -> Generator[int, Any, str]:
    yield from range(n)
    return "end"


@task
async def count_later(n: int) -> AsyncGenerator[int, Any]:
    for i in range(n):
        await asyncio.sleep(0)
        yield i


def work_for(seconds: float) -> None:
    """What a caller does with an item, and takes its time for."""
    time.sleep(seconds)


class Ends(list[str]):
    """Notes the names of the states in which runs end, as a hook."""

    def __call__(self, _: object, __: object, state: State[Any]) -> None:
        self.append(state.name)


@pytest.fixture
def ends() -> Ends:
    return Ends()


@DECORATORS
def test_a_call_hands_out_items_as_they_come(decorate: Any) -> None:
    """The function goes on only when the next item is asked for; what it returns is the value of `yield from`."""
    came: list[int] = []
    returned: list[str] = []

    @decorate
    def items() -> Generator[int, None, str]:
        for i in range(3):
            came.append(i)
            yield i
        return "end"

    def delegate() -> Generator[int, None, None]:
        returned.append((yield from items()))

    stream = items()
    assert isinstance(stream, GeneratorType)
    assert came == []
    assert next(stream) == 0
    assert came == [0]
    assert list(stream) == [1, 2]
    assert list(delegate()) == [0, 1, 2]
    assert returned == ["end"]


@DECORATORS
async def test_an_async_call_hands_out_items_as_they_come(decorate: Any) -> None:
    """For `async for`; no `await` before it."""
    came = []

    @decorate
    async def items() -> AsyncGenerator[int]:
        for i in range(3):
            await asyncio.sleep(0)
            came.append(i)
            yield i

    stream = items()
    assert isinstance(stream, AsyncGeneratorType)
    assert await anext(stream) == 0
    assert came == [0]
    assert [item async for item in stream] == [1, 2]


def test_the_run_is_running_until_the_items_are_exhausted(ends: Ends) -> None:
    """Then it is Completed."""

    @task(on_completion=[ends])
    def states() -> Iterator[str]:
        run = TaskRunContext.get().task_run
        yield run
        yield run.state.name

    stream = states()
    run = next(stream)
    assert (run.state.name, ends) == ("Running", [])
    assert list(stream) == ["Running"]
    assert (run.state.name, ends) == ("Completed", ["Completed"])


def test_a_flow_run_is_recorded_while_it_hands_out_items() -> None:
    """As Running, and then as Completed."""

    @flow
    def items() -> Iterator[str]:
        yield FlowRunContext.get().flow_run.run_id
        yield "more"

    def state(run_id: str) -> str:
        return sessions.current().live_state(run_id).name

    stream = items()
    run_id = next(stream)
    assert state(run_id) == "Running"
    assert list(stream) == ["more"]
    assert state(run_id) == "Completed"


@DECORATORS
def test_closing_early_completes_the_run(decorate: Any, ends: Ends) -> None:
    """By `close()`, by leaving a loop, or because nobody has the generator any more; its `finally` is executed."""
    cleaned = []

    @decorate(on_completion=[ends], on_failure=[ends])
    def items() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            cleaned.append(True)

    stream = items()
    next(stream)
    stream.close()
    assert (cleaned, ends) == ([True], ["Completed"])
    for _ in items():
        break
    gc.collect()
    assert (cleaned, ends) == ([True] * 2, ["Completed"] * 2)


@DECORATORS
async def test_closing_an_async_one_early_completes_the_run(decorate: Any, ends: Ends) -> None:
    """Its `finally` may await."""
    cleaned = []

    @decorate(on_completion=[ends], on_failure=[ends])
    async def items() -> AsyncGenerator[int]:
        try:
            for i in range(10):
                yield i
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async with contextlib.aclosing(items()) as stream:
        await anext(stream)
    assert (cleaned, ends) == ([True], ["Completed"])


@DECORATORS
def test_leaving_an_async_loop_completes_the_run_too(decorate: Any, ends: Ends) -> None:
    """At once, or when the event loop ends that still has the generator, or has had it."""

    @decorate(on_completion=[ends], on_failure=[ends])
    async def items() -> AsyncGenerator[int]:
        for i in range(10):
            yield i

    async def leave() -> None:
        async for _ in items():
            break

    async def keep() -> None:
        stream = items()
        await anext(stream)
        kept.append(stream)

    kept: list[Any] = []
    asyncio.run(leave())
    assert ends == ["Completed"]
    asyncio.run(keep())
    assert ends == ["Completed"] * 2
    loop = asyncio.new_event_loop()
    loop.run_until_complete(keep())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    with contextlib.suppress(RuntimeError):
        kept.clear()
        gc.collect()
    assert ends == ["Completed"] * 3


def test_an_error_on_closing_fails_the_run_for_good(ends: Ends) -> None:
    """It is raised by `close()`, and not tried again: nobody would take the items."""
    begun = []

    @task(retries=3, on_failure=[ends])
    def items() -> Iterator[int]:
        begun.append(True)
        try:
            yield 1
        finally:
            raise ValueError("on closing")

    stream = items()
    next(stream)
    with pytest.raises(ValueError, match="on closing"):
        stream.close()
    assert (begun, ends) == ([True], ["Failed"])


@DECORATORS
def test_an_error_fails_the_run_and_is_raised_after_the_items_before_it(decorate: Any, ends: Ends) -> None:
    """The exception itself."""
    error = ValueError("no")

    @decorate(on_failure=[ends])
    def items() -> Iterator[int]:
        yield 1
        raise error

    stream = items()
    assert next(stream) == 1
    with pytest.raises(ValueError, match="no") as raised:
        next(stream)
    assert raised.value is error
    assert ends == ["Failed"]


@DECORATORS
async def test_an_error_of_an_async_one_fails_the_run(decorate: Any, ends: Ends) -> None:
    """Likewise."""

    @decorate(on_failure=[ends])
    async def items() -> AsyncGenerator[int]:
        yield 1
        raise ValueError("no")

    stream = items()
    assert await anext(stream) == 1
    with pytest.raises(ValueError, match="no"):
        await anext(stream)
    assert ends == ["Failed"]


def test_a_retry_begins_anew_and_hands_out_its_items_again() -> None:
    """What was handed out cannot be taken back."""

    @task(retries=2)
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("no")

    came: list[int] = []
    with pytest.raises(ValueError, match="no"):
        came.extend(items())
    assert came == [1, 2] * 3


async def test_items_can_be_sent_and_thrown() -> None:
    """As to any generator."""

    @task
    def echo() -> Generator[Any, Any, None]:
        heard = None
        while True:
            try:
                heard = yield heard
            except KeyError as error:
                heard = error

    @task
    async def echo_later() -> AsyncGenerator[Any, Any]:
        heard = None
        while True:
            try:
                heard = yield heard
            except KeyError as error:
                heard = error

    error = KeyError("thrown")
    stream, later = echo(), echo_later()
    assert [next(stream), stream.send(1), stream.throw(error), stream.send(2)] == [None, 1, error, 2]
    assert [await anext(later), await later.asend(1), await later.athrow(error)] == [None, 1, error]
    stream.close()
    await later.aclose()


@DECORATORS
def test_a_state_cannot_be_asked_for(decorate: Any) -> None:
    """There is none before the end."""

    @decorate
    def items() -> Iterator[int]:
        yield 1

    with pytest.raises(ValueError, match="generator"):
        items(return_state=True)


def test_arguments_that_do_not_fit_are_refused_by_the_call() -> None:
    """Not by the first item."""
    with pytest.raises(ParameterBindError):
        count(1, 2)


@DECORATORS
def test_the_context_is_that_of_the_function_alone(decorate: Any) -> None:
    """Between two items the caller stands where it stood; what the function sets stays with it."""
    seen: ContextVar[str] = ContextVar("seen", default="nothing")

    @decorate
    def items() -> Iterator[Any]:
        seen.set("inside")
        with tags("inner"):
            yield get_run_context()
            yield get_run_context()
        yield seen.get()

    stream = items()
    context = next(stream)
    assert seen.get() == "nothing"
    with tags() as current:
        assert current == set()
    with pytest.raises(MissingContextError):
        get_run_context()
    assert next(stream) is context
    assert next(stream) == "inside"


@DECORATORS
async def test_the_context_of_an_async_one_is_its_own_too(decorate: Any) -> None:
    """And yet it works in the asyncio task of its caller, so that time limits may span items."""

    @decorate
    async def items() -> AsyncGenerator[Any]:
        async with asyncio.timeout(60):
            yield get_run_context(), asyncio.current_task()
            await asyncio.sleep(0)
            yield get_run_context(), asyncio.current_task()

    async for context, asyncio_task in items():
        assert context is not None
        assert asyncio_task is asyncio.current_task()
        with pytest.raises(MissingContextError):
            get_run_context()


def test_runs_that_hand_out_items_side_by_side_do_not_mix() -> None:
    """Each is in its own run."""

    @task
    def names() -> Iterator[str]:
        while True:
            yield TaskRunContext.get().task_run.run_id

    first, second = names(), names()
    ids = [next(stream) for stream in (first, second, first, second)]
    assert ids[0] == ids[2] != ids[1] == ids[3]


def test_the_time_limit_counts_the_function_alone() -> None:
    """All its items together, and not what is done with them."""

    @task(timeout_seconds=0.3)
    def items(seconds: float) -> Iterator[int]:
        yield 1
        time.sleep(seconds)
        yield 2

    stream = items(0)
    assert next(stream) == 1
    work_for(0.4)
    assert list(stream) == [2]
    stream = items(30)
    assert next(stream) == 1
    with pytest.raises(TimeoutError, match=r"0\.3 seconds"):
        next(stream)


async def test_the_time_limit_of_an_async_one_counts_the_function_alone() -> None:
    """Likewise."""

    @task(timeout_seconds=0.3)
    async def items(seconds: float) -> AsyncGenerator[int]:
        yield 1
        await asyncio.sleep(seconds)
        yield 2

    stream = items(0)
    assert await anext(stream) == 1
    await asyncio.to_thread(work_for, 0.4)
    assert [item async for item in stream] == [2]
    stream = items(30)
    assert await anext(stream) == 1
    with pytest.raises(TimeoutError, match=r"0\.3 seconds"):
        await anext(stream)


async def test_cancelling_who_waits_for_an_item_crashes_the_run() -> None:
    """As it does with other async runs."""
    runs: list[Any] = []

    @task
    async def items() -> AsyncGenerator[int]:
        runs.append(TaskRunContext.get().task_run)
        yield 1
        reached.set()
        await asyncio.sleep(60)
        yield 2

    async def consume() -> None:
        async for _ in items():
            pass

    reached = asyncio.Event()
    consuming = asyncio.create_task(consume())
    await reached.wait()
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert runs[0].state.name == "Crashed"


def test_a_submitted_run_has_the_list_of_items(task_runner: TaskRunner) -> None:
    """Sync and async alike, mapped too; a time limit holds for all items."""

    @flow(task_runner=task_runner)
    def submitting() -> list[Any]:
        one = [count.submit(2).result(), count_later.submit(3).result()]
        late = count.with_options(timeout_seconds=20).submit(1, return_state=True)
        return [*one, count.map([0, 1]).result(), late.name]

    assert submitting() == [[0, 1], [0, 1, 2], [[], [0]], "Completed"]


def test_a_submitted_run_that_yields_too_slowly_times_out(concurrent_runner: TaskRunner) -> None:
    """Although the function itself returns at once."""

    @task(timeout_seconds=0.2)
    def slowly() -> Iterator[int]:
        while True:
            yield 1
            time.sleep(0.01)

    @flow(task_runner=concurrent_runner)
    def submitting() -> str:
        return slowly.submit(return_state=True).name

    assert submitting() == "TimedOut"


def test_a_flow_hands_out_what_its_tasks_give(task_runner: TaskRunner) -> None:
    """It may call and submit tasks between its items, and waits for all of them at its end."""
    futures = []

    @flow(task_runner=task_runner)
    def items() -> Iterator[Any]:
        yield from count(2)
        futures.append(count.submit(2))
        yield futures[0].result()
        futures.append(count.submit(3))

    assert list(items()) == [0, 1, [0, 1]]
    assert futures[1].done()


async def test_an_async_flow_hands_out_what_its_tasks_give(task_runner: TaskRunner) -> None:
    """Likewise."""

    @flow(task_runner=task_runner)
    async def items() -> AsyncGenerator[Any]:
        async for item in count_later(2):
            yield item
        yield await count.submit(2)

    assert [item async for item in items()] == [0, 1, [0, 1]]


def test_a_generator_that_a_flow_returns_becomes_a_list() -> None:
    """Also that of a task."""

    @flow
    def returning() -> Iterator[int]:
        return count(3)

    assert returning() == [0, 1, 2]


def test_futures_among_the_arguments_are_waited_for_by_the_first_item() -> None:
    """A task whose input failed has no items; a flow says so."""

    @task
    def fail() -> int:
        raise ValueError("no")

    @flow
    def items(_: int) -> Iterator[int]:
        yield 1

    @flow
    def calling() -> list[int]:
        failed = fail.submit()
        assert list(count(failed)) == []
        with pytest.raises(UnfinishedRun):
            next(items(failed))
        return [*count(task(abs).submit(-2))]

    assert calling() == [0, 1]


def test_items_are_not_cached(ends: Ends) -> None:
    """Each call executes the function, even where results are persisted; there is no result."""
    begun = []

    @task(persist_result=True, cache_key_fn=lambda *_: "the same for all", on_completion=[ends])
    def items() -> Iterator[int]:
        begun.append(True)
        yield 1

    assert [*items(), *items()] == [1, 1]
    assert (begun, ends) == ([True, True], ["Completed", "Completed"])


def test_a_run_is_part_of_the_transaction_in_which_it_is_called() -> None:
    """It is undone with it."""
    undone = []

    @task(on_rollback=[lambda _: undone.append(True)])
    def items() -> Iterator[int]:
        yield 1

    def failing() -> None:
        with transaction() as around:
            assert isinstance(around, Transaction)
            assert list(items()) == [1]
            raise ValueError("after it")

    with pytest.raises(ValueError, match="after it"):
        failing()
    assert undone == [True]


def test_a_slot_of_a_limit_is_kept_until_the_stream_ends() -> None:
    """The run is running all the while."""
    tag = f"limit-{uuid.uuid4().hex[:8]}"
    limit = limits.of_tag(tag)

    @flow
    def calling() -> list[int]:
        with tags(tag):
            stream = count(3)
        next(stream)
        held = len(limits.inspect(limit).holders)
        stream.close()
        return [held, len(limits.inspect(limit).holders)]

    limits.create(limit, 1)
    try:
        assert calling() == [1, 0]
    finally:
        limits.delete(limit)


def test_prints_are_logged_and_those_of_the_caller_are_not(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Between the items, too."""

    @task(log_prints=True)
    def items() -> Iterator[int]:
        print("of the run")
        yield 1
        print("of the run again")

    caplog.set_level("INFO")
    for _ in items():
        print("of the caller")
    assert capsys.readouterr().out == "of the caller\n"
    printed = [record.getMessage() for record in caplog.records if "of the" in record.getMessage()]
    assert printed == ["of the run", "of the run again"]


class Shelf:
    def __init__(self, books: list[str]) -> None:
        self.books = books

    @task
    def each(self) -> Iterator[str]:
        yield from self.books

    @flow
    async def each_later(self) -> AsyncGenerator[str]:
        for book in self.books:
            yield book


async def test_methods_may_be_generators() -> None:
    """Of tasks and flows."""
    shelf = Shelf(["a", "b"])
    assert list(shelf.each()) == ["a", "b"]
    assert [book async for book in shelf.each_later()] == ["a", "b"]
