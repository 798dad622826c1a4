"""Python values as bytes: pickle protocol 5, and cloudpickle for what plain pickle cannot carry to another process."""

import pickle
from collections.abc import Callable
from typing import Any, cast

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

_PROTOCOL = 5
_dumps_by_value = cast("Callable[[Any, int], bytes]", cloudpickle.dumps)  # pyright: ignore[reportUnknownMemberType]


def dumps(value: Any) -> bytes:
    """Encode `value`. Raises whatever pickling it raised."""
    try:
        data = pickle.dumps(value, _PROTOCOL)
    except Exception:
        return _dumps_by_value(value, _PROTOCOL)
    # Plain pickle names what is defined in a script as `__main__.thing`, which another process looks up in its own
    # `__main__`. The search may also hit a string of the user's: then we only pickle once more.
    if b"__main__" in data:
        return _dumps_by_value(value, _PROTOCOL)
    return data


def loads(data: bytes) -> Any:
    """Decode what `dumps` made."""
    return pickle.loads(data)
