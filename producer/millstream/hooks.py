"""Hooks: functions of the user's that are called when a run comes to a state."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, cast

from millstream import drivers, run_logging
from millstream_shared.states import State

Hook = Callable[[Any, Any, State[Any]], Any]
"""`hook(task or flow, its run, the state)`, sync or async."""


def checked(given: Any, option: str) -> tuple[Hook, ...]:
    """`given` as the option takes it. Raises TypeError for what is no list of callables."""
    if given is None:
        return ()
    if callable(given) or isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{option} takes a list of functions, such as [notify]; got {given!r}.")
    hooks = tuple(cast("Iterable[Any]", given))
    for hook in hooks:
        if not callable(hook):
            raise TypeError(f"{option} takes a list of functions; {hook!r} in it cannot be called.")
    return hooks


def called(hooks: tuple[Hook, ...], function: Any, run: Any, state: State[Any]) -> drivers.Steps[None]:
    """Call them in order. An error in one is logged; the others are called, and the state stays."""
    for hook in hooks:
        try:
            yield from drivers.returned(hook(function, run, state))
        except Exception as error:
            run_logging.hook_failed(run, _name_of(hook), error)


def _name_of(hook: Any) -> str:
    inner = cast("functools.partial[Any]", hook).func if isinstance(hook, functools.partial) else hook
    return getattr(inner, "__name__", None) or type(inner).__name__
