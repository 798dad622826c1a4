"""How the client makes calls: at once in sync code, as an awaitable where an event loop runs, or as it was told."""

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec

from millstream.utilities import asyncutils

P = ParamSpec("P")


class Calls:
    """Methods that block, or are awaited. With `is_sync` they block also where a loop runs; if that is False, never.

    Each has a twin with an `a` before its name, which is always awaited.
    """

    def __init__(self, is_sync: bool | None = None) -> None:
        self._is_sync = is_sync

    def __getattr__(self, name: str) -> Any:
        method = name.removeprefix("a")
        if name.startswith("a") and not method.startswith("_") and hasattr(type(self), method):
            return getattr(type(self)(is_sync=False), method)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _do(self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        if self._is_sync is None:
            return asyncutils.here_or_awaitable(function, *args, **kwargs)
        if self._is_sync:
            return function(*args, **kwargs)
        return asyncio.to_thread(function, *args, **kwargs)
