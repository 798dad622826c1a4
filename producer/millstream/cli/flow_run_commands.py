"""Commands of `millstream flow-run` that list flow runs, follow them, and have them go on, end, or be forgotten."""

import json
from typing import TYPE_CHECKING

import click

from millstream.cli import deployment_runs, flow_run_tables, live, suggestions, tables
from millstream_shared.states import StateType

if TYPE_CHECKING:
    from millstream.recorded_runs import FlowRun


@click.command()
@click.option("--state", metavar="KIND", help="Only in this kind of state, such as Failed or Running.")
@click.option("--flow", metavar="FLOW", help="Only of this flow.", shell_complete=suggestions.flows)
@click.option(
    "--deployment", metavar="NAME", help="Only of this deployment (or its id).", shell_complete=suggestions.deployments
)
@click.option("--tag", "tags", multiple=True, help="Only with this tag. Repeatable.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@tables.json_option
def ls(
    state: str | None, flow: str | None, deployment: str | None, tags: tuple[str, ...], limit: int, as_json: bool
) -> None:
    """List flow runs, the newest first."""
    from millstream import run_history

    try:
        found = run_history.some(
            run_history.flow_runs(state=state, flow=flow, deployment=deployment, tags=tags), limit + 1
        )
    except ValueError as failure:
        raise click.UsageError(str(failure)) from failure
    flow_run_tables.show(found[:limit], as_json=as_json)
    if len(found) > limit and not as_json:
        click.echo(f"There are more than these {limit}: --limit.", err=True)


@click.command(epilog=live.CODES)
@click.argument("flow_run_id", metavar="ID", shell_complete=suggestions.flow_runs)
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds after which to stop watching; the run goes on.")
def watch(flow_run_id: str, timeout: float | None) -> None:
    """Show how the flow run ID goes on until it has ended: its task runs by name, their states, the time left.

    The first twelve digits of the id do, here and in the other commands. In a pipe there is a line for each change.
    """
    deployment_runs.follow(_find(flow_run_id).record.run_id, watch=True, wait=True, timeout=timeout, as_json=False)


@click.command(epilog=live.CODES)
@click.argument("flow_run_id", metavar="ID", shell_complete=suggestions.flow_runs)
@click.option("-w", "--watch", is_flag=True, help="Show how it goes on until it has ended.")
@click.option("--wait", is_flag=True, help="Say nothing until it has ended.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds after which waiting is over; the run goes on.")
def retry(flow_run_id: str, watch: bool, wait: bool, timeout: float | None) -> None:
    """Have the flow run ID, which failed, crashed or was cancelled, executed again under its id.

    What has completed of it is not executed again.
    """
    found = _find(flow_run_id)
    if found.state_type is StateType.PAUSED:
        raise click.ClickException(f"Flow run {found.name!r} is {found.state_name}: resume it.")
    _go_on(found, watch=watch, wait=wait, timeout=timeout)


@click.command(epilog=live.CODES)
@click.argument("flow_run_id", metavar="ID", shell_complete=suggestions.flow_runs)
@click.option("--input", "given", metavar="JSON", help="What a paused run waits for.")
@click.option("-w", "--watch", is_flag=True, help="Show how it goes on until it has ended.")
@click.option("--wait", is_flag=True, help="Say nothing until it has ended.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds after which waiting is over; the run goes on.")
def resume(flow_run_id: str, given: str | None, watch: bool, wait: bool, timeout: float | None) -> None:
    """Have the flow run ID go on from where it is: one that is paused or suspended, failed, crashed or was cancelled.

    What has completed of it is not executed again.
    """
    found = _find(flow_run_id)
    if given is not None and found.state_type is not StateType.PAUSED:
        raise click.ClickException(f"Flow run {found.name!r} is {found.state_name}, and takes no input.")
    _go_on(found, _json(given), watch=watch, wait=wait, timeout=timeout)


@click.command(epilog=live.CODES)
@click.argument("flow_run_id", metavar="ID", shell_complete=suggestions.flow_runs)
@click.option("--wait", is_flag=True, help="Say nothing until it has ended.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds after which waiting is over.")
def cancel(flow_run_id: str, wait: bool, timeout: float | None) -> None:
    """Cancel the flow run ID, with all that it has started; what is executed is told to stop.

    With --wait this ends when that has stopped, with exit code 0 if the run is Cancelled then.
    """
    from millstream import cancelling

    found = _find(flow_run_id)
    state = cancelling.cancel(found.id)
    if not (wait or timeout is not None):
        click.echo(f"Flow run {found.name!r} is {state.name}.")
        return
    after = live.waited(found.record.run_id, timeout)
    click.echo(live.summary(after))
    code = live.code_of(after)
    raise SystemExit(0 if code == live.CANCELLED else code or live.FAILED)


@click.command()
@click.argument("flow_run_id", metavar="ID", shell_complete=suggestions.flow_runs)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete(flow_run_id: str, yes: bool) -> None:
    """Keep nothing of the flow run ID, which has ended: neither its task runs nor what they logged."""
    from millstream import run_history

    found = _find(flow_run_id)
    if not yes:
        click.confirm(f"Delete flow run {found.name!r} of {found.flow_name!r} with its task runs?", abort=True)
    run_history.delete(found.id)
    click.echo(f"Deleted flow run {found.name!r}.")


COMMANDS = (ls, watch, cancel, retry, resume, delete)


def _find(given: str) -> "FlowRun":
    """The flow run of an id, or of its first digits."""
    from millstream import inspecting, run_history

    try:
        found = inspecting.find(given)
    except ValueError as failure:
        raise click.BadParameter(str(failure), param_hint="ID") from failure
    if found.kind != "flow":
        raise click.BadParameter(f"{found.name!r} is a task run: give the id of a flow run.", param_hint="ID")
    return run_history.read_flow_run(found.run_id)


def _json(text: str | None) -> object:
    try:
        return None if text is None else json.loads(text)
    except ValueError as mistake:
        raise click.BadParameter(f"It is no JSON: {mistake}.", param_hint="--input") from None


def _go_on(found: "FlowRun", run_input: object = None, *, watch: bool, wait: bool, timeout: float | None) -> None:
    from millstream import run_states

    try:
        run_states.go_on(found.id, run_input)
    except ValueError as failure:
        raise click.ClickException(str(failure)) from failure
    if watch or wait or timeout is not None:
        deployment_runs.follow(found.record.run_id, watch=watch, wait=wait, timeout=timeout, as_json=False)
    click.echo(f"Flow run {found.name!r} goes on.")
