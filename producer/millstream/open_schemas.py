"""JSON Schemas of Python types by pydantic, that take no less than pydantic takes when it validates."""

import re
from typing import Any

import pydantic
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


def of_types(adapter: "pydantic.TypeAdapter[Any]") -> dict[str, Any]:
    """The schema of what the adapter validates; a type that JSON cannot express takes anything."""
    return adapter.json_schema(schema_generator=_Open)


class _Open(GenerateJsonSchema):
    """Takes what pydantic takes from JSON, where its own schemas are narrower than its validation."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:  # noqa: ARG002 - pydantic's
        return {}

    def emit_warning(self, kind: Any, detail: str) -> None:
        """Defaults that are not JSON are left out, and nobody need be told."""

    def date_schema(self, schema: core_schema.DateSchema) -> JsonSchemaValue:
        return _or_number(super().date_schema(schema))

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        return _or_number(super().datetime_schema(schema))

    def time_schema(self, schema: core_schema.TimeSchema) -> JsonSchemaValue:
        return _or_number(super().time_schema(schema))

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        return _or_number(super().timedelta_schema(schema))

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:  # noqa: ARG002 - pydantic's
        return {"anyOf": [{"type": "number"}, {"type": "string"}]}

    def set_schema(self, schema: core_schema.SetSchema) -> JsonSchemaValue:
        return _with_repeats(super().set_schema(schema))

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        return _with_repeats(super().frozenset_schema(schema))

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        found = super().str_schema(schema)
        try:
            re.compile(str(found.get("pattern", "")))
        except re.error:
            del found["pattern"]  # Written for another engine of regular expressions.
        return found


def _or_number(schema: JsonSchemaValue) -> JsonSchemaValue:
    return {"anyOf": [schema, {"type": "number"}]}


def _with_repeats(schema: JsonSchemaValue) -> JsonSchemaValue:
    # What is given twice counts once, so that a list may also be longer than the set.
    return {key: value for key, value in schema.items() if key not in ("uniqueItems", "maxItems")}
