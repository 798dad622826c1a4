"""Python values as bytes: pickle protocol 5, and cloudpickle for what plain pickle cannot carry to another process."""

import io
import pickle
from collections import ChainMap
from types import CodeType
from typing import Any, ClassVar, cast

import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

_PROTOCOL = 5
_ByValue: Any = cast("Any", cloudpickle).Pickler


def dumps(value: Any) -> bytes:
    """Encode `value`. Raises whatever pickling it raised."""
    try:
        data = pickle.dumps(value, _PROTOCOL)
    except Exception:
        return _dumps_by_value(value)
    # Plain pickle names what is defined in a script as `__main__.thing`, which another process looks up in its own
    # `__main__`. The search may also hit a string of the user's: then we only pickle once more.
    if b"__main__" in data:
        return _dumps_by_value(value)
    return data


def loads(data: bytes) -> Any:
    """Decode what `dumps` made."""
    return pickle.loads(data)


def _dumps_by_value(value: Any) -> bytes:
    data = io.BytesIO()
    _Pickler(data, _PROTOCOL).dump(value)
    return data.getvalue()


def _reduce_code(code: CodeType) -> tuple[Any, ...]:
    make, arguments = _reduce_anonymous(code)
    return _in_file, (make, arguments, code.co_filename)


def _in_file(make: Any, arguments: tuple[Any, ...], file: str) -> CodeType:
    return make(*arguments).replace(co_filename=file)


_reduce_anonymous = _ByValue.dispatch_table[CodeType]


class _Pickler(_ByValue):
    """As cloudpickle's own; but code keeps the name of its file, which cloudpickle 3.1.3 and later leave out.

    A traceback says by it where the error is, and a flow where it can be loaded from.
    """

    dispatch_table: ClassVar = ChainMap({CodeType: _reduce_code}, _ByValue.dispatch_table)
