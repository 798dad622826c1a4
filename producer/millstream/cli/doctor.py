"""`millstream doctor`: what is wrong, and what to do about it."""

import sys

import click

from millstream import checkups
from millstream.cli import tables


@click.command()
@tables.json_option
def doctor(as_json: bool) -> None:
    """Check the server, the workers and the settings here; a line for each, with what to do.

    Exit code: 0 if all is well, or there are only warnings; 1 if there is a problem.
    """
    found = checkups.examine()
    if as_json:
        tables.print_json(found)
    else:
        for each in found:
            advice = f" -> {each.advice}" if each.advice else ""
            click.echo(f"{each.verdict:<8} {each.check:<15} {tables.one_line(each.says)}{advice}")
    sys.exit(any(each.verdict == "problem" for each in found))
