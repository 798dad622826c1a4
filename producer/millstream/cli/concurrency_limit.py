"""`millstream concurrency-limit`: how many task runs with a tag may be executed at once."""

import click

from millstream import limits
from millstream.cli import limit_tables, suggestions, tables

_SLOTS = click.IntRange(min=0)


@click.group("concurrency-limit")
def concurrency_limit() -> None:
    """Limit how many task runs that carry a tag are executed at once, in all processes that use one Redis."""


# It has no options: what looks like one is a number, which is then said to be too small.
@concurrency_limit.command(context_settings={"ignore_unknown_options": True})
@click.argument("tag", shell_complete=suggestions.limited_tags)
@click.argument("limit", type=_SLOTS)
def create(tag: str, limit: int) -> None:
    """Let at most LIMIT runs with TAG begin; if there is such a limit, change it.

    With 0, such runs do not wait but end as Aborted.
    """
    limits.create(limits.of_tag(tag), limit, overwrite=True)
    click.echo(f"At most {limit} task runs with the tag {tag!r} are executed at once.")


@concurrency_limit.command()
@tables.json_option
def ls(as_json: bool) -> None:
    """List all limits on tags."""
    prefix = limits.of_tag("")
    found = [limit for limit in limits.read_all() if limit.name.startswith(prefix)]
    limit_tables.show(found, as_json=as_json, prefix=prefix)


@concurrency_limit.command()
@click.argument("tag", shell_complete=suggestions.limited_tags)
@tables.json_option
def inspect(tag: str, as_json: bool) -> None:
    """Show which runs with TAG have slots, and which wait, the next one first."""
    limit_tables.show_inspection(limits.inspect(limits.of_tag(tag)), as_json=as_json)


@concurrency_limit.command()
@click.argument("tag", shell_complete=suggestions.limited_tags)
def reset(tag: str) -> None:
    """Take all slots back: runs that have some go on, and others begin beside them."""
    limits.reset(limits.of_tag(tag))
    click.echo(f"All slots of the tag {tag!r} are free.")


@concurrency_limit.command()
@click.argument("tag", shell_complete=suggestions.limited_tags)
def delete(tag: str) -> None:
    """Limit runs with TAG no more."""
    limits.delete(limits.of_tag(tag))
    click.echo(f"Task runs with the tag {tag!r} are not limited any more.")
