"""What `.map` maps over: one dictionary of parameters per child, from the arguments that are iterable."""

import io
from collections.abc import Iterable, Sequence
from typing import Any, cast

from millstream.dependencies import resolve
from millstream.futures import Future
from millstream.utilities.annotations import Annotation, allow_failure, opaque, quote, unmapped
from millstream_shared import errors
from millstream_shared.states import State


def expand(
    parameters: dict[str, Any], defaults: dict[str, Any], variadic_keyword: str | None = None
) -> list[dict[str, Any]]:
    """The parameters of each child of a map.

    `parameters` are those that were given; the `defaults` of the signature go to every child as they are. Members of
    the `variadic_keyword` parameter are mapped each by itself. A future or state that holds an iterable is waited for
    here. Raises MappingMissingIterable, MappingLengthMismatch, and UpstreamTaskError when a future to map over failed.
    """
    given = dict(parameters)
    extra: dict[str, Any] = given.pop(variadic_keyword, {}) if variadic_keyword else {}
    columns, constants = _columns(given)
    extra_columns, extra_constants = _columns(extra)
    length = _common_length({**columns, **extra_columns})
    shared = {**defaults, **constants}
    children = [shared | dict(zip(columns, row, strict=True)) for row in _rows(columns, length)]
    if variadic_keyword and extra:
        for child, row in zip(children, _rows(extra_columns, length), strict=True):
            child[variadic_keyword] = extra_constants | dict(zip(extra_columns, row, strict=True))
    return children


def _columns(parameters: dict[str, Any]) -> tuple[dict[str, Sequence[Any]], dict[str, Any]]:
    columns: dict[str, Sequence[Any]] = {}
    constants: dict[str, Any] = {}
    for key, value in parameters.items():
        column, constant = _column(value)
        if column is None:
            constants[key] = constant
        else:
            columns[key] = column
    return columns, constants


def _column(value: Any) -> tuple[Sequence[Any] | None, Any]:
    """The elements of `value`, one per child; or None and what every child gets instead."""
    if isinstance(value, unmapped):
        return None, cast("unmapped[Any]", value).value
    if isinstance(value, allow_failure | opaque | quote):
        return _annotated_column(cast("Annotation[Any]", value))
    if isinstance(value, Future):
        cast("Future[Any]", value).wait()
    if isinstance(value, Future | State):
        value = resolve(value)
    return (list(cast("Iterable[Any]", value)), None) if _is_iterable(value) else (None, value)


def _annotated_column(annotation: Annotation[Any]) -> tuple[Sequence[Any] | None, Any]:
    """The same with the annotation around each element, or around what every child gets."""
    inner = annotation.value
    if isinstance(inner, Future | State):
        # A quoted future is not looked into, and one whose failure is allowed is waited for by the child.
        return None, annotation
    column, constant = _column(inner)
    if column is None:
        return None, annotation.rewrap(constant)
    return [annotation.rewrap(element) for element in column], None


def _is_iterable(value: Any) -> bool:
    if isinstance(value, str | bytes | bytearray | io.IOBase):
        return False
    try:
        iter(value)
    except TypeError:
        return False
    return True


def _common_length(columns: dict[str, Sequence[Any]]) -> int:
    if not columns:
        raise errors.MappingMissingIterable(
            "Nothing to map over: give at least one argument that is iterable and neither text nor in unmapped()."
        )
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise errors.MappingLengthMismatch(
            f"Iterables to map over must be of one length, but {told}. Wrap what every child shall get in unmapped()."
        )
    return next(iter(lengths.values()))


def _rows(columns: dict[str, Sequence[Any]], length: int) -> Iterable[tuple[Any, ...]]:
    return zip(*columns.values(), strict=True) if columns else [()] * length
