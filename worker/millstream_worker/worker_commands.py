"""`millstream worker ls|inspect|stop`: workers that are running, wherever they are."""

import time

import click

from millstream import workers
from millstream.cli import suggestions, tables
from millstream_shared.workers import Worker

_HEADS = ("name", "host", "pid", "queues", "state", "runs", "started", "heartbeat", "version")


@click.command()
@tables.json_option
def ls(as_json: bool) -> None:
    """List the workers, ours and RQ's own, that were heard of lately."""
    found = workers.read_all()
    if as_json:
        tables.print_json(found)
        return
    tables.print_table(_HEADS, [_row(worker) for worker in found], empty="No worker runs: `millstream worker start`.")


@click.command()
@click.argument("name", shell_complete=suggestions.workers)
@tables.json_option
def inspect(name: str, as_json: bool) -> None:
    """Show the worker NAME, and what it executes now."""
    found = workers.inspect(name)
    worker = found.worker
    if as_json:
        runs = [
            {
                "run_id": run.run_id,
                "name": run.name,
                "started": run.started,
                "attempt": run.attempts,
                "queue": run.queue,
            }
            for run in found.executing
        ]
        tables.print_json({"worker": worker, "executing": runs})
        return
    lease = worker.lease_seconds
    fields = [
        ("name", worker.name),
        ("host", worker.host),
        ("pid", _text(worker.pid)),
        ("queues", ", ".join(worker.queues)),
        ("state", worker.state),
        ("processes", _text(worker.processes)),
        ("threads", f"{worker.threads} each" if worker.threads else ""),
        ("started", tables.moment(worker.started)),
        ("heartbeat", _since(worker.heartbeat)),
        ("lease", "" if lease is None else f"{tables.duration(lease)} left" if lease > 0 else "run out"),
        ("version", worker.version),
        ("python", worker.python),
    ]
    tables.print_fields(fields)
    click.echo()
    rows = [
        (run.name, tables.duration_since(run.started), str(run.attempts), run.queue, run.run_id)
        for run in found.executing
    ]
    tables.print_table(("executes", "for", "attempt", "queue", "id"), rows, empty="It executes nothing.")


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=suggestions.workers)
@click.option("--now", is_flag=True, help="Hand back at once what it executes, as a second signal would have it.")
@click.option("--wait", is_flag=True, help="Return when it has ended.")
@click.option(
    "--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer; then the exit code is 1."
)
def stop(names: tuple[str, ...], now: bool, wait: bool, timeout: float | None) -> None:
    """Tell the workers NAME... to end: they claim no more, and end with what they execute now."""
    for name in names:
        workers.stop(name, at_once=now)
        click.echo(f"{name} is told to end.")
    if not wait and timeout is None:
        return
    deadline = None if timeout is None else time.monotonic() + timeout
    for name in names:
        left = None if deadline is None else deadline - time.monotonic()
        if not workers.wait_for_end(name, left):
            raise click.ClickException(f"{name} has not ended within {timeout:g} s.")
        click.echo(f"{name} has ended.")


def _row(worker: Worker) -> tuple[str, ...]:
    return (
        worker.name,
        worker.host,
        _text(worker.pid),
        ",".join(worker.queues),
        worker.state,
        str(worker.executing),
        tables.moment(worker.started),
        _since(worker.heartbeat),
        worker.version,
    )


def _since(moment: float | None) -> str:
    return f"{tables.duration_since(moment)} ago" if moment else ""


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
