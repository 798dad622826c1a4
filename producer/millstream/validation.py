"""Validation of a flow's parameters against its annotations, by pydantic, which is imported when first needed."""

import ast
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, Final

from millstream.parameters import Parameters
from millstream_shared import errors

# A value of exactly one of these is valid as it is, which spares short programs the import of pydantic.
_SCALARS: Final = (int, str, float, bool, bytes)


def check_annotations(parameters: Parameters) -> None:
    """Raises ValueError, naming the parameter, for an annotation that cannot be one, or a text that is no Python."""
    for key, member in parameters.signature.parameters.items():
        if not _may_be_type(member.annotation):
            raise ValueError(
                f"The annotation of {key!r}, a parameter of {parameters.name!r}, is no type: {member.annotation!r}. "
                f"Correct it, or switch validate_parameters off."
            )


def _may_be_type(annotation: Any) -> bool:
    if not isinstance(annotation, str):
        return not isinstance(annotation, int | float | complex | bytes | list | tuple | dict | set)
    try:
        expression = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return False
    # With `from __future__ import annotations` a text has one more pair of quotes.
    return _may_be_type(expression.value) if isinstance(expression, ast.Constant) else True


class Validator:
    """Casts the parameters of one function to its annotations; resolves these when it is first used.

    A name in an annotation that cannot be found leaves its parameter as it is.
    """

    def __init__(self, fn: Callable[..., Any], parameters: Parameters) -> None:
        self._fn = fn
        self._parameters = parameters

    def validate(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """`parameters`, cast; one without an annotation, or at its default, stays as it is.

        Raises ParameterTypeError, which tells of every value that does not fit.
        """
        to_check = {key: value for key, value in parameters.items() if self._needs_check(key, value)}
        if not to_check:
            return parameters
        from pydantic import ValidationError  # takes a while: only for those who need it

        try:
            return {**parameters, **self.adapter.validate_python(to_check)}
        except ValidationError as invalid:
            told = "\n".join(
                f"  {'.'.join(str(part) for part in error['loc'])}: {error['msg']} (got {error['input']!r})"
                for error in invalid.errors()
            )
            # No cause: the text has it all, and the pydantic error would not survive pickling.
            name = self._parameters.name
            raise errors.ParameterTypeError(f"{name!r} was called with invalid parameters:\n{told}") from None

    def _needs_check(self, key: str, value: Any) -> bool:
        defaults = self._parameters.defaults
        if key not in self.hints or (key in defaults and defaults[key] is value):
            return False
        hint = self.hints[key]
        return not (type(value) is hint and hint in _SCALARS)

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """The types of the parameters that have one, by name: of `*args` a tuple, of `**kwargs` a dictionary."""
        members = self._parameters.signature.parameters.items()
        found = {key: (member.kind, _resolved(self._fn, member.annotation)) for key, member in members}
        return {key: _widened(kind, hint) for key, (kind, hint) in found.items() if hint is not Any}

    @functools.cached_property
    def adapter(self) -> Any:
        """Pydantic's adapter for a dictionary of the parameters that have a type, none of them required."""
        from pydantic import ConfigDict, TypeAdapter
        from typing_extensions import TypedDict

        # A typed dictionary and not a model, as its keys may have any name.
        fields: Any = TypedDict("parameters", dict(self.hints), total=False)  # type: ignore[operator]
        fields.__pydantic_config__ = ConfigDict(arbitrary_types_allowed=True)
        return TypeAdapter(fields)


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
