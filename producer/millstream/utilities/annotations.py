"""Marks around an argument that change how it is treated: unmapped, allow_failure, quote, opaque."""

from typing import Any, Generic, Self, TypeVar, cast

T = TypeVar("T")


class Annotation(tuple[Any], Generic[T]):
    """A tuple of one: the wrapped value. Equal only to an annotation of the same kind around an equal value."""

    __slots__ = ()

    def __new__(cls, value: T) -> Self:
        """Wrap `value`."""
        return super().__new__(cls, (value,))

    def __getnewargs__(self) -> tuple[Any]:
        return (self.value,)

    @property
    def value(self) -> T:
        """What was wrapped."""
        return cast("T", next(iter(self)))

    def unwrap(self) -> T:
        """What was wrapped."""
        return self.value

    def rewrap(self, value: Any) -> Self:
        """The same mark around another value."""
        return type(self)(value)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and tuple.__eq__(self, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((type(self), self.value))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"


class unmapped(Annotation[T]):
    """In `.map`: give this very value to every child instead of one element each."""

    __slots__ = ()

    def __getitem__(self, _: Any) -> Any:
        """The value, whatever the index: every child gets the same."""
        return self.value


class allow_failure(Annotation[T]):
    """Run the receiver although this upstream run failed; it gets the exception object as the value."""

    __slots__ = ()


class quote(Annotation[T]):
    """Hand this value over untouched: it is not searched for futures or states."""

    __slots__ = ()

    def unquote(self) -> T:
        """What was quoted."""
        return self.value


class opaque(Annotation[T]):
    """Do not search this value: a future or state here gives its value, those deeper in it stay what they are."""

    __slots__ = ()


BaseAnnotation = Annotation
