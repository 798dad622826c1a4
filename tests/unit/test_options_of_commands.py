"""Times, durations and parameters as they are written on a command line."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from millstream.cli import given_parameters, moments


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5 s", 1.5), ("10m", 600), ("10 minutes", 600), ("1h30m", 5400), ("2 d", 172800)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """A number is one of seconds; units may be written out."""
    assert moments.duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "soon", "1x", "h", "-5", "1h-5m"])
def test_other_texts_are_no_durations(text: str) -> None:
    """Which is said."""
    with pytest.raises(click.BadParameter, match="no duration"):
        moments.duration(text)


def test_times_are_those_of_the_clock_here() -> None:
    """Unless they name another zone."""
    assert moments.moment("2026-01-31T09:00+02:00") == datetime(2026, 1, 31, 7, tzinfo=UTC)
    assert moments.moment("2026-01-31T09:00") == datetime(2026, 1, 31, 9).astimezone()
    with pytest.raises(click.BadParameter, match="'noon' is no time"):
        moments.moment("noon")


def test_of_a_time_and_a_duration_one_is_given() -> None:
    """Or none."""
    assert moments.due(None, None) is None
    with pytest.raises(click.UsageError, match="--at or --in"):
        moments.due("2026-01-31", "1h")


def test_parameters_are_json_or_text() -> None:
    """What the flow takes as a text is one, also if it looks like something else."""
    schema = {"properties": {"code": {"type": "string"}, "count": {"type": "integer"}}}
    found = given_parameters.collected(["code=0123", "count=2", "free=[1]", "word=a=b", 'code2="x"'], None, schema)
    assert found == {"code": "0123", "count": 2, "free": [1], "word": "a=b", "code2": "x"}
    assert given_parameters.collected(['code="1"'], '{"code": "2", "n": null}', schema) == {"code": "1", "n": None}


@pytest.mark.parametrize(
    ("texts", "as_object", "told"),
    [
        (["count"], None, "NAME=VALUE"),
        (["=1"], None, "NAME=VALUE"),
        (["a=1", "a=2"], None, "twice: a"),
        ([], "[1]", "JSON object"),
        ([], "{", "JSON object"),
    ],
)
def test_what_is_no_parameter_is_refused(texts: list[str], as_object: str | None, told: str) -> None:
    """By what it should have been."""
    with pytest.raises(click.UsageError, match=told):
        given_parameters.collected(texts, as_object, {})
