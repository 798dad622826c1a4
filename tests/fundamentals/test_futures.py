"""What a future tells, and how it is waited for."""

import asyncio

import pytest

from millstream import Future, FutureList, flow, task
from millstream.exceptions import CancelledRun, CrashedRun, MillstreamError, UnfinishedRun
from millstream.futures import as_completed, resolve_futures_to_results, resolve_futures_to_states, wait
from millstream.states import Cancelled, State
from millstream.task_runners import TaskRunner


@task
def double(x: int) -> int:
    return 2 * x


@task
def fail(message: str = "no") -> None:
    raise ValueError(message)


@task
def leave() -> None:
    raise SystemExit(3)


@task
def cancel() -> State:
    return Cancelled(message="not today")


@task
async def after(seconds: float, value: int) -> int:
    await asyncio.sleep(seconds)
    return value


def test_a_future_tells_its_state(task_runner: TaskRunner) -> None:
    """Pending or Running before, final after waiting."""

    @flow(task_runner=task_runner)
    def looking() -> list[str]:
        good, bad = double.submit(1), fail.submit()
        assert good.state.name in ("Pending", "Running", "Completed")
        good.wait()
        bad.wait()
        return [good.state.name, bad.state.name]

    assert looking() == ["Completed", "Failed"]


def test_waiting_never_raises(concurrent_runner: TaskRunner) -> None:
    """Neither for a failure nor when time is up."""

    @flow(task_runner=concurrent_runner)
    def looking() -> bool:
        slow = after.submit(0.3, 1)
        slow.wait(timeout=0.01)
        fail.submit().wait()
        return slow.state.is_final()

    assert looking() is False


def test_time_can_run_out(concurrent_runner: TaskRunner) -> None:
    """`result` then raises a TimeoutError that names the run."""

    @flow(task_runner=concurrent_runner)
    def looking() -> None:
        slow = after.submit(0.3, 1)
        with pytest.raises(TimeoutError, match=slow.run_id):
            slow.result(timeout=0.01)
        with pytest.raises(TimeoutError):
            FutureList([slow]).result(timeout=0.01)

    looking()


def test_every_bad_ending_has_its_error(task_runner: TaskRunner) -> None:
    """An exit in a task ends the task only, and a run that never started is unfinished."""

    @flow(task_runner=task_runner)
    def looking() -> None:
        failed = fail.submit()
        for future, error in [
            (leave.submit(), CrashedRun),
            (cancel.submit(), CancelledRun),
            (double.submit(failed), UnfinishedRun),
        ]:
            with pytest.raises(error):
                future.result()
            assert issubclass(error, MillstreamError)

    looking()


async def test_futures_can_be_awaited(task_runner: TaskRunner) -> None:
    """One, several with gather in their order, and a list."""

    @flow(task_runner=task_runner)
    async def awaiting() -> list[object]:
        with pytest.raises(ValueError, match="no"):
            await fail.submit()
        return [
            await double.submit(1),
            await asyncio.gather(double.submit(1), after.submit(0, 7), double.submit(3)),
            await double.map([1, 2, 3]),
        ]

    assert await awaiting() == [2, [2, 7, 6], [2, 4, 6]]


