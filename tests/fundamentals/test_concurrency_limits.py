"""Concurrency limits: how many task runs with a tag, or pieces of code, may be at work at once, in all processes."""

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError

from millstream import flow, limits, task
from millstream.concurrency import asyncio as async_limits
from millstream.concurrency import concurrency, rate_limit
from millstream.exceptions import (
    CancelledRun,
    ConcurrencySlotAcquisitionError,
    ConfigurationError,
    InvalidNameError,
    ObjectAlreadyExists,
    ObjectNotFound,
)
from millstream.task_runners import QueueTaskRunner, TaskRunner
from millstream_shared.calls import Calls
from tests.harness import eventually


@pytest.fixture
def name() -> Iterator[str]:
    """A name for a limit that no other test uses."""
    made = f"limit-{uuid.uuid4().hex[:8]}"
    yield made
    for each in (made, limits.of_tag(made)):
        try:
            assert limits.inspect(each).holders == []
            limits.delete(each)
        except ObjectNotFound:
            continue


@pytest.fixture
def ledger(folder: Path) -> Path:
    """A file in which those note what they do who are limited."""
    return folder / "ledger"


def note(ledger: Path, what: str) -> None:
    with ledger.open("a") as file:
        file.write(f"{what}\n")


def most_at_once(ledger: Path) -> int:
    """The largest number of those that had begun and not ended."""
    running = most = 0
    for line in ledger.read_text().split():
        running += 1 if line == "begin" else -1
        most = max(most, running)
    assert running == 0
    return most


def work_noted(ledger: Path) -> None:
    note(ledger, "begin")
    time.sleep(0.01)
    note(ledger, "end")


@task
def noted(ledger: Path) -> None:
    work_noted(ledger)


@task
async def noted_async(ledger: Path) -> None:
    note(ledger, "begin")
    await asyncio.sleep(0.01)
    note(ledger, "end")


@task
def until_there(path: Path) -> str:
    eventually(path.exists, 20)
    return "done"


@task
def quick() -> str:
    return "done"


@task(retries=1, retry_delay_seconds=0.2)
def fails_once(path: Path) -> str:
    if not path.exists():
        path.touch()
        raise ValueError("the first time")
    return "done"


def make_anew(limit: str) -> None:
    """Have nobody hold a slot of it any more."""
    limits.delete(limit)
    limits.create(limit, 1)


def make_anew_and_fail(limit: str) -> None:
    make_anew(limit)
    raise ZeroDivisionError


@task
def inside_limit_made_anew(limit: str) -> None:
    with concurrency(limit, strict=True):
        make_anew(limit)


@task
def inside_limit(limit: str, ledger: Path) -> None:
    with concurrency(limit):
        work_noted(ledger)


# --- task runs with a tag ---------------------------------------------------------------------------------------------


def test_at_most_so_many_runs_with_a_tag_are_executed_at_once(task_runner: TaskRunner, name: str, ledger: Path) -> None:
    """All of them are executed in the end."""
    limits.create(limits.of_tag(name), 3)

    @flow(task_runner=task_runner)
    def many() -> None:
        noted.with_options(tags=[name]).map([ledger] * 30).wait()

    many()
    assert 1 <= most_at_once(ledger) <= 3
    assert ledger.read_text().count("end") == 30


def test_async_runs_share_the_limit(concurrent_runner: TaskRunner, name: str, ledger: Path) -> None:
    """Also those that are called directly, on the event loop of the flow."""
    limits.create(limits.of_tag(name), 4)
    tagged = noted_async.with_options(tags=[name])

    @flow(task_runner=concurrent_runner)
    async def many() -> None:
        futures = tagged.map([ledger] * 15)
        await asyncio.gather(*(tagged(ledger) for _ in range(15)), *futures)

    asyncio.run(many())
    assert 1 <= most_at_once(ledger) <= 4


def test_a_run_that_waits_says_for_what(concurrent_runner: TaskRunner, name: str, folder: Path) -> None:
    """Its state is AwaitingConcurrencySlot, and the limit shows who has its slots and who waits."""
    limits.create(limits.of_tag(name), 1)
    holds, waits = until_there.with_options(name="holds", tags=[name]), quick.with_options(name="waits", tags=[name])

    @flow(task_runner=concurrent_runner)
    def two() -> list[str]:
        first = holds.submit(folder / "go")
        eventually(lambda: first.state.is_running())
        second = waits.submit()
        eventually(lambda: second.state.name == "AwaitingConcurrencySlot")
        assert second.state.is_scheduled()
        assert repr(name) in str(second.state.message)
        seen = limits.inspect(limits.of_tag(name))
        assert [holder.label for holder in seen.holders] == [first.name]
        assert [waiter.label for waiter in seen.waiters] == [second.name]
        assert 0 < seen.holders[0].lease_seconds <= 15
        (folder / "go").touch()
        return [first.result(), second.result()]

    assert two() == ["done", "done"]


