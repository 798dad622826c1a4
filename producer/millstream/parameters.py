"""From a call's arguments to a dictionary of parameters by name, and back to a call."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from millstream_shared import errors

RESERVED: Final = ("return_state", "wait_for")
_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_PLAIN: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD


class Parameters:
    """The parameters of one function.

    A run's parameters are a dictionary in the order of the signature, `*args` in it as a tuple under its name,
    `**kwargs` as a dictionary. Raises ReservedArgumentError for a function with a parameter that calls need for
    themselves.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.signature = _signature_of(function)
        self.name = name
        members = self.signature.parameters
        for reserved in RESERVED:
            if reserved in members:
                raise errors.ReservedArgumentError(name, reserved)
        self.names = tuple(members)
        self.defaults: dict[str, Any] = {
            key: member.default for key, member in members.items() if member.default is not inspect.Parameter.empty
        }
        self._required = len(members) - len(self.defaults)
        # Nearly every function: all parameters can be given by position and by name. For these a bind is three
        # dictionary operations instead of the ten microseconds of `Signature.bind`.
        self._plain = all(member.kind is _PLAIN for member in members.values())
        self.variadic_keyword = next(
            (key for key, m in members.items() if m.kind is inspect.Parameter.VAR_KEYWORD), None
        )
        self.variadic_positional = next(
            (key for key, m in members.items() if m.kind is inspect.Parameter.VAR_POSITIONAL), None
        )

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a call, with defaults, in the order of the signature.

        Raises ParameterBindError when the arguments do not fit.
        """
        if self._plain and len(args) <= len(self.names):
            given = dict(zip(self.names, args, strict=False))
            if len(given) == len(self.names) and not kwargs:
                return given
            bound = {**self.defaults, **given, **kwargs}
            if len(bound) == len(self.names) and not (kwargs and (given.keys() & kwargs or kwargs.keys() - self.names)):
                return {name: bound[name] for name in self.names}
        return self._bind_slowly(args, kwargs, defaults=True)

    def bind_given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The same without defaults. A missing argument is an error here too."""
        return self._bind_slowly(args, kwargs, defaults=False)

    def bind_names(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of a run that is given all of them by name, as values from outside are.

        `*args` is a list under its name; names that the function does not have go into its `**kwargs`. Raises
        ParameterBindError if it has none, or if one without a default is missing.
        """
        given = dict(values)
        own = {name: given.pop(name) for name in self.names if name in given and name != self.variadic_keyword}
        if self.variadic_positional is not None:
            own[self.variadic_positional] = tuple(own.get(self.variadic_positional, ()))
        bound = {**self.defaults, **own}
        if self.variadic_keyword is not None:
            bound[self.variadic_keyword], given = given, {}
        missing = [name for name in self.names if name not in bound]
        if missing or given:
            reason = f"missing: {', '.join(missing)}" if missing else f"unknown: {', '.join(given)}"
            raise errors.ParameterBindError.from_bind_failure(self.name, self.signature, reason)
        return {name: bound[name] for name in self.names}

    def _bind_slowly(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, defaults: bool) -> dict[str, Any]:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as mismatch:
            raise errors.ParameterBindError.from_bind_failure(self.name, self.signature, mismatch) from None
        if defaults:
            bound.apply_defaults()
        return dict(bound.arguments)

    def invoke(self, function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
        """Call `function` with `parameters`, each in the way in which the signature takes it."""
        if self._plain:
            return function(**parameters)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for key, member in self.signature.parameters.items():
            if key not in parameters:
                continue
            if member.kind is inspect.Parameter.VAR_POSITIONAL:
                args.extend(parameters[key])
            elif member.kind is inspect.Parameter.VAR_KEYWORD:
                kwargs.update(parameters[key])
            elif member.kind is inspect.Parameter.KEYWORD_ONLY:
                kwargs[key] = parameters[key]
            else:
                args.append(parameters[key])
        return function(*args, **kwargs)


def _signature_of(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        # Some builtins tell nothing of their parameters; they can at least be called by position.
        return inspect.signature(_anything)


def _anything(*args: Any) -> Any: ...
