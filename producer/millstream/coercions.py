"""Values from outside in the types that a JSON Schema asks for: `"5"` becomes 5 where an integer is wanted."""

import datetime
import functools
import json
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import jsonschema
import pydantic

_TRUE: Final = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "off", "0"})
_FORMATS: Final[dict[str, Any]] = {
    "date": datetime.date,
    "date-time": datetime.datetime,
    "time": datetime.time,
    "duration": datetime.timedelta,
    "uuid": uuid.UUID,
}
_REFERENCE: Final = "#/$defs/"
_UNCHANGED: Final = object()


def validator(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """A validator for a part of the schema `root`, whose definitions it may refer to."""
    whole = {**schema, "$defs": root.get("$defs", {})}
    return jsonschema.Draft202012Validator(whole, format_checker=_formats())


@functools.cache
def _formats() -> jsonschema.FormatChecker:
    """Texts that stand for a time or the like are those that pydantic reads, as it is what reads them in the end."""
    checker = jsonschema.FormatChecker(formats=())
    for name, kind in _FORMATS.items():
        read = pydantic.TypeAdapter[Any](kind).validate_python
        checker.checks(name, raises=ValueError)(functools.partial(_is_read, read))
    return checker


def _is_read(read: Callable[[Any], Any], value: Any) -> bool:
    if isinstance(value, str):
        read(value)
    return True


def coerced(schema: Any, value: Any, root: Mapping[str, Any]) -> Any:
    """`value`, changed where that lets the schema, a part of `root`, take it; what nothing helps stays as it is."""
    if not isinstance(schema, dict):
        return value
    rule = cast("dict[str, Any]", schema)
    if "$ref" in rule:
        name = str(rule["$ref"]).removeprefix(_REFERENCE)
        return coerced(root.get("$defs", {}).get(name, {}), value, root)
    for choice in ("anyOf", "oneOf"):
        if choice in rule:
            return _chosen(rule[choice], value, root)
    if "enum" in rule or "const" in rule:
        return _member(rule.get("enum", [rule.get("const")]), value)
    return _within(rule, _of_type(rule.get("type"), value), root)


def _chosen(rules: list[Any], value: Any, root: Mapping[str, Any]) -> Any:
    """In the type of the first of these rules that takes it as it is, else of the first for which it can be changed."""
    if any(validator(rule, root).is_valid(value) for rule in rules):
        return value
    for rule in rules:
        changed = coerced(rule, value, root)
        if validator(rule, root).is_valid(changed):
            return changed
    return value


def _member(members: list[Any], value: Any) -> Any:
    """That of `members` which is equal to the value, as 1 is to true, or of which it is the text."""
    equal = [member for member in members if member == value]
    if not equal and isinstance(value, str):
        equal = [member for member in members if json.dumps(member) == value]
    same = [member for member in equal if type(member) is type(value)]
    return value if same or not equal else equal[0]


def _within(rule: dict[str, Any], value: Any, root: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        items = cast("list[Any]", value)
        first = rule.get("prefixItems", [])
        rest = rule.get("items", {})
        return [coerced(first[at] if at < len(first) else rest, item, root) for at, item in enumerate(items)]
    if isinstance(value, dict):
        own, rest = rule.get("properties", {}), rule.get("additionalProperties", {})
        members = cast("dict[str, Any]", value).items()
        return {name: coerced(own.get(name, rest), item, root) for name, item in members}
    return value


def _of_type(kind: Any, value: Any) -> Any:
    change = _CHANGES.get(kind) if isinstance(kind, str) else None
    if change is None:
        return value
    changed = change(value)
    return value if changed is _UNCHANGED else changed


def _integer(value: Any) -> Any:
    if isinstance(value, bool | float):
        return int(value) if value == value // 1 and math.isfinite(value) else _UNCHANGED
    if not isinstance(value, str):
        return _UNCHANGED
    try:
        return int(value)
    except ValueError:
        number = _number(value)
        return int(number) if isinstance(number, float) and number.is_integer() else _UNCHANGED


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, str):
        return _UNCHANGED
    try:
        number = int(value) if value.strip().lstrip("+-").isdecimal() else float(value)
    except ValueError:
        return _UNCHANGED
    return number if math.isfinite(number) else _UNCHANGED


def _boolean(value: Any) -> Any:
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    word = value.lower() if isinstance(value, str) else None
    return word in _TRUE if word in _TRUE or word in _FALSE else _UNCHANGED


def _null(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() in ("null", "none") else _UNCHANGED


def _parsed(kind: type[Any]) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        if not isinstance(value, str):
            return _UNCHANGED
        try:
            found = json.loads(value)
        except ValueError:
            return _UNCHANGED
        return found if isinstance(found, kind) else _UNCHANGED

    return change


_CHANGES: Final[dict[str, Callable[[Any], Any]]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "null": _null,
    "array": _parsed(list),
    "object": _parsed(dict),
}
