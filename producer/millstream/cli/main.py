"""The command group `millstream`: finds each command by its entry point and loads it when it is called."""

import sys
from importlib import metadata
from typing import Any

import click

from millstream_shared import errors

COMMANDS = "millstream.commands"
"""The group of entry points that become commands; other packages may add to it."""


_PYTHON = f"(Python {sys.version.split()[0]})"


class _Commands(click.Group):
    """A group whose commands are entry points; an error of ours ends it with one line and exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted({command.name for command in metadata.entry_points(group=COMMANDS)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        for command in metadata.entry_points(group=COMMANDS, name=cmd_name):
            try:
                return command.load()
            except (ImportError, AttributeError) as failure:
                return _say_broken(cmd_name, failure)
        return None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except errors.MillstreamError as failure:
            raise click.ClickException(str(failure)) from failure


def _say_broken(name: str, failure: Exception) -> click.Command:
    """A command in place of one that cannot be loaded, so that the others still work."""

    def fail(**_: object) -> None:
        raise click.ClickException(f"The command {name!r} cannot be loaded: {failure}")

    return click.Command(
        name,
        callback=fail,
        short_help="(cannot be loaded)",
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        add_help_option=False,
    )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="millstream", prog_name="millstream", message=f"%(prog)s %(version)s {_PYTHON}")
def main() -> None:
    """Python workflows on Redis: run workers, look after deployments, see what runs.

    Exit codes: 0 if it was done, 1 if it could not be (one line says why), 2 for a command that is wrong as written.
    """
