"""The inside of futures: completing, reading late, waiting without cost."""

import asyncio
import contextlib
import threading
import time

import pytest

from millstream import Future, FutureList, futures
from millstream.exceptions import CancelledRun
from millstream.futures import as_completed, wait
from millstream.states import Cancelled, Completed, Failed, Pending, Running
from millstream.waiting import call_after


def fresh(count: int = 1) -> list[Future]:
    return [Future(f"{number:032x}", f"run-{number}") for number in range(count)]


def test_a_fresh_future_is_pending_or_what_it_is_told() -> None:
    """By `live_state`, until it is complete."""
    (future,) = fresh()
    assert future.state == Pending()
    live: Future = Future("0" * 32, "live", live_state=lambda _: Running())
    assert live.state == Running()
    live.complete(Completed(data=1))
    assert live.state == Completed(data=1)


def test_an_outcome_does_not_change() -> None:
    """The first one counts."""
    (future,) = fresh()
    future.complete(Completed(data=1))
    future.complete(Failed())
    assert future.result() == 1


def test_an_outcome_is_read_once_and_late() -> None:
    """By whoever asks first, however many ask at once."""
    (future,) = fresh()
    readers: list[str] = []
    barrier = threading.Barrier(4, timeout=20)

    def read():
        readers.append(threading.current_thread().name)
        return Completed(data=object())

    future.complete(read)
    assert future.done()
    assert readers == []
    results: list[object] = []

    def ask() -> None:
        barrier.wait()
        results.append(future.result())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(readers) == 1
    assert len(set(map(id, results))) == 1


def test_an_outcome_that_cannot_be_read_is_a_failure() -> None:
    """With the reason in it."""
    (future,) = fresh()
    future.complete(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    with pytest.raises(ZeroDivisionError):
        future.result()


def test_waiting_enters_the_hook_only_when_it_blocks() -> None:
    """Whoever lends slots hears of real waits alone."""
    entered: list[str] = []

    @contextlib.contextmanager
    def hook():
        entered.append("in")
        yield
        entered.append("out")

    futures.set_blocking_hook(hook)
    try:
        (ended,), (future,), (other,) = fresh(), fresh(), fresh()
        ended.complete(Completed(data=1))
        ended.wait()
        wait([ended])
        list(as_completed([ended]))
        assert entered == []
        threading.Timer(0.01, future.complete, [Completed()]).start()
        future.wait()
        threading.Timer(0.01, other.complete, [Completed()]).start()
        list(as_completed([ended, other]))
        assert entered == ["in", "out"] * 2
    finally:
        futures.set_blocking_hook(contextlib.nullcontext)


def test_waiting_in_vain_leaves_nothing_behind() -> None:
    """A future that is polled for ever does not grow."""
    (future,) = fresh()
    for _ in range(5):
        future.wait(timeout=0.001)
        wait([future], timeout=0.001)
        with pytest.raises(TimeoutError):
            list(as_completed([future], timeout=0.001))
    assert future._callbacks == []


async def test_waiting_in_vain_in_a_loop_leaves_nothing_behind() -> None:
    """When the waiting coroutine is cancelled."""
    (future,) = fresh()
    waiting = asyncio.ensure_future(asyncio.wait_for(future, 0.001))
    with pytest.raises(TimeoutError):
        await waiting
    assert future._callbacks == []


async def test_a_run_that_ends_in_a_thread_wakes_the_loop() -> None:
    """For one await and for many."""
    many = fresh(50)
    for number, future in enumerate(many):
        threading.Timer(0.01, future.complete, [Completed(data=number)]).start()
    assert await asyncio.gather(*many) == list(range(50))


async def test_bad_endings_are_raised_by_await() -> None:
    """As by `result`."""
    (future,) = fresh()
    future.complete(Cancelled())
    with pytest.raises(CancelledRun):
        await future


def test_a_call_after_all() -> None:
    """At once when all are done, else when the last one ends."""
    first, second = fresh(2)
    called: list[int] = []
    call_after([], lambda: called.append(0))
    call_after([first, second], lambda: called.append(1))
    second.complete(Completed())
    assert called == [0]
    first.complete(Completed())
    assert called == [0, 1]


def test_ten_thousand_futures_take_no_time() -> None:
    """Tens of milliseconds to make, wait for, complete and read."""
    began = time.perf_counter()
    many: FutureList[int] = FutureList(fresh(10_000))

    def complete() -> None:
        for number, future in enumerate(many):
            future.complete(Completed(data=number))

    thread = threading.Thread(target=complete)
    thread.start()
    assert len(wait(many).done) == 10_000
    assert many.result() == list(range(10_000))
    thread.join()
    assert time.perf_counter() - began < 3
