"""How concurrency limits are shown: as tables for people, as JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from millstream.limits import Inspection, Limit


def show(limits: Sequence[Limit], *, as_json: bool, prefix: str = "") -> None:
    """List limits. A `prefix` of all their names is left out in the table."""
    if as_json:
        _print_json([asdict(limit) for limit in limits])
        return
    if not limits:
        click.echo("There are no limits.")
        return
    rows = [
        (
            limit.name.removeprefix(prefix),
            f"{limit.taken} of {limit.limit}",
            str(limit.waiting),
            _kind(limit),
            _when(limit.created),
        )
        for limit in limits
    ]
    _print_table(("name", "taken", "waiting", "", "made"), rows)


def show_inspection(found: Inspection, *, as_json: bool) -> None:
    """Show a limit with its holders and waiters."""
    if as_json:
        _print_json(asdict(found))
        return
    limit = found.limit
    kind = _kind(limit)
    click.echo(f"{limit.name}: {limit.taken} of {limit.limit} slots taken{f', {kind}' if kind else ''}")
    if found.holders:
        holders = [
            (each.label, str(each.occupy), each.owner or "(called)", _when(each.since), f"{each.lease_seconds:.0f} s")
            for each in found.holders
        ]
        _print_table(("held by", "slots", "process", "since", "lease left"), holders)
    if found.waiters:
        waiters = [
            (str(place), each.label, str(each.occupy), each.owner or "(none: it is queued)")
            for place, each in enumerate(found.waiters, 1)
        ]
        _print_table(("", "waiting", "slots", "process"), waiters)


def _kind(limit: Limit) -> str:
    parts = [] if limit.active else ["inactive"]
    if limit.slot_decay_per_second:
        parts.append(f"{limit.slot_decay_per_second:g} come back a second")
    return ", ".join(parts)


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def _print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2))


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # Only when there is something to show: rich takes a tenth of a second to import.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
