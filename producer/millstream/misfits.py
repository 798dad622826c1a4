"""What is wrong with values that do not fit a JSON Schema, in the words that users are told."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import jsonschema
import jsonschema.exceptions

from millstream import coercions

_best_match = cast("Any", jsonschema.exceptions).best_match


def named(schema: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[str]:
    """For each of these values that does not fit its part of the schema of an object: where, and why not."""
    known = schema.get("properties", {})
    # What is missing or unknown is told of already, in words of our own.
    given = {name: value for name, value in values.items() if name in known or schema.get("additionalProperties")}
    validator = coercions.validator({**schema, "required": []}, schema)
    found = map(_innermost, validator.iter_errors(given))
    for problem in sorted(found, key=lambda problem: list(map(str, problem.absolute_path))):
        place = ".".join(str(part) for part in problem.absolute_path)
        yield f"{place}: {_reason(problem)}"


def _innermost(problem: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Of a value that may be one of several: what is wrong within it, if it is of the right kind as a whole."""
    inner = cast("jsonschema.ValidationError | None", _best_match([problem]))
    return inner if inner and len(inner.absolute_path) > len(problem.absolute_path) else problem


def _reason(problem: jsonschema.ValidationError) -> str:
    if problem.validator == "type":
        return f"{_shown(problem.instance)} is not of type {problem.validator_value!r}"
    if problem.validator in ("anyOf", "oneOf"):
        rules = cast("list[dict[str, Any]]", problem.validator_value)
        kinds = [repr(rule.get("format") or rule.get("type") or "something else") for rule in rules]
        return f"{_shown(problem.instance)} is not of type {' or '.join(kinds)}"
    return problem.message


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
