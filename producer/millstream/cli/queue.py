"""`millstream queue`: how queues stand, and whether workers claim from them."""

import click

from millstream import queues
from millstream.cli import suggestions, tables
from millstream_shared.queues import Queue
from millstream_shared.unfinished import UnfinishedRun

_HEADS = ("name", "queued", "flow runs", "postponed", "failed", "workers", "waiting for", "")


@click.group()
def queue() -> None:
    """Look after the queues from which workers take their runs."""


@queue.command()
@tables.json_option
def ls(as_json: bool) -> None:
    """List all queues: what waits in them, who serves them, how long the oldest run has been waiting."""
    found = queues.read_all()
    if as_json:
        tables.print_json(found)
        return
    tables.print_table(_HEADS, [_row(each) for each in found], empty="There are no queues yet.")
    if queues.are_suspended():
        click.echo("Workers of all queues are suspended: `rq resume` ends that.", err=True)


@queue.command()
@click.argument("name", shell_complete=suggestions.queues)
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many runs to show.")
@tables.json_option
def inspect(name: str, limit: int, as_json: bool) -> None:
    """Show the runs that begin next on the queue NAME."""
    found = queues.inspect(name, limit)
    if as_json:
        tables.print_json({"queue": found.queue, "next": [_described(run) for run in found.next]})
        return
    tables.print_table(_HEADS, [_row(found.queue)])
    rows = [
        (str(place), run.name, tables.duration_since(run.created), run.flow_run_id or "(background)", run.run_id)
        for place, run in enumerate(found.next, 1)
    ]
    if rows:
        click.echo()
        tables.print_table(("", "run", "waiting for", "flow run", "id"), rows)


@queue.command()
@click.argument("name", shell_complete=suggestions.queues)
def pause(name: str) -> None:
    """Have workers claim nothing from the queue NAME; what they execute goes on."""
    changed = queues.pause(name)
    click.echo(f"Workers claim nothing from {name!r}." if changed else f"The queue {name!r} is paused already.")


@queue.command()
@click.argument("name", shell_complete=suggestions.queues)
def resume(name: str) -> None:
    """Have workers claim from the queue NAME again."""
    changed = queues.resume(name)
    click.echo(f"Workers claim from {name!r} again." if changed else f"The queue {name!r} is not paused.")


@queue.command()
@click.argument("name", shell_complete=suggestions.queues)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def purge(name: str, yes: bool) -> None:
    """End as Cancelled all runs that wait on the queue NAME; whoever waits for their results is told."""
    found = queues.read(name)
    if not yes:
        runs = tables.number(found.queued + found.postponed, "run", "runs")
        click.confirm(f"End {runs} on the queue {name!r} as Cancelled?", abort=True)
    click.echo(f"{tables.number(queues.purge(name), 'run', 'runs')} ended as Cancelled.")


def _row(found: Queue) -> tuple[str, ...]:
    waits = tables.duration_since(found.oldest)
    counts = (found.queued, found.flow_runs, found.postponed, found.failed, found.workers)
    return found.name, *map(str, counts), waits, "paused" if found.paused else ""


def _described(run: UnfinishedRun) -> dict[str, object]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "kind": run.kind,
        "function": run.function_name,
        "flow_run_id": run.flow_run_id,
        "tags": run.tags,
        "created": run.created,
        "attempts": run.attempts,
    }
