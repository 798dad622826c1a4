"""How flow runs are listed: a table for people, objects for programs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from millstream.cli import tables

if TYPE_CHECKING:
    from millstream.recorded_runs import FlowRun

_HEADS = ("name", "flow", "state", "began", "took", "tags", "id")


def show(found: "Sequence[FlowRun]", *, as_json: bool) -> None:
    """List flow runs."""
    if as_json:
        tables.print_json([_described(run) for run in found])
        return
    tables.print_table(_HEADS, [_row(run) for run in found], empty="There are no such flow runs.")


def as_json(run: "FlowRun") -> dict[str, Any]:
    """One of them as an object."""
    return _described(run)


def _row(run: "FlowRun") -> tuple[str, ...]:
    record = run.record
    began = record.started
    if began is None and run.expected_start_time.timestamp() > record.created:
        when = f"due {tables.moment(run.expected_start_time.timestamp())}"
    else:
        when = tables.moment(began)
    took = tables.duration(run.total_run_time.total_seconds()) if began is not None else ""
    return run.name, run.flow_name, run.state_name, when, took, ", ".join(run.tags), record.run_id


def _described(run: "FlowRun") -> dict[str, Any]:
    record = run.record
    return {
        "id": record.run_id,
        "name": run.name,
        "flow_name": run.flow_name,
        "state": run.state_name,
        "state_type": run.state_type,
        "message": record.message,
        "parameters": run.parameters,
        "tags": run.tags,
        "deployment_id": run.deployment_id and run.deployment_id.hex,
        "parent_flow_run_id": record.flow_run_id,
        "queue": run.work_queue_name,
        "run_count": run.run_count,
        "created": record.created,
        "expected": run.expected_start_time.timestamp(),
        "started": record.started,
        "ended": record.ended,
    }
