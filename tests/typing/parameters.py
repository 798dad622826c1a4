"""Parameters of all kinds, with futures beside values that are narrower than what the parameter takes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypedDict, TypeVar, assert_type

from millstream import Future, flow, task

T = TypeVar("T")


class Options(TypedDict):
    depth: int


@task
def one() -> int:
    return 1


@task
def number(x: int, y: float) -> int:
    return x


@task
def optional(x: int, y: str | None = None) -> int:
    return x


@task
def literal(x: int, mode: Literal["fast", "good"] = "fast") -> int:
    return x


@task
def typed_dict(x: int, options: Options) -> int:
    return x


@task
def collections(xs: Sequence[float], weights: Mapping[str, float]) -> int:
    return len(xs)


@task
def function(f: Callable[[int], int], x: int) -> int:
    return f(x)


@task
def generic(x: T, y: T) -> T:
    return x


@task
def keywords(x: int, **rest: str) -> int:
    return x


@task
def defaults(x: int = 1, y: int = 2) -> int:
    return x


@flow
def iterable(xs: Iterable[int]) -> int:
    return sum(xs)


@flow
def futures_beside_values() -> None:
    """None of these is an error."""
    future = one.submit()
    number.submit(future, 1)
    number.submit(True, future)
    optional.submit(future, None)
    optional.submit(future, y=None)
    literal.submit(future, "good")
    literal.submit(future, mode="fast")
    typed_dict.submit(future, {"depth": 1})
    typed_dict.submit(1, {"depth": 1})
    collections.submit([future, 1.5], {"a": future})
    collections.submit((1, 2), {"a": 1})
    function.submit(lambda x: x + 1, future)
    keywords.submit(1, a="b")
    keywords.submit(future, a="b")
    keywords.submit(1, a=future)
    defaults.submit()
    defaults.submit(future)
    defaults.submit(y=future)
    iterable(range(3))
    iterable([future])
    assert_type(generic.submit(1, 2), Future[int])
    assert_type(generic("a", "b"), str)


@flow
def values_beside_futures() -> None:
    """What is wrong is found beside a future too."""
    future = one.submit()
    literal.submit(future, "bad")  # pyright: ignore
    optional.submit(future, 3)  # pyright: ignore
    function.submit(3, future)  # pyright: ignore
    iterable(3)  # type: ignore[call-overload] # pyright: ignore


def take(f: Callable[[int, float], int]) -> int:
    return f(1, 2)


assert_type(take(number), int)
