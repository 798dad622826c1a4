"""How commands write values and tables when nobody but another program reads them."""

import io
import json
from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from millstream.cli import tables


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0.253, "0.25 s"),
        (9.99, "10 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (7200, "2 h"),
        (187_000, "2 d 3 h"),
        (-3, "0 s"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float | None, said: str) -> None:
    """What counts for a second is shown to the hundredth, what takes days to the hour."""
    assert tables.duration(seconds) == said


def test_a_table_in_a_pipe_is_aligned_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns of numbers stand on the right, and a name of 200 characters is there in full."""
    tables.print_table(("name", "queued"), [("a" * 200, "7"), ("b", "12345")])
    head, first, second = capsys.readouterr().out.splitlines()
    assert head == "name" + " " * 198 + "queued"
    assert first == "a" * 200 + " " * 7 + "7"
    assert second.split() == ["b", "12345"]


def test_names_cannot_break_lines_or_send_codes_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A run may be called as its program likes."""
    tables.print_table(("name",), [("evil\n\x1b[2Jname",)])
    assert capsys.readouterr().out == "name\nevil  [2Jname\n"


def test_a_table_on_a_terminal_keeps_all_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too long for the width goes on in the next line."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout", screen := Terminal())
    tables.print_table(("name", "n"), [("x" * 100, "1")])
    assert screen.getvalue().count("x") == 100


def test_nothing_to_show_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty table is a sentence."""
    tables.print_table(("name",), [], empty="There are no queues.")
    assert capsys.readouterr().out == "There are no queues.\n"


def test_json_is_one_option_of_all_commands() -> None:
    """A command that takes it gets `as_json`; dataclasses are objects, sets are lists."""

    @dataclass
    class Thing:
        name: str
        tags: frozenset[str]

    @click.command()
    @tables.json_option
    def show(as_json: bool) -> None:
        if as_json:
            tables.print_json([Thing("x", frozenset("ba"))])

    assert json.loads(CliRunner().invoke(show, ["--json"]).output) == [{"name": "x", "tags": ["a", "b"]}]
    assert CliRunner().invoke(show, []).output == ""
