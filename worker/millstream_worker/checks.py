"""`millstream worker check`: whether the workers of this machine are well, for probes of containers and of people."""

import sys

import click

_MOST_SILENT_SECONDS = 60.0
"""A server that takes connections and says nothing holds the loop for half of this."""


@click.command()
@click.option("--name", help="Check the worker of this name. Default: all workers of this machine, at least one.")
@click.option(
    "--max-age",
    type=click.FloatRange(min=0, min_open=True),
    default=_MOST_SILENT_SECONDS,
    show_default=True,
    help="Seconds that the loop of a worker may have been silent.",
)
@click.option("--readiness", is_flag=True, help="Also ask Redis whether it hears of the worker.")
def check(name: str | None, max_age: float, readiness: bool) -> None:
    """Exit with 0 if the loop of the worker goes round, else with 1; say which one does not.

    Reads what workers of the same MILLSTREAM_HOME write on this machine. Without --readiness Redis is not asked: a
    worker is well while it waits for a server that is away.
    """
    from millstream_shared.settings import get_settings  # takes its time, which `--help` should not
    from millstream_worker import pulses

    settings = get_settings()
    found = [sign for sign in pulses.signs(pulses.folder(settings)) if name in (None, sign.name)]
    if not found:
        _fail(f"no worker{f' {name!r}' if name else ''} runs here, as {pulses.folder(settings)} says")
    for sign in found:
        if sign.silent_seconds > max_age:
            _fail(f"{sign.worker}, process {sign.pid}, has been silent for {sign.silent_seconds:.0f} s")
    if readiness:
        _ask_redis([sign.worker for sign in found])
    for sign in found:
        click.echo(f"{sign.worker}, process {sign.pid}: heard of {sign.silent_seconds:.1f} s ago")


def _ask_redis(workers: list[str]) -> None:
    from millstream import sessions  # as above
    from millstream_shared import errors
    from millstream_shared.settings import get_settings
    from millstream_shared.worker_names import has_lease

    try:
        store = sessions.open_store(get_settings(), outage_seconds=get_settings().first_contact_seconds)
        for worker in workers:
            if not has_lease(store, worker):
                _fail(f"{worker} lives, but Redis has not heard of it for too long")
    except errors.ServiceError as away:
        _fail(str(away))


def _fail(reason: str) -> None:
    click.echo(reason, err=True)
    sys.exit(1)
