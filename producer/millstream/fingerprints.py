"""A short text for any value or function: the same for what is equal, in every process, and another for anything else.

Values are taken apart rather than pickled as a whole: pickling tells two equal texts from one text that occurs twice,
and knows the order in which a set or a dictionary happens to be.
"""

import hashlib
import io
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from types import CodeType
from typing import Any, Final, cast

from millstream_shared import values

_ATOMS: Final = (bool, int, float, complex, type(None))


def of(*parts: Any) -> str:
    """The fingerprint of these values together: 64 hex digits. Raises ValueError for what cannot be pickled."""
    try:
        return _of(parts).hex()
    except RecursionError:
        raise ValueError("A value that contains itself cannot be told from others.") from None


def of_code(fn: Any) -> str:
    """The fingerprint of what a function does: its code and its name, not its comments, and not where it stands."""
    while hasattr(fn, "__wrapped__"):
        fn = fn.__wrapped__
    if hasattr(fn, "func"):  # a partial
        return of(of_code(fn.func), fn.args, fn.keywords)
    code = getattr(fn, "__code__", None) or getattr(vars(cast("type[Any]", type(fn))).get("__call__"), "__code__", None)
    if isinstance(code, CodeType):
        return of(_code(code))
    return of(f"{getattr(fn, '__module__', '')}:{getattr(fn, '__qualname__', type(fn).__qualname__)}")


def _of(value: Any) -> bytes:
    kind = cast("type[Any]", type(value))
    if kind is str:
        return _hash(b"s", value.encode("utf-8", "surrogatepass"))
    if kind in _ATOMS:
        return _hash(b"a", repr(value).encode())
    if kind in (bytes, bytearray):
        return _hash(b"b", bytes(value))
    if kind in (list, tuple):
        return _hash(kind.__name__.encode(), *map(_of, cast("Iterable[Any]", value)))
    if kind in (set, frozenset):
        return _hash(kind.__name__.encode(), *sorted(map(_of, cast("Iterable[Any]", value))))
    if kind is dict:
        return _hash(b"d", *_pairs(cast("Mapping[Any, Any]", value)))
    return _of_object(kind, value)


def _of_object(kind: type[Any], value: Any) -> bytes:
    name = f"{kind.__module__}:{kind.__qualname__}".encode()
    if is_dataclass(kind):
        return _hash(b"D", name, *_pairs({each.name: getattr(value, each.name, None) for each in fields(kind)}))
    model_fields: Any = getattr(kind, "model_fields", None)
    if isinstance(model_fields, dict) and hasattr(value, "__pydantic_fields_set__"):
        return _hash(b"M", name, *_pairs({key: getattr(value, key) for key in cast("dict[str, Any]", model_fields)}))
    return _hash(b"p", name, _pickled(value))


def _pairs(members: Mapping[Any, Any]) -> Iterable[bytes]:
    return sorted(_of(key) + _of(member) for key, member in members.items())


def _pickled(value: Any) -> bytes:
    target = io.BytesIO()
    pickler: Any = pickle.Pickler(target, 5)
    pickler.fast = True  # writes what occurs twice twice, so that only what is equal counts
    try:
        pickler.dump(value)
        return target.getvalue()
    except Exception:
        # Not by name, as a lambda; or it contains itself.
        return _pickled_by_value(value)


def _pickled_by_value(value: Any) -> bytes:
    try:
        return values.dumps(value)
    except Exception as failure:
        raise ValueError(f"A {type(value).__name__} cannot be told from others: {failure}") from failure


def _code(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(_code(each) if isinstance(each, CodeType) else each for each in code.co_consts)
    return code.co_name, code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars


def _hash(kind: bytes, *parts: bytes) -> bytes:
    made = hashlib.sha256(kind)
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.digest()