async def test_a_cancelled_wait_leaves_the_run_alone(concurrent_runner: TaskRunner) -> None:
    """Only the waiting ends."""

    @flow(task_runner=concurrent_runner)
    async def awaiting() -> int:
        future = after.submit(0.1, 5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await future
        return future.result()

    assert await awaiting() == 5


async def test_a_task_group_of_submitted_runs(task_runner: TaskRunner) -> None:
    """Each awaited in a coroutine of its own."""

    @flow(task_runner=task_runner)
    async def grouping() -> list[int]:
        results: list[int] = []

        async def collect(x: int) -> None:
            results.append(await double.submit(x))

        async with asyncio.TaskGroup() as group:
            for x in range(4):
                group.create_task(collect(x))
        return sorted(results)

    assert await grouping() == [0, 2, 4, 6]


def test_wait_gives_two_sets(concurrent_runner: TaskRunner) -> None:
    """Of what is done when time is up, and what is not; a future twice counts once."""

    @flow(task_runner=concurrent_runner)
    def waiting() -> None:
        slow, quick, bad = after.submit(0.5, 1), double.submit(1), fail.submit()
        quick.wait()
        bad.wait()
        outcome = wait([slow, quick, quick, bad], timeout=0.01)
        assert outcome.done == {quick, bad}
        assert outcome.not_done == {slow}
        done, not_done = wait([slow, quick, bad])
        assert (len(done), not_done) == (3, set())

    waiting()


@pytest.mark.parametrize("waiting", [wait, lambda fs, timeout: next(as_completed(fs, timeout)), FutureList.result])
def test_a_timeout_is_not_negative(waiting) -> None:
    """ValueError otherwise."""
    with pytest.raises(ValueError, match="-1"):
        waiting(FutureList(), timeout=-1)


def test_a_single_future_is_not_waited_for_backwards(task_runner: TaskRunner) -> None:
    """A negative timeout is a mistake here too."""

    @flow(task_runner=task_runner)
    def waiting() -> None:
        future = double.submit(1)
        for wait_for_it in (future.wait, future.result):
            with pytest.raises(ValueError, match="-1"):
                wait_for_it(timeout=-1)

    waiting()


@pytest.mark.parametrize("waiting", [wait, as_completed])
@pytest.mark.parametrize("given", [[1], [FutureList()], Future("id", "name")])
def test_what_is_not_futures_is_refused(waiting, given) -> None:
    """With the name of the function, and of the type that was found."""
    with pytest.raises(TypeError, match=rf"{waiting.__name__}\(\) takes"):
        waiting(given)


def test_as_completed_gives_them_as_they_end(concurrent_runner: TaskRunner) -> None:
    """Those that have ended first, each once."""

    @flow(task_runner=concurrent_runner)
    def waiting() -> list[int]:
        slow, quick, ended = after.submit(0.3, 3), after.submit(0.1, 2), double.submit(0)
        ended.wait()
        return [future.result() for future in as_completed([slow, quick, ended, quick])]

    assert waiting() == [0, 2, 3]


def test_as_completed_has_a_limit(concurrent_runner: TaskRunner) -> None:
    """It gives what ends before, and tells how many did not."""

    @flow(task_runner=concurrent_runner)
    def waiting() -> None:
        slow, ended = after.submit(0.3, 3), double.submit(0)
        ended.wait()
        steps = as_completed([slow, ended], timeout=0)
        assert next(steps) is ended
        with pytest.raises(TimeoutError, match=r"1 \(of 2\) futures unfinished"):
            next(steps)

    waiting()


async def test_as_completed_in_an_event_loop(concurrent_runner: TaskRunner) -> None:
    """With `async for` the loop goes on meanwhile; a plain `for` works too."""

    @flow(task_runner=concurrent_runner)
    async def waiting() -> list[int]:
        first, second = after.submit(0.1, 1), after.submit(0.2, 2)
        results = [await future async for future in as_completed([second, first])]
        results += [future.result() for future in as_completed(double.map([4]))]
        async for future in as_completed([first], timeout=0):
            results.append(future.result())
        with pytest.raises(TimeoutError):
            async for _ in as_completed([after.submit(0.3, 3)], timeout=0.01):
                pass
        return results

    assert await waiting() == [1, 2, 8, 1]


def test_a_list_raises_the_first_failure_to_happen(concurrent_runner: TaskRunner) -> None:
    """Without waiting for the rest, wherever it stands in the list."""

    @flow(task_runner=concurrent_runner)
    def waiting() -> None:
        futures = FutureList([after.submit(0.5, 1), fail.submit("quick")])
        with pytest.raises(ValueError, match="quick"):
            futures.result()
        assert not futures[0].state.is_final()

    waiting()


def test_callbacks_are_called_once_the_run_has_ended(task_runner: TaskRunner) -> None:
    """Also when it has ended already, and also after another one that fails."""

    @flow(task_runner=task_runner)
    def calling() -> list[Future]:
        called: list[Future] = []
        future = double.submit(1)
        future.add_done_callback(lambda _: called.append(1 // 0))
        future.add_done_callback(called.append)
        future.wait()
        future.add_done_callback(called.append)
        return called == [future, future]

    assert calling() is True


def test_futures_anywhere_can_be_replaced(task_runner: TaskRunner) -> None:
    """By states or by results; without any the same object comes back."""

    @flow(task_runner=task_runner)
    def replacing() -> None:
        nested = {"a": [double.submit(1), 5], "b": double.map([2, 3])}
        assert resolve_futures_to_results(nested) == {"a": [2, 5], "b": [4, 6]}
        found = resolve_futures_to_states(nested)
        assert [state.result() for state in found["b"]] == [4, 6]
        assert type(found["b"]) is list
        plain = {"a": [1]}
        assert resolve_futures_to_states(plain) is plain
        with pytest.raises(ValueError, match="no"):
            resolve_futures_to_results([fail.submit()])

    replacing()


def test_futures_can_be_keys_and_members(task_runner: TaskRunner) -> None:
    """Each is equal only to itself."""

    @flow(task_runner=task_runner)
    def using() -> int:
        first, second = double.submit(1), double.submit(1)
        return len({first: 1, second: 2}) + len({first, second, first})

    assert using() == 4
