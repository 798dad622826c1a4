"""`millstream deployment run`: make a run of a deployment, and follow it."""

from typing import Any

import click

from millstream.cli import flow_run_tables, given_parameters, live, moments, suggestions, tables


@click.command(epilog=live.CODES)
@click.argument("name", shell_complete=suggestions.deployments)
@click.option(
    "-p", "--param", "given", multiple=True, metavar="NAME=VALUE", help="A parameter, as JSON or text. Repeatable."
)
@click.option("--params", "as_object", metavar="JSON", help="Parameters as one JSON object.")
@click.option("--at", metavar="TIME", help="When it begins: 2026-01-31T09:00, on the clock here or with a zone.")
@click.option("--in", "within", metavar="DURATION", help="In how long it begins: 90s, 10m, 1h30m.")
@click.option("--tag", "tags", multiple=True, help="A tag of the run. Repeatable.")
@click.option("--name", "run_name", help="What the run is called.")
@click.option("--idempotency-key", "key", help="Of several commands with one key, the first makes the run.")
@click.option("-q", "--queue", help="Another queue than the deployment's.")
@click.option("-w", "--watch", is_flag=True, help="Show how it goes on until it has ended.")
@click.option("--wait", is_flag=True, help="Say nothing until it has ended.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds after which waiting is over; the run goes on.")
@tables.json_option
def run(
    name: str,
    given: tuple[str, ...],
    as_object: str | None,
    at: str | None,
    within: str | None,
    tags: tuple[str, ...],
    run_name: str | None,
    key: str | None,
    queue: str | None,
    watch: bool,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Make a run of the deployment NAME (FLOW/DEPLOYMENT, or an id), and print its id.

    Parameters go before those of the deployment, and are checked before there is a run. With --watch or --wait this
    ends when the run has ended.
    """
    from millstream import triggering  # it loads pydantic, too slow for who asks for help

    if watch and as_json:
        raise click.UsageError("Choose --watch or --json; --wait goes with --json.")
    due = moments.due(at, within)
    try:
        record = triggering.find(triggering.checked_name(name))
    except ValueError as failure:
        raise click.BadParameter(str(failure), param_hint="NAME") from failure
    parameters = given_parameters.collected(given, as_object, record.parameter_schema)
    wanted = triggering.Wanted(parameters, run_name, tags, due, key, queue, is_child=False)
    run_id = triggering.trigger(record, wanted).run_id
    follow(run_id, watch=watch, wait=wait, timeout=timeout, as_json=as_json)


def follow(run_id: str, *, watch: bool, wait: bool, timeout: float | None, as_json: bool) -> None:
    """Print the id of a run, or follow it to its end and leave with the exit code that tells how it ended."""
    from millstream import run_history

    if not (watch or wait or timeout is not None):
        _print(run_history.read_flow_run(run_id), run_id, as_json)
        return
    found = live.watch(run_id, timeout) if watch else live.waited(run_id, timeout)
    _print(found, live.summary(found), as_json)
    raise SystemExit(live.code_of(found))


def _print(found: Any, text: str, as_json: bool) -> None:
    if as_json:
        tables.print_json(flow_run_tables.as_json(found))
    else:
        click.echo(text)