def test_waiting_runs_are_in_nobodys_way(name: str, folder: Path) -> None:
    """However many wait for a limit, they hold no slot of a worker: other runs go on."""
    limits.create(limits.of_tag(name), 1)
    tagged = until_there.with_options(tags=[name])

    @flow(task_runner=QueueTaskRunner())
    def crowd() -> list[str]:
        waiting = tagged.map([folder / "go"] * 100)
        assert quick.submit().result(timeout=10) == "done"
        (folder / "go").touch()
        return waiting.result()

    assert crowd() == ["done"] * 100


def test_a_run_with_several_tags_needs_a_slot_of_each(concurrent_runner: TaskRunner, name: str, ledger: Path) -> None:
    """The smallest limit decides."""
    limits.create(limits.of_tag(name), 5)
    limits.create(limits.of_tag(f"{name}-2"), 2)

    @flow(task_runner=concurrent_runner)
    def many() -> None:
        noted.with_options(tags=[name, f"{name}-2", "free"]).map([ledger] * 12).wait()

    many()
    limits.delete(limits.of_tag(f"{name}-2"))
    assert most_at_once(ledger) <= 2


def test_a_limit_of_zero_aborts_runs(task_runner: TaskRunner, name: str) -> None:
    """They do not wait; their state says which limit it was."""
    limits.create(limits.of_tag(name), 0)

    @flow(task_runner=task_runner)
    def one() -> str:
        future = quick.with_options(tags=[name]).submit()
        future.wait()
        assert (future.state.name, future.state.is_cancelled()) == ("Aborted", True)
        with pytest.raises(CancelledRun, match=name):
            future.result()
        return "went on"

    assert one() == "went on"


def test_a_slot_is_free_while_a_run_waits_for_its_retry(task_runner: TaskRunner, name: str, folder: Path) -> None:
    """The run takes one again for the next try."""
    limits.create(limits.of_tag(name), 1)

    @flow(task_runner=task_runner)
    def one() -> str:
        future = fails_once.with_options(tags=[name]).submit(folder / "failed")
        return future.result()

    assert one() == "done"
    eventually(lambda: limits.read(limits.of_tag(name)).taken == 0)


# --- code -------------------------------------------------------------------------------------------------------------


def test_at_most_so_many_blocks_are_entered_at_once(concurrent_runner: TaskRunner, name: str, ledger: Path) -> None:
    """In whatever thread or process they are."""
    limits.create(name, 2)

    @flow(task_runner=concurrent_runner)
    def many() -> None:
        futures = inside_limit.map(name, [ledger] * 10)
        inside_limit(name, ledger)
        futures.wait()
        assert all(future.state.is_completed() for future in futures)

    many()
    assert most_at_once(ledger) <= 2


async def test_async_blocks_share_the_limit(name: str) -> None:
    """A coroutine that waits leaves its loop to others."""
    limits.create(name, 3)
    inside = most = 0

    async def one() -> None:
        nonlocal inside, most
        async with async_limits.concurrency(name):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.005)
            inside -= 1

    await asyncio.gather(*(one() for _ in range(40)))
    assert most == 3


async def test_a_cancelled_wait_takes_no_slot(name: str) -> None:
    """And one that is cancelled inside gives its own back."""
    limits.create(name, 1)

    async def hold() -> None:
        async with async_limits.concurrency(name):
            await asyncio.Event().wait()

    first, second = asyncio.create_task(hold()), asyncio.create_task(hold())
    await asyncio.to_thread(eventually, lambda: limits.read(name).waiting == 1)
    second.cancel()
    await asyncio.wait([second])
    assert limits.read(name).waiting == 0
    first.cancel()
    await asyncio.wait([first])
    assert limits.read(name).taken == 0


def test_slots_are_given_back_when_a_block_fails(name: str) -> None:
    """An error passes through, and nothing stays taken."""
    limits.create(name, 1)
    with pytest.raises(ZeroDivisionError), concurrency(name):
        _ = 1 / (limits.read(name).taken - 1)
    assert limits.read(name).taken == 0


