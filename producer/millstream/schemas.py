"""JSON Schemas of flows' parameters, and the check of values from outside against them, without the flow."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import pydantic_core

from millstream import open_schemas
from millstream.parameters import Parameters
from millstream_shared import errors

if TYPE_CHECKING:
    from millstream.flows import Flow

Schema = dict[str, Any]


def of_flow(flow: "Flow[..., Any]") -> Schema:
    """The JSON Schema of an object with the flow's parameters.

    One without a default is required. A type that JSON cannot express takes anything, as does one without annotation,
    and all of them where the flow does not validate. `*args` is an array under its name; for `**kwargs` the object may
    have further names.
    """
    parameters = flow.parameters
    types: Schema = open_schemas.of_types(flow.type_adapter) if flow.should_validate_parameters else {}
    described = types.get("properties", {})
    schema: Schema = {"type": "object", "title": "Parameters", "properties": {}, "additionalProperties": False}
    for name in parameters.names:
        if name == parameters.variadic_keyword:
            schema["additionalProperties"] = described.get(name, {}).get("additionalProperties", True)
        elif name == parameters.variadic_positional:
            schema["properties"][name] = {"type": "array", "default": [], **described.get(name, {})}
        else:
            schema["properties"][name] = described.get(name, {}) | _default(parameters.defaults, name)
    schema["required"] = [name for name in schema["properties"] if _is_required(parameters, name)]
    return schema | ({"$defs": types["$defs"]} if "$defs" in types else {})


def _is_required(parameters: Parameters, name: str) -> bool:
    return name not in parameters.defaults and name != parameters.variadic_positional


def _default(defaults: Mapping[str, Any], name: str) -> Schema:
    try:
        return {"default": as_json(defaults[name])} if name in defaults else {}
    except ValueError:
        return {}


def as_json(value: Any) -> Any:
    """The value as plain JSON data: dates, sets, models and the like become what JSON has for them.

    Raises ValueError for what cannot be written as JSON.
    """
    plain = pydantic_core.to_jsonable_python(value)
    json.dumps(plain, allow_nan=False, ensure_ascii=False).encode()
    return plain


def checked(schema: Schema, parameters: Mapping[str, Any], *, flow_name: str, partial: bool = False) -> dict[str, Any]:
    """`parameters` as JSON data that the schema takes: a text that means a number where one is asked for becomes it.

    `partial`: some may be missing. Raises ParameterBindError where names are unknown or missing, else
    ParameterTypeError where values do not fit; either tells of all that is wrong.
    """
    unfit: list[str] = []
    plain = dict(_as_plain(parameters, unfit))
    misnamed = list(_misnamed(schema, parameters, partial))
    values: dict[str, Any] = {}
    if plain:
        from millstream import coercions, misfits  # only here: jsonschema takes as long to import as a Redis client

        values = cast("dict[str, Any]", coercions.coerced(schema, plain, schema))
        unfit += misfits.named(schema, values)
    if misnamed or unfit:
        kind = errors.ParameterBindError if misnamed else errors.ParameterTypeError
        told = "\n".join(f"  {problem}" for problem in [*misnamed, *unfit])
        raise kind(f"The flow {flow_name!r} cannot be run with these parameters:\n{told}")
    return values


def _as_plain(parameters: Mapping[str, Any], unfit: list[str]) -> Iterator[tuple[str, Any]]:
    for name, value in parameters.items():
        try:
            yield name, as_json(value)
        except ValueError as failure:
            unfit.append(f"{name}: cannot be written as JSON: {failure}")


def _misnamed(schema: Schema, parameters: Mapping[str, Any], partial: bool) -> Iterator[str]:
    known = schema.get("properties", {})
    if schema.get("additionalProperties") is False:
        there_are = f"it has {', '.join(known)}" if known else "it has none"
        yield from (f"{name}: no such parameter; {there_are}" for name in parameters if name not in known)
    if not partial:
        missing = (name for name in schema.get("required", ()) if name not in parameters)
        yield from (f"{name}: it has no default, and is missing" for name in missing)
