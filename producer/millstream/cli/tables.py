"""How commands show things: tables on a terminal, aligned text in a pipe, JSON for programs."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any, Final, TypeVar, cast

import click

F = TypeVar("F", bound=Callable[..., Any])

_GAP: Final = "  "
_UNITS: Final = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def json_option(command: F) -> F:
    """Give a command the option `--json`, which it takes as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


# --- what is printed --------------------------------------------------------------------------------------------------


def print_json(content: Any) -> None:
    """Print JSON. Dataclasses become objects, and what JSON does not know becomes its text."""
    click.echo(json.dumps(content, indent=2, default=_as_json))


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str = "") -> None:
    """Print rows under heads, or the line `empty` if there are none. Cells that are numbers stand on the right.

    In a pipe nothing is coloured, folded or cut off, whatever the width.
    """
    if not rows:
        if empty:
            click.echo(empty)
        return
    cells = [[one_line(cell) for cell in row] for row in rows]
    right = [all(_is_number(row[at]) for row in cells) for at in range(len(heads))]
    if sys.stdout.isatty():
        _print_rich(heads, cells, right)
        return
    table = [list(heads), *cells]
    widths = [max(len(row[at]) for row in table) for at in range(len(heads))]
    for row in table:
        padded = (
            cell.rjust(width) if at_right else cell.ljust(width)
            for cell, width, at_right in zip(row, widths, right, strict=True)
        )
        click.echo(_GAP.join(padded).rstrip())


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print named values below each other; those that are empty are left out."""
    shown = [(name, value) for name, value in fields if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name.ljust(width)}{_GAP}{one_line(value)}")


def one_line(text: str) -> str:
    """Text that cannot break a line or move the cursor, wherever it came from."""
    return "".join(char if char.isprintable() else " " for char in text)


# --- how values are written -------------------------------------------------------------------------------------------


def moment(seconds: float | None) -> str:
    """A time, given in seconds since the epoch, as the clocks here show it; empty for None."""
    return "" if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """`0.25 s`, `12 s`, `3 min 20 s`, `2 d 4 h`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{max(seconds, 0.0):.2g} s"
    whole = round(seconds)
    for length, unit, part, part_unit in _UNITS:
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length} {unit}" + (f" {rest} {part_unit}" if rest else "")
    return f"{whole} s"


def duration_since(seconds: float | None) -> str:
    """How long a time, given in seconds since the epoch, has passed; empty for None."""
    return "" if seconds is None else duration(time.time() - seconds)


def size(count: int) -> str:
    """A number of bytes: `512 B`, `1.5 MiB`."""
    scaled, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if scaled < 1024:
            break
        scaled, unit = scaled / 1024, larger
    return f"{scaled:.1f} {unit}" if unit != "B" else f"{count} B"


def number(count: int, one: str, several: str) -> str:
    """`1 process`, `2 processes`."""
    return f"{count} {one if count == 1 else several}"


def _as_json(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return sorted(cast("set[Any]", value)) if isinstance(value, set | frozenset) else str(value)


def _is_number(cell: str) -> bool:
    return not cell or cell.replace(",", "").isdecimal()


def _print_rich(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    # Only for a terminal: rich takes a tenth of a second to import.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for head, at_right in zip(heads, right, strict=True):
        table.add_column(head, overflow="fold", justify="right" if at_right else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
