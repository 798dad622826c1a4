"""Futures, states, and waiting for them: the type of the value is kept."""

from collections.abc import Sequence
from typing import Any, assert_type

from millstream import Future, FutureList, State, flow, task
from millstream.concurrency.asyncio import concurrency as async_concurrency
from millstream.concurrency.asyncio import rate_limit as async_rate_limit
from millstream.concurrency.sync import concurrency, rate_limit
from millstream.futures import DoneAndNotDoneFutures, as_completed, wait
from millstream.states import Completed, StateType
from millstream.transactions import Transaction, atransaction, transaction


@task
def number(text: str) -> int:
    return int(text)


@task
def truth() -> bool:
    return True


@flow
def one(future: Future[int]) -> None:
    """A future."""
    assert_type(future.result(), int)
    assert_type(future.result(timeout=1.5, raise_on_failure=False), int)
    assert_type(future.state, State[int])
    assert_type(future.state.type, StateType)
    assert_type(future.done(), bool)
    future.add_done_callback(told)
    future.result("1")  # type: ignore[arg-type] # pyright: ignore


def told(future: Future[int]) -> None: ...


def covariance() -> None:
    """A future of a bool is a future of an int."""
    future: Future[int] = truth.submit()
    state: State[int] = truth.submit(return_state=True)
    futures: Sequence[Future[int]] = truth.map([])
    wrong: Future[str] = truth.submit()  # type: ignore[assignment] # pyright: ignore
    told(truth.submit())
    print(future, state, futures, wrong)


def several(futures: FutureList[int]) -> None:
    """Waiting for several."""
    assert_type(wait(futures), DoneAndNotDoneFutures[int])
    assert_type(wait(futures, timeout=1).done, set[Future[int]])
    done, not_done = wait(futures)
    assert_type(done, set[Future[int]])
    assert_type(not_done, set[Future[int]])
    for future in as_completed(futures):
        assert_type(future, Future[int])
        assert_type(future.result(), int)


async def several_in_async_code(futures: FutureList[int]) -> None:
    """The same in async code."""
    async for future in as_completed(futures, timeout=1):
        assert_type(future, Future[int])
        assert_type(await future, int)
    assert_type(await futures, list[int])


def made_by_hand() -> None:
    """States that programs make."""
    state: State[int] = Completed(data=3)
    assert_type(state.is_completed(), bool)
    print(state.is_complete())  # type: ignore[attr-defined] # pyright: ignore


@flow
def around() -> None:
    """Contexts."""
    with concurrency("db", occupy=2, timeout_seconds=3):
        rate_limit(["api", "db"])
    with transaction(key="x") as running:
        assert_type(running, Transaction)
        assert_type(running.get("path"), Any)


async def around_async() -> None:
    """The same in async code."""
    async with async_concurrency("db"):
        await async_rate_limit("api")
    async with atransaction() as running:
        assert_type(running, Transaction)
