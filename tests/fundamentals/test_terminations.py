"""SIGTERM to a process that runs a flow."""

import asyncio
import os
import pickle
import signal
import threading
from collections.abc import Iterator

import pytest

from millstream import flow
from millstream.exceptions import TerminationSignal
from millstream.states import State

WAIT = threading.Event()


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """The numbers of the signals that the program's own handler was given."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGTERM, before)


def end_this_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_the_flow_is_crashed_and_the_programs_handler_called(handled: list[int]) -> None:
    """In this order: the flow can tidy up, and its hooks see how it ended."""
    seen: list[object] = []

    @flow
    def ending() -> None:
        try:
            end_this_process()
            WAIT.wait(10)
        finally:
            seen.append(list(handled))

    @ending.on_crashed
    def note(_flow: object, _run: object, state: State) -> None:
        seen.append((state.name, state.message, list(handled)))

    with pytest.raises(TerminationSignal, match="told to end by signal 15"):
        ending()
    assert seen == [[], ("Crashed", "The process was told to end, by signal 15.", [])]
    assert handled == [signal.SIGTERM]


def test_an_outer_flow_ends_with_its_inner_one(handled: list[int]) -> None:
    """The handler is called once, when the outermost flow is over, and is in force again."""
    ended: list[str] = []

    @flow
    def inner() -> None:
        end_this_process()
        WAIT.wait(10)

    @flow
    def outer() -> None:
        inner()

    for each in (inner, outer):
        each.on_crashed(lambda which, *_: ended.append(f"{which.name} {len(handled)}"))
    with pytest.raises(TerminationSignal):
        outer()
    assert ended == ["inner 0", "outer 0"]
    end_this_process()
    assert handled == [signal.SIGTERM, signal.SIGTERM]


def test_async_flows_side_by_side_all_end(handled: list[int]) -> None:
    """Those that wait as well as the one that was going on."""
    ended: list[str] = []
    both_go_on = asyncio.Barrier(2)

    @flow
    async def waiting() -> None:
        await both_go_on.wait()
        await asyncio.sleep(10)

    @flow
    async def ending() -> None:
        await both_go_on.wait()
        end_this_process()
        await asyncio.sleep(10)

    for each in (waiting, ending):
        each.on_crashed(lambda which, *_: ended.append(which.name))

    async def both() -> None:
        await asyncio.gather(waiting(), ending())

    with pytest.raises(TerminationSignal):
        asyncio.run(both())
    assert sorted(ended) == ["ending", "waiting"]
    assert handled == [signal.SIGTERM]


def test_no_handler_of_ours_stays() -> None:
    """Neither after a flow nor in a thread, which is not given signals."""
    before = signal.getsignal(signal.SIGTERM)
    inside: list[object] = []
    noting = flow(lambda: inside.append(signal.getsignal(signal.SIGTERM)))
    noting()
    assert inside.pop() is not before
    assert signal.getsignal(signal.SIGTERM) is before
    thread = threading.Thread(target=noting)
    thread.start()
    thread.join()
    assert inside == [before]


def test_a_program_may_ignore_the_signal() -> None:
    """Its flows ignore it as well."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        flow(end_this_process)()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_it_is_no_exception_and_can_be_sent() -> None:
    """So that `except Exception` does not stop it, and a crashed state can hold it anywhere."""
    assert not issubclass(TerminationSignal, Exception)
    assert pickle.loads(pickle.dumps(TerminationSignal(15))).signal == 15
