"""How runs are shown: one with all that is known of it, or many in a table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import click

from millstream import explaining, inspecting
from millstream.cli import tables
from millstream.inspecting import Run


def show(run_id: str, *, as_json: bool) -> None:
    """Show a run with the reason why it does not move; of a flow run also how many task runs are in which state.

    Raises click's BadParameter for what is no id.
    """
    try:
        run = inspecting.inspect(run_id)
    except ValueError as failure:
        raise click.BadParameter(str(failure), param_hint="ID") from failure
    why = explaining.why(run.run_id)
    counts = inspecting.count_task_runs(run.run_id) if run.kind == "flow" else {}
    if as_json:
        tables.print_json({**asdict(run), "why": why} | ({"task_runs": counts} if run.kind == "flow" else {}))
        return
    tables.print_fields([*_fields(run), ("why", "" if run.ended else why)])
    if counts:
        click.echo()
        _show_counts(counts)
    if run.error:
        click.echo(f"\n{run.error}")


def show_many(runs: Sequence[Run], *, as_json: bool) -> None:
    """List runs."""
    if as_json:
        tables.print_json(runs)
        return
    rows = [(run.name, run.state, tables.moment(run.started), _took(run), run.worker or "", run.run_id) for run in runs]
    heads = ("name", "state", "started", "took", "worker", "id")
    tables.print_table(heads, rows, empty="There are no such task runs.")


def _fields(run: Run) -> list[tuple[str, str]]:
    return [
        ("name", run.name),
        (run.kind, run.function_name),
        ("id", run.run_id),
        ("state", f"{run.state}: {run.message}" if run.message else run.state),
        ("tags", ", ".join(run.tags)),
        ("created", tables.moment(run.created)),
        ("started", tables.moment(run.started)),
        ("ended", tables.moment(run.ended)),
        ("took", _took(run)),
        ("attempt", str(run.attempt) if run.attempt > 1 else ""),
        ("worker", run.worker or ""),
        ("queue", run.queue or ""),
        ("flow run" if run.kind == "task" else "called by", run.flow_run_id or ""),
        ("submitted by", run.parent_run_id or ""),
    ]


def _took(run: Run) -> str:
    if run.started is None:
        return ""
    return tables.duration(run.ended - run.started) if run.ended else tables.duration_since(run.started)


def _show_counts(counts: Mapping[str, Mapping[str, int]]) -> None:
    states = sorted({state for by_state in counts.values() for state in by_state})
    rows = [(task, *(str(by_state.get(state, 0)) for state in states)) for task, by_state in sorted(counts.items())]
    tables.print_table(("task runs", *states), rows)
