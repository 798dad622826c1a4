"""Parameters of flows as they are written on a command line: data, which nothing evaluates."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import click


def collected(texts: Iterable[str], as_object: str | None, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of `NAME=VALUE` texts and of one JSON object; the former go before the latter.

    A value is JSON or, if it is none, or a text is what the flow takes there, text. Raises UsageError for what is no
    NAME=VALUE and no JSON object, and for a name that is given twice.
    """
    found = _of_object(as_object) if as_object else {}
    named = [_named(text) for text in texts]
    twice = {name for at, (name, _) in enumerate(named) if name in [other for other, _ in named[:at]]}
    if twice:
        raise click.UsageError(f"Given twice: {', '.join(sorted(twice))}.")
    rules = schema.get("properties", {})
    return found | {name: _value(text, rules.get(name, {})) for name, text in named}


def _named(text: str) -> tuple[str, str]:
    name, is_given, value = text.partition("=")
    if not is_given or not name:
        raise click.UsageError(f"A parameter is NAME=VALUE; got {text!r}.")
    return name, value


def _value(text: str, rule: Mapping[str, Any]) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if rule.get("type") == "string" and not isinstance(value, str) else value


def _of_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as mistake:
        raise click.UsageError(f"--params takes a JSON object: {mistake}.") from None
    if not isinstance(found, dict):
        raise click.UsageError(f'--params takes a JSON object such as {{"name": 1}}; got {text}.')
    return cast("dict[str, Any]", found)