def test_a_block_may_take_several_slots_of_several_limits(name: str) -> None:
    """Of all or of none; holders can be looked at."""
    other = f"{name}-2"
    limits.create(name, 5)
    limits.create(other, 3)
    with concurrency([name, other, name], occupy=3):
        assert [limits.read(each).taken for each in (name, other)] == [3, 3]
        [holder] = limits.inspect(name).holders
        assert (holder.occupy, "process" in holder.label) == (3, True)
        with pytest.raises(TimeoutError, match=name), concurrency([name, other], timeout_seconds=0.05):
            pass
        assert [limits.read(each).taken for each in (name, other)] == [3, 3]
    assert [limits.read(each).taken for each in (name, other)] == [0, 0]
    limits.delete(other)


def test_waiting_ends_when_a_slot_is_free_or_time_is_up(name: str) -> None:
    """A hand-over takes milliseconds; with max_retries=0 nobody waits at all."""
    limits.create(name, 1)
    entered = threading.Event()
    left: list[float] = []

    def wait() -> None:
        with concurrency(name):
            left.append(time.monotonic())
            entered.set()

    thread = threading.Thread(target=wait)
    with concurrency(name):
        thread.start()
        eventually(lambda: limits.read(name).waiting == 1)
        with pytest.raises(ConcurrencySlotAcquisitionError), concurrency(name, max_retries=0):
            pass
        released = time.monotonic()
    assert entered.wait(5)
    thread.join()
    assert left[0] - released < 0.5


