"""Validation of a flow's parameters against its annotations, by pydantic, which is imported when first needed."""

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from millstream.parameters import Parameters
from millstream_shared import errors

# A value of exactly one of these is valid as it is, which spares short programs the import of pydantic.
_SCALARS: Final = frozenset({int, str, float, bool, bytes})
_hints: "WeakKeyDictionary[Callable[..., Any], dict[str, Any]]" = WeakKeyDictionary()
_adapters: "WeakKeyDictionary[Callable[..., Any], Any]" = WeakKeyDictionary()


def validate(fn: Callable[..., Any], takes: Parameters, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`parameters` cast to the annotations of `fn`; a parameter without one, or at its default, stays as it is.

    Raises ParameterTypeError, which names the flow and every value that does not fit.
    """
    hints = _hints_of(fn, takes)
    to_check = {key: value for key, value in parameters.items() if _needs_check(key, value, hints, takes.defaults)}
    if not to_check:
        return dict(parameters)
    from pydantic import ValidationError

    try:
        cast = _adapter_of(fn, hints).validate_python(to_check)
    except ValidationError as invalid:
        told = "\n".join(
            f"  {'.'.join(str(part) for part in error['loc'])}: {error['msg']} (got {error['input']!r})"
            for error in invalid.errors()
        )
        # No cause: the text has it all, and the pydantic error would not survive pickling.
        raise errors.ParameterTypeError(f"Flow {name!r} was called with invalid parameters:\n{told}") from None
    return {**parameters, **cast}


def _needs_check(key: str, value: Any, hints: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    if key not in hints or (key in defaults and defaults[key] is value):
        return False
    return not (hints[key] in _SCALARS and type(value) is hints[key])


def _hints_of(fn: Callable[..., Any], takes: Parameters) -> dict[str, Any]:
    found = _hints.get(fn)
    if found is None:
        _hints[fn] = found = {
            key: _widened(member.kind, hint)
            for key, member in takes.signature.parameters.items()
            if (hint := _resolved(fn, member.annotation)) is not Any
        }
    return found


def _widened(kind: Any, hint: Any) -> Any:
    if kind is inspect.Parameter.VAR_POSITIONAL:
        return tuple[hint, ...]
    return dict[str, hint] if kind is inspect.Parameter.VAR_KEYWORD else hint


def _resolved(fn: Callable[..., Any], annotation: Any) -> Any:
    """The annotation as an object; Any where there is none, or where its names cannot be found."""
    if annotation is inspect.Parameter.empty:
        return Any
    target = inspect.unwrap(fn)
    names = {**getattr(target, "__globals__", {}), **_closure_of(target)}
    holder = type("holder", (), {"__annotations__": {"it": annotation}})
    try:
        return typing.get_type_hints(holder, globalns=names, localns=names, include_extras=True)["it"]
    except (NameError, AttributeError, TypeError):
        return Any


def _closure_of(fn: Any) -> dict[str, Any]:
    try:
        return dict(inspect.getclosurevars(fn).nonlocals)
    except TypeError:
        return {}


def _adapter_of(fn: Callable[..., Any], hints: Mapping[str, Any]) -> Any:
    found = _adapters.get(fn)
    if found is None:
        from pydantic import ConfigDict, TypeAdapter
        from typing_extensions import TypedDict

        fields: Any = TypedDict("parameters", dict(hints), total=False)  # type: ignore[operator]
        fields.__pydantic_config__ = ConfigDict(arbitrary_types_allowed=True)
        _adapters[fn] = found = TypeAdapter(fields)
    return found
