"""`millstream config`: the settings, and the file that keeps them for all programs of a user."""

import os

import click

from millstream import configuring
from millstream.cli import suggestions, tables
from millstream_shared import settings


@click.group()
def config() -> None:
    """Look after the settings that all programs of yours share.

    They are kept in the file config.toml in millstream's home; environment variables come first.
    """


@config.command()
@tables.json_option
def view(as_json: bool) -> None:
    """Show all settings, and where each comes from. Passwords and keys are not shown."""
    found = configuring.view()
    if as_json:
        tables.print_json(found)
        return
    rows = [(each.variable, _text(each.value), _text(each.default), each.source) for each in found]
    tables.print_table(("variable", "value", "default", "source"), rows)


@config.command("set")
@click.argument("assignments", metavar="NAME=VALUE...", nargs=-1, required=True, shell_complete=suggestions.assignments)
def set_(assignments: tuple[str, ...]) -> None:
    """Keep settings in the file, all of them or, if one does not fit, none.

    NAME is that of the variable, or the rest of it: `redis_url` is MILLSTREAM_REDIS_URL.
    """
    given: dict[str, str] = {}
    for assignment in assignments:
        name, sign, value = assignment.partition("=")
        if not sign or not value:
            raise click.UsageError(
                f"{assignment!r} is no NAME=VALUE. To take a setting out: `millstream config unset`."
            )
        given[name] = value
    configuring.set_values(given)
    for name in map(configuring.name_of, given):
        click.echo(f"{name} is set in {configuring.place()}.")
        if os.environ.get(settings.variable_of(name)):
            click.echo(f"Note: {settings.variable_of(name)} is set in this environment, and comes first.", err=True)


@config.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=suggestions.settings)
def unset(names: tuple[str, ...]) -> None:
    """Take settings out of the file."""
    configuring.unset(list(names))
    click.echo(f"{', '.join(names)}: no longer in {configuring.place()}.")


def _text(value: object) -> str:
    return "" if value is None else str(value)
