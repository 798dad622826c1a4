"""The event loops on which async runs are executed."""

import asyncio
import threading

from millstream_worker.loops import Loops
from tests.harness import eventually


def test_each_depth_has_a_loop_of_its_own() -> None:
    """So who blocks the loop of a run does not block the runs that it waits for."""
    loops, ended = Loops(), threading.Event()

    async def block() -> None:
        assert ended.wait(10)

    async def end() -> None:
        ended.set()

    loops.start(1, block)
    loops.start(2, end)
    assert ended.wait(10)
    loops.close()


def test_closed_loops_cancel_what_runs_and_end_their_threads() -> None:
    """The coroutine hears of it; threads that it has used end too."""
    before = set(threading.enumerate())
    loops, begun, heard = Loops(), threading.Event(), threading.Event()

    async def last() -> None:
        try:
            await asyncio.to_thread(begun.set)
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            heard.set()
            raise

    loops.start(1, last)
    assert begun.wait(10)
    loops.close()
    assert heard.wait(10)
    eventually(lambda: set(threading.enumerate()) <= before)
