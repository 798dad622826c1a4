"""`millstream version`."""

import platform
from importlib import metadata

import click


@click.command()
def version() -> None:
    """Print the version of millstream and of Python."""
    click.echo(f"millstream {metadata.version('millstream')} (Python {platform.python_version()})")
