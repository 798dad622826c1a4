"""Rules of runs in threads of this process, which share its memory."""

import asyncio
import threading

import pytest

from millstream import flow, task
from millstream.task_runners import SequentialTaskRunner, ThreadPoolTaskRunner
from tests.harness import eventually


def test_submitted_runs_go_on_at_once() -> None:
    """As many as there are: here they all have to meet."""
    barrier = threading.Barrier(20, timeout=20)

    @task
    def meet() -> int:
        return barrier.wait()

    @flow(task_runner=ThreadPoolTaskRunner())
    def meeting() -> list[int]:
        return sorted(future.result() for future in [meet.submit() for _ in range(20)])

    assert meeting() == list(range(20))


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_than_max_workers_at_once(limit: int) -> None:
    """Whatever is waiting."""
    lock = threading.Lock()
    now, most = 0, 0

    @task
    def count() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.002)
        with lock:
            now -= 1

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=limit))
    def counting() -> None:
        for _ in range(20):
            count.submit()

    counting()
    assert most == limit


def test_a_tree_of_runs_ends_with_one_worker() -> None:
    """A run that waits for others lends them its place."""

    @task
    def tree(depth: int) -> int:
        return 1 + (sum(tree.map([depth - 1] * 3).result()) if depth else 0)

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def growing() -> int:
        return tree.submit(4).result()

    assert growing() == 121


def test_a_tree_of_async_runs_ends_with_one_worker() -> None:
    """Also where several coroutines of one run await others."""

    @task
    async def tree(depth: int) -> int:
        if depth == 0:
            return 1
        return 1 + sum(await asyncio.gather(tree.submit(depth - 1), tree.submit(depth - 1)))

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def growing() -> int:
        return tree.submit(4).result()

    assert growing() == 31


def test_a_run_that_waits_for_inputs_takes_no_thread() -> None:
    """So a long chain submitted backwards ends with one worker."""
    begin = threading.Event()

    @task
    def first() -> int:
        begin.wait(20)
        return 0

    @task
    def after(x: int) -> int:
        return x + 1

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def chain() -> int:
        future = first.submit()
        for _ in range(50):
            future = after.submit(future)
        begin.set()
        return future.result()

    assert chain() == 50


def test_runs_see_the_objects_of_the_caller() -> None:
    """Closures, locks, and arguments themselves."""
    seen: list[object] = []
    given = object()

    @task
    def look(value: object) -> None:
        seen.append(value)

    @flow(task_runner=ThreadPoolTaskRunner())
    def looking() -> None:
        look.submit(given).wait()

    looking()
    assert seen == [given]


def test_a_sequence_keeps_the_order_of_submission() -> None:
    """Each run ends before the next is submitted."""
    order: list[object] = []

    @task
    def note(x: int) -> None:
        order.append(x)

    @flow(task_runner=SequentialTaskRunner())
    def noting() -> None:
        for x in range(3):
            note.submit(x)
            order.append("submitted")

    noting()
    assert order == [0, "submitted", 1, "submitted", 2, "submitted"]


async def test_submitted_runs_do_not_need_the_loop_of_the_flow() -> None:
    """A flow that blocks its loop still gets its results."""

    @task
    async def later() -> int:
        await asyncio.sleep(0.01)
        return threading.get_ident()

    @flow(task_runner=ThreadPoolTaskRunner())
    async def blocking() -> bool:
        return later.submit().result() != threading.get_ident()

    assert await blocking() is True


async def test_direct_async_calls_share_the_loop_of_the_flow() -> None:
    """They run in the flow's thread."""

    @task
    async def here() -> int:
        return threading.get_ident()

    assert await flow(here.fn)() == threading.get_ident()


def test_no_thread_is_left_behind() -> None:
    """After the flow, the pool is gone."""

    @task
    def nothing_with(_: int) -> None: ...

    @flow(task_runner=ThreadPoolTaskRunner())
    def using() -> None:
        nothing_with.map(range(10))

    using()
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("millstream-run-")])


def test_flow_runs_in_several_threads() -> None:
    """Each has its own context and runner."""

    @task
    def double(x: int) -> int:
        return 2 * x

    @flow
    def doubling(x: int) -> int:
        return double.submit(x).result()

    results: dict[int, int] = {}

    def run(x: int) -> None:
        results[x] = doubling(x)

    threads = [threading.Thread(target=run, args=(x,)) for x in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {x: 2 * x for x in range(5)}
