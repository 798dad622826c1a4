"""`millstream server`: the embedded server, kept running, ended, looked at."""

import sys

import click

from millstream.cli import tables
from millstream.embedded import upkeep
from millstream_shared import settings

_SICK, _NOT_RUNNING = 1, 3  # what init scripts answer to `status` when a service is dead, and when it is stopped


@click.group()
def server() -> None:
    """Look after the private server that programs use when MILLSTREAM_REDIS_URL is not set.

    It starts by itself with the first program that needs it, and ends with the last.
    """
    if settings.get_settings().redis_url:
        click.echo("Note: MILLSTREAM_REDIS_URL is set, so programs use that Redis and not this server.", err=True)


@server.command()
def start() -> None:
    """Start it, and keep it running with or without users until `server stop`."""
    click.echo(f"running at {upkeep.start_server(settings.get_settings().home)}")


@server.command()
@click.option("--force", is_flag=True, help="Even if programs use it; they lose their connection.")
def stop(force: bool) -> None:
    """End it. Its history stays on disk."""
    ended = upkeep.stop_server(settings.get_settings().home, force=force)
    click.echo("stopped" if ended else "it was not running")


@server.command()
def status() -> None:
    """Show whether it runs, and how it does. Exit code 0 if it runs, 1 if it runs but does not answer, 3 if not."""
    found = upkeep.read_status(settings.get_settings().home)
    if not found.answers:
        click.echo("running, but it does not answer" if found.running else "not running")
        click.echo(f"{_line('url', found.url)}\n{_line('history', tables.size(found.data_bytes))}")
        sys.exit(_SICK if found.running else _NOT_RUNNING)
    lines = {
        "url": found.url,
        "process": str(found.pid),
        "version": found.version,
        "memory": tables.size(found.memory_bytes),
        "used by": "unknown" if found.users is None else tables.number(found.users, "process", "processes"),
        "clients": tables.number(found.connections, "connection", "connections"),
        "history": tables.size(found.data_bytes),
        "ends": "with `millstream server stop`" if found.kept else "with the last process that uses it",
    }
    click.echo("\n".join(["running", *(_line(name, value) for name, value in lines.items())]))


def _line(name: str, value: str) -> str:
    return f"  {name:<10}{value}"
