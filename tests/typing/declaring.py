"""Declaring tasks and flows: the decorators keep the signature, whatever options they are given."""

from datetime import timedelta
from typing import Any, assert_type

from millstream import Flow, State, Task, flow, task
from millstream.cache_policies import INPUTS
from millstream.states import Failed
from millstream.tasks import exponential_backoff
from millstream.transactions import Transaction


@task
def bare(x: int, y: str = "") -> float:
    return x + len(y)


@task(name="other", retries=3, retry_delay_seconds=exponential_backoff(2), tags=["a"], timeout_seconds=5)
def with_options(x: int) -> list[int]:
    return [x]


@task(cache_policy=INPUTS - "x", cache_expiration=timedelta(hours=1), log_prints=True)
async def asynchronous(x: int) -> str:
    return str(x)


def plain(x: int) -> bytes:
    return bytes(x)


made = task(plain)
made_with_options = task(plain, name="made")
constructed = Task(plain, retries=1)
renamed = bare.with_options(name="renamed", retry_delay_seconds=[1, 2.5])

assert_type(bare(1), float)
assert_type(bare(1, y="a"), float)
assert_type(with_options(1), list[int])
assert_type(made(1), bytes)
assert_type(made_with_options(1), bytes)
assert_type(constructed(1), bytes)
assert_type(renamed(1, "a"), float)
assert_type(bare.retries, int)
assert_type(bare.tags, frozenset[str])

bare("a")  # type: ignore[call-overload] # pyright: ignore
made(1, 2)  # type: ignore[call-overload] # pyright: ignore
task(3)  # type: ignore[call-overload] # pyright: ignore
task(retires=3)  # type: ignore[call-overload] # pyright: ignore
bare.with_options(retries="3")  # type: ignore[arg-type] # pyright: ignore


@flow
def simple(n: int) -> dict[str, int]:
    return {"n": n}


@flow(name="named", retries=1, validate_parameters=False)
async def named(n: int) -> str:
    return str(n)


made_flow = flow(plain)
constructed_flow = Flow(plain, name="constructed")
quick = simple.with_options(timeout_seconds=1)

assert_type(simple(1), dict[str, int])
assert_type(quick(n=1), dict[str, int])
assert_type(made_flow(1), bytes)
assert_type(constructed_flow(1), bytes)
simple([1])  # a list may hold futures, so this passes
simple("a")  # type: ignore[call-overload] # pyright: ignore
flow(tags=["a"])  # type: ignore[call-overload] # pyright: ignore


# Hooks, in both forms; a decorated hook stays the function that it is.


def notify(task: Task[..., Any], run: Any, state: State[Any]) -> None: ...


async def notify_async(task: Any, run: Any, state: State[Any]) -> None: ...


@task(on_failure=[notify, notify_async], on_completion=[lambda task, run, state: None])
def hooked() -> None: ...


@hooked.on_running
def started(task: Task[..., Any], run: Any, state: State[Any]) -> int:
    return 1


@hooked.on_rollback
def undo(transaction: Transaction) -> str:
    return str(transaction.get("path"))


@simple.on_crashed
def crashed(flow: Flow[..., Any], run: Any, state: State[Any]) -> None: ...


assert_type(started(hooked, None, Failed()), int)
task(plain, on_failure=notify)  # type: ignore[call-overload] # pyright: ignore


# Tasks and flows are callables with the types of their functions.


def apply(function: Any, x: int) -> None:
    function(x)


assert_type(list(map(bare, [1, 2])), list[float])
