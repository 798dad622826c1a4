"""`millstream task-run`: look at task runs."""

import itertools

import click

from millstream import inspecting
from millstream.cli import flow_run, run_tables, tables
from millstream.inspecting import Run


@click.group("task-run")
def task_run() -> None:
    """Look at task runs."""


@task_run.command()
@click.argument("flow_run_id", metavar="FLOW_RUN_ID")
@click.option(
    "--state", "states", multiple=True, metavar="NAME", help="Only in this state, such as Failed. Repeatable."
)
@click.option("--name", metavar="NAME", help="Only runs of this task, or the run of this name.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many.")
@tables.json_option
def ls(flow_run_id: str, states: tuple[str, ...], name: str | None, limit: int, as_json: bool) -> None:
    """List the task runs of the flow run FLOW_RUN_ID, those that have not ended first."""
    wanted = {state.lower() for state in states}

    def takes(run: Run) -> bool:
        return (not wanted or run.state.lower() in wanted) and name in (None, run.name, run.function_name)

    try:
        found = list(itertools.islice(inspecting.task_runs(flow_run_id, takes), limit + 1))
    except ValueError as failure:
        raise click.BadParameter(str(failure), param_hint="FLOW_RUN_ID") from failure
    run_tables.show_many(found[:limit], as_json=as_json)
    if len(found) > limit:
        click.echo(f"There are more than these {limit}: --limit.", err=True)


@task_run.command()
@click.argument("task_run_id", metavar="ID")
@tables.json_option
def inspect(task_run_id: str, as_json: bool) -> None:
    """Show the task run ID: how it stands, why it does not move, what it raised."""
    run_tables.show(task_run_id, as_json=as_json)


@task_run.command()
@click.argument("task_run_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until the task run has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each line.")
@click.pass_context
def logs(ctx: click.Context, task_run_id: str, follow: bool, as_json: bool) -> None:
    """Show what the task run ID has logged; `flow-run logs` has more ways to choose lines."""
    ctx.invoke(flow_run.logs, flow_run_id=task_run_id, follow=follow, as_json=as_json)
