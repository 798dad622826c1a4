"""How concurrency limits are shown: as tables for people, as JSON for programs."""

from collections.abc import Sequence

import click

from millstream.cli import tables
from millstream.limits import Inspection, Limit


def show(limits: Sequence[Limit], *, as_json: bool, prefix: str = "") -> None:
    """List limits. A `prefix` of all their names is left out in the table."""
    if as_json:
        tables.print_json(limits)
        return
    rows = [
        (
            limit.name.removeprefix(prefix),
            f"{limit.taken} of {limit.limit}",
            str(limit.waiting),
            tables.moment(limit.created),
            _kind(limit),
        )
        for limit in limits
    ]
    tables.print_table(("name", "taken", "waiting", "made", ""), rows, empty="There are no limits.")


def show_inspection(found: Inspection, *, as_json: bool) -> None:
    """Show a limit with its holders and waiters."""
    if as_json:
        tables.print_json(found)
        return
    limit = found.limit
    kind = _kind(limit)
    click.echo(f"{limit.name}: {limit.taken} of {limit.limit} slots taken{f', {kind}' if kind else ''}")
    holders = [
        (
            each.label,
            str(each.occupy),
            each.owner or "(called)",
            tables.moment(each.since),
            f"{each.lease_seconds:.0f} s",
        )
        for each in found.holders
    ]
    tables.print_table(("held by", "slots", "process", "since", "lease left"), holders)
    waiters = [
        (str(place), each.label, str(each.occupy), each.owner or "(none: it is queued)")
        for place, each in enumerate(found.waiters, 1)
    ]
    tables.print_table(("", "waiting", "slots", "process"), waiters)


def _kind(limit: Limit) -> str:
    parts = [] if limit.active else ["inactive"]
    if limit.slot_decay_per_second:
        parts.append(f"{limit.slot_decay_per_second:g} come back a second")
    return ", ".join(parts)
