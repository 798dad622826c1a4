"""`millstream gcl`: global concurrency limits, which `concurrency()` and `rate_limit()` ask for by name."""

import click

from millstream import limits
from millstream.cli import limit_tables, suggestions, tables

_SLOTS = click.IntRange(min=0)
_DECAY = click.FloatRange(min=0)


@click.group()
def gcl() -> None:
    """Look after global concurrency limits: those that code asks for by name, in all processes that use one Redis."""


@gcl.command()
@click.argument("name")
@click.option("-l", "--limit", type=_SLOTS, required=True, help="How many slots.")
@click.option("--disable", is_flag=True, help="It limits nothing until it is enabled.")
@click.option(
    "--slot-decay-per-second", type=_DECAY, default=0.0, help="How many slots come back a second, by themselves."
)
def create(name: str, limit: int, disable: bool, slot_decay_per_second: float) -> None:
    """Make a limit."""
    limits.create(name, limit, active=not disable, slot_decay_per_second=slot_decay_per_second)
    click.echo(f"Made the limit {name!r} of {limit}.")


@gcl.command()
@tables.json_option
def ls(as_json: bool) -> None:
    """List all limits, those on tags as well."""
    limit_tables.show(limits.read_all(), as_json=as_json)


@gcl.command()
@click.argument("name", shell_complete=suggestions.limits)
@tables.json_option
def inspect(name: str, as_json: bool) -> None:
    """Show who holds slots of a limit, and who waits, the next one first."""
    limit_tables.show_inspection(limits.inspect(name), as_json=as_json)


@gcl.command()
@click.argument("name", shell_complete=suggestions.limits)
@click.option("-l", "--limit", type=_SLOTS, help="How many slots.")
@click.option("--enable/--disable", "active", default=None, help="Whether it limits anything.")
@click.option("--slot-decay-per-second", type=_DECAY, help="How many slots come back a second, by themselves.")
def update(name: str, limit: int | None, active: bool | None, slot_decay_per_second: float | None) -> None:
    """Change a limit."""
    if limit is None and active is None and slot_decay_per_second is None:
        raise click.UsageError("Say what to change: --limit, --enable, --disable or --slot-decay-per-second.")
    limits.update(name, limit=limit, active=active, slot_decay_per_second=slot_decay_per_second)
    click.echo(f"Changed the limit {name!r}.")


@gcl.command()
@click.argument("name", shell_complete=suggestions.limits)
def enable(name: str) -> None:
    """Have a limit count."""
    limits.update(name, active=True)
    click.echo(f"The limit {name!r} is active.")


@gcl.command()
@click.argument("name", shell_complete=suggestions.limits)
def disable(name: str) -> None:
    """Have a limit not count; who waits for it is let in."""
    limits.update(name, active=False)
    click.echo(f"The limit {name!r} is inactive.")


@gcl.command()
@click.argument("name", shell_complete=suggestions.limits)
def reset(name: str) -> None:
    """Take all slots back: who has some goes on, and others begin beside them."""
    limits.reset(name)
    click.echo(f"All slots of {name!r} are free.")


@gcl.command()
@click.argument("name", shell_complete=suggestions.limits)
def delete(name: str) -> None:
    """Delete a limit; who waits for it is let in."""
    limits.delete(name)
    click.echo(f"Deleted the limit {name!r}.")