def test_a_limit_that_does_not_exist_limits_nothing(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """There is one warning, unless `strict` makes it an error; an inactive one is passed in silence."""
    logging.getLogger("millstream").propagate = True
    with caplog.at_level("WARNING", logger="millstream.concurrency"):
        for _ in range(2):
            with concurrency(name, occupy=7):
                rate_limit(name)
        assert [name in record.getMessage() for record in caplog.records] == [True]
    for each in (lambda: concurrency(name, strict=True).__enter__(), lambda: rate_limit(name, strict=True)):
        with pytest.raises(ConcurrencySlotAcquisitionError, match=f"gcl create {name}"):
            each()
    limits.create(name, 0, active=False)
    with concurrency([name], strict=True), concurrency([]):
        pass


def test_what_can_never_be_had_is_an_error(name: str) -> None:
    """More slots than the limit has, and arguments that make no sense."""
    limits.create(name, 2)
    with pytest.raises(ConcurrencySlotAcquisitionError, match="fewer than the 3"), concurrency(name, occupy=3):
        pass
    for wrong in ({"occupy": 0}, {"timeout_seconds": -1}, {"max_retries": -1}, {"lease_duration": 59}):
        with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
            concurrency(name, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidNameError):
        concurrency("")


@pytest.fixture
def warnings_of_limits(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What is logged of limits."""
    monkeypatch.setattr(logging.getLogger("millstream"), "propagate", True)
    caplog.set_level("WARNING", logger="millstream.concurrency")
    return caplog


def test_slots_that_were_lost_meanwhile_are_warned_of_at_the_end(
    name: str, warnings_of_limits: pytest.LogCaptureFixture
) -> None:
    """However short the block is, and once."""
    limits.create(name, 1)
    with concurrency(name):
        pass
    with concurrency(name):
        make_anew(name)
    assert [f"'{name}' are lost" in message for message in warnings_of_limits.messages] == [True]


def test_lost_slots_are_an_error_where_strict(name: str) -> None:
    """At the end of the block; an error that leaves it anyway is not replaced."""
    limits.create(name, 1)
    with concurrency(name, strict=True):
        pass
    with pytest.raises(ConcurrencySlotAcquisitionError, match="lost"), concurrency(name, strict=True):
        make_anew(name)
    with pytest.raises(ZeroDivisionError), concurrency(name, strict=True):
        make_anew_and_fail(name)


async def test_lost_slots_are_an_error_in_async_code_too(name: str) -> None:
    """The task is not left cancelled."""
    limits.create(name, 1)
    with pytest.raises(ConcurrencySlotAcquisitionError, match="lost"):
        async with async_limits.concurrency(name, strict=True):
            make_anew(name)
    with pytest.raises(ZeroDivisionError):
        async with async_limits.concurrency(name, strict=True):
            make_anew_and_fail(name)
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0


def test_a_task_run_fails_whose_strict_slots_were_lost(task_runner: TaskRunner, name: str) -> None:
    """Also in the process of a worker."""
    limits.create(name, 1)

    @flow(task_runner=task_runner)
    def one() -> str:
        with pytest.raises(ConcurrencySlotAcquisitionError, match="lost"):
            inside_limit_made_anew.submit(name).result()
        return "went on"

    assert one() == "went on"


def test_a_lost_answer_is_not_taken_for_lost_slots(
    name: str, monkeypatch: pytest.MonkeyPatch, warnings_of_limits: pytest.LogCaptureFixture
) -> None:
    """Giving back is tried again after an outage, and then there is nothing left to give back."""
    limits.create(name, 1)
    here, make_call, lost = threading.current_thread(), Calls.call, list[object]()

    def call_and_lose_the_first_answer(calls: Calls, *words: object) -> object:
        answer = make_call(calls, *words)
        if threading.current_thread() is here and not lost:
            lost.append(words[0])
            raise ConnectionError("The line went dead.")
        return answer

    with concurrency(name, strict=True):
        monkeypatch.setattr(Calls, "call", call_and_lose_the_first_answer)
    assert lost[0] in ("EVALSHA", "EVAL")
    assert limits.read(name).taken == 0
    assert warnings_of_limits.messages == []


# --- slots that come back with time -----------------------------------------------------------------------------------


def test_a_rate_limit_lets_calls_pass_at_its_pace(name: str) -> None:
    """As many at once as there are slots; then each when one has come back."""
    limits.create(name, 2, slot_decay_per_second=20)
    begun = time.monotonic()
    for _ in range(6):
        rate_limit(name)
    assert 0.19 <= time.monotonic() - begun < 1


async def test_async_calls_keep_to_the_pace_together(name: str) -> None:
    """However many wait, and in the order in which they came; `concurrency` on such a limit gives nothing back."""
    limits.create(name, 1, slot_decay_per_second=50)
    order: list[int] = []

    async def one(number: int) -> None:
        await async_limits.rate_limit(name)
        order.append(number)

    begun = time.monotonic()
    async with async_limits.concurrency(name):
        pass
    await asyncio.gather(*(one(number) for number in range(10)))
    assert time.monotonic() - begun >= 0.19
    assert order == sorted(order)


def test_a_turn_that_would_come_too_late_is_not_taken(name: str) -> None:
    """TimeoutError comes at once, and no slot is lost to it."""
    limits.create(name, 1, slot_decay_per_second=0.01)
    rate_limit(name)
    begun = time.monotonic()
    for _ in range(3):
        with pytest.raises(TimeoutError, match=name):
            rate_limit(name, timeout_seconds=50)
    assert time.monotonic() - begun < 1
    with pytest.raises(ConcurrencySlotAcquisitionError), concurrency(name, max_retries=0):
        pass
    limits.update(name, slot_decay_per_second=0)
    with pytest.raises(ConcurrencySlotAcquisitionError, match="slot_decay_per_second"):
        rate_limit(name)


# --- looking after limits ---------------------------------------------------------------------------------------------


def test_limits_are_made_read_changed_and_deleted(name: str) -> None:
    """By name; what is not there, or is already, is an error that says so."""
    made = limits.create(name, 2)
    assert (made.name, made.limit, made.active, made.slot_decay_per_second) == (name, 2, True, 0.0)
    with pytest.raises(ObjectAlreadyExists, match=f"{name}.*overwrite=True"):
        limits.create(name, 3)
    assert limits.create(name, 3, overwrite=True).limit == 3
    assert limits.update(name, active=False) == limits.read(name)
    assert name in [each.name for each in limits.read_all()]
    limits.delete(name)
    for gone in (limits.read, limits.inspect, limits.reset, limits.delete, limits.update):
        with pytest.raises(ObjectNotFound, match=f"gcl create {name}"):
            gone(name)
    with pytest.raises(ObjectNotFound, match=f"on the tag '{name}'.*concurrency-limit create {name}"):
        limits.read(limits.of_tag(name))
    with pytest.raises(ValueError, match="number of slots"):
        limits.create(name, -1)
    with pytest.raises(ConfigurationError, match="rate_limit"):
        limits.create(limits.of_tag(name), 1, slot_decay_per_second=1)


def test_a_limit_that_is_raised_lets_in_who_waits(name: str) -> None:
    """At once; so does one that is reset, switched off or deleted."""
    limits.create(name, 1)
    entered: list[int] = []
    go = threading.Event()

    def enter(number: int) -> None:
        with concurrency(name):
            entered.append(number)
            go.wait(20)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(4)]
    for count, thread in enumerate(threads):
        thread.start()
        eventually(lambda count=count: limits.read(name).taken + limits.read(name).waiting == count + 1)
    limits.update(name, limit=2)
    eventually(lambda: len(entered) == 2)
    limits.reset(name)
    eventually(lambda: len(entered) == 4)
    assert entered[:2] == [0, 1]
    assert sorted(entered) == [0, 1, 2, 3]  # the last two at the same moment
    go.set()
    for thread in threads:
        thread.join()
