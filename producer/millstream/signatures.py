"""How `submit` and `map` look to type checkers: as the task's own signature, where futures can stand for values.

No type can say "these parameters, each of them or a future of it" (PEP 612 knows the parameters only as a whole), nor
add `wait_for` and `return_state` to them. So a call to `submit` is tried against several signatures:

1. the function's own, as it is: this is what editors complete and show;
2. with a future, a state, an annotation or a collection in one of the first two places, and what the function takes in
   the other (pyright reports what is neither; mypy cannot tell, and lets it pass);
3. with anything by keyword, as there a checker cannot tell a future from a mistake.

A direct call is nearly always one with plain values, so there keywords are the function's own. Who has a future for one
can as well write `future.result()`: such a call waits anyway.

What the function returns is looked at once, in the descriptors: of a coroutine the value, of a generator the items. As
most generators are said to return an `Iterator`, whatever is one is taken for a generator, a file for example too.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeAlias, TypeVar, cast, overload

from millstream.futures import Future, FutureList
from millstream.utilities.annotations import Annotation
from millstream_shared.states import State

if TYPE_CHECKING:
    from millstream.functions import Function

P = ParamSpec("P")
Rest = ParamSpec("Rest")
A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")
R = TypeVar("R", covariant=True)

Upstream: TypeAlias = (
    Future[Any]
    | State[Any]
    | Annotation[Any]
    | list[Any]
    | tuple[Any, ...]
    | dict[Any, Any]
    | set[Any]
    | frozenset[Any]
)
"""What may stand for a value: a future, a state, an annotation around one, or a collection, which may hold some."""


class Submit(Generic[P, R]):
    """`task.submit` of a task with the parameters P, whose runs have values of type R."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self: "Submit[Concatenate[A, B, Rest], T]",
        first: A | Upstream,
        second: B | Upstream,
        /,
        *args: Any,
        return_state: Literal[True],
        wait_for: Any = None,
        **kwargs: Any,
    ) -> State[T]: ...
    @overload
    def __call__(
        self: "Submit[Concatenate[A, Rest], T]",
        first: A | Upstream,
        /,
        *,
        return_state: Literal[True],
        wait_for: Any = None,
        **kwargs: Any,
    ) -> State[T]: ...
    @overload
    def __call__(self, *, return_state: Literal[True], wait_for: Any = None, **kwargs: Any) -> State[R]: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]: ...
    @overload
    def __call__(
        self: "Submit[Concatenate[A, B, Rest], T]",
        first: A | Upstream,
        second: B | Upstream,
        /,
        *args: Any,
        return_state: Literal[False] = False,
        wait_for: Any = None,
        **kwargs: Any,
    ) -> Future[T]: ...
    @overload
    def __call__(
        self: "Submit[Concatenate[A, Rest], T]",
        first: A | Upstream,
        /,
        *,
        return_state: Literal[False] = False,
        wait_for: Any = None,
        **kwargs: Any,
    ) -> Future[T]: ...
    @overload
    def __call__(self, *, return_state: Literal[False] = False, wait_for: Any = None, **kwargs: Any) -> Future[R]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class Map(Generic[R]):
    """`task.map` of a task whose runs have values of type R. What is mapped over is no part of the signature."""

    @overload
    def __call__(
        self, *args: Any, return_state: Literal[True], wait_for: Any = None, **kwargs: Any
    ) -> list[State[R]]: ...
    @overload
    def __call__(
        self, *args: Any, return_state: Literal[False] = False, wait_for: Any = None, **kwargs: Any
    ) -> FutureList[R]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class SubmitMethod:
    """Gives the type of `submit` by that of the task."""

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Callable[..., Any]: ...
    @overload
    def __get__(self, instance: "Function[P, Coroutine[Any, Any, T], Any]", owner: Any = None) -> Submit[P, T]: ...
    @overload
    def __get__(
        self, instance: "Function[P, Iterator[T] | AsyncIterator[T], Any]", owner: Any = None
    ) -> Submit[P, list[T]]: ...
    @overload
    def __get__(self, instance: "Function[P, T, Any]", owner: Any = None) -> Submit[P, T]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any: ...


class MapMethod:
    """Gives the type of `map` by that of the task."""

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Callable[..., Any]: ...
    @overload
    def __get__(self, instance: "Function[..., Coroutine[Any, Any, T], Any]", owner: Any = None) -> Map[T]: ...
    @overload
    def __get__(
        self, instance: "Function[..., Iterator[T] | AsyncIterator[T], Any]", owner: Any = None
    ) -> Map[list[T]]: ...
    @overload
    def __get__(self, instance: "Function[..., T, Any]", owner: Any = None) -> Map[T]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any: ...


def submitting(method: Callable[..., Any]) -> SubmitMethod:
    """The method itself, with the type of a `submit`."""
    return cast("SubmitMethod", method)


def mapping(method: Callable[..., Any]) -> MapMethod:
    """The method itself, with the type of a `map`."""
    return cast("MapMethod", method)
