"""`millstream deployment`: look after deployments."""

from typing import TYPE_CHECKING

import click

from millstream.cli import deployment_runs, deployment_schedules, suggestions, tables

if TYPE_CHECKING:
    from millstream_shared.deployments import DeploymentRecord
    from millstream_shared.schedules import ScheduleRecord

_HEADS = ("name", "schedules", "queue", "version", "tags", "changed", "")


@click.group()
def deployment() -> None:
    """Look after deployments, and run them: flows that can be run by name, or on a schedule.

    NAME is FLOW/DEPLOYMENT, or an id.
    """


deployment.add_command(deployment_schedules.schedule)
deployment.add_command(deployment_runs.run)


@deployment.command()
@click.option("--flow", "flow_name", metavar="FLOW", help="Only deployments of this flow.")
@click.option("--tag", "tags", multiple=True, help="Only deployments with this tag; may be given again.")
@tables.json_option
def ls(flow_name: str | None, tags: tuple[str, ...], as_json: bool) -> None:
    """List deployments."""
    from millstream import deployments

    found = [
        record
        for record in deployments.read_all()
        if flow_name in (None, record.flow_name) and set(tags) <= set(record.tags)
    ]
    if as_json:
        tables.print_json([_as_json(record) for record in found])
        return
    tables.print_table(_HEADS, [_row(record) for record in found], empty="There are no such deployments.")


@deployment.command()
@click.argument("name", shell_complete=suggestions.deployments)
@tables.json_option
def inspect(name: str, as_json: bool) -> None:
    """Show all that is known of a deployment, and when its schedules fire next."""
    from millstream import deployments

    record = deployments.read(name)
    if as_json:
        tables.print_json(_as_json(record))
        return
    limit = record.concurrency_limit
    tables.print_fields(
        [
            ("name", record.full_name),
            ("id", record.id),
            ("description", record.description or ""),
            ("version", record.version or ""),
            ("tags", ", ".join(record.tags)),
            ("entrypoint", record.entrypoint),
            ("source", _source(record)),
            ("path", record.path or ""),
            ("queue", _queue(record)),
            ("limit", f"{limit} at once, {record.collision_strategy}" if limit else ""),
            ("on crash", record.on_crash),
            ("paused", "yes" if record.paused else ""),
            ("made", tables.moment(record.created)),
            ("changed", tables.moment(record.updated)),
        ]
    )
    _print_parameters(record)
    _print_schedules(record)


@deployment.command()
@click.argument("name", shell_complete=suggestions.deployments)
def pause(name: str) -> None:
    """Have none of its schedules fire; it can still be run by name."""
    from millstream import deployments

    click.echo(f"Paused {deployments.pause(name).full_name}.")


@deployment.command()
@click.argument("name", shell_complete=suggestions.deployments)
def resume(name: str) -> None:
    """Have its schedules fire again."""
    from millstream import deployments

    click.echo(f"Resumed {deployments.resume(name).full_name}.")


@deployment.command()
@click.argument("name", shell_complete=suggestions.deployments)
def delete(name: str) -> None:
    """Delete a deployment; its runs stay."""
    from millstream import deployments

    click.echo(f"Deleted {deployments.delete(name).full_name}.")


def _as_json(record: "DeploymentRecord") -> dict[str, object]:
    return {"full_name": record.full_name, **record.model_dump(mode="json")}


def _row(record: "DeploymentRecord") -> tuple[str, ...]:
    return (
        record.full_name,
        "; ".join(_rule(schedule) for schedule in record.schedules if schedule.active),
        _queue(record),
        record.version or "",
        ", ".join(record.tags),
        tables.moment(record.updated),
        "paused" if record.paused else "",
    )


def _queue(record: "DeploymentRecord") -> str:
    return record.queue or "(default)"


def _source(record: "DeploymentRecord") -> str:
    if record.source is None:
        return ""
    from millstream import git_sources

    ref = record.source.commit or record.source.branch
    return git_sources.shown(record.source.url) + (f" at {ref}" if ref else "")


def _rule(schedule: "ScheduleRecord") -> str:
    if schedule.interval_seconds is not None:
        return f"every {tables.duration(schedule.interval_seconds)}"
    zone = "" if schedule.timezone == "UTC" else f" {schedule.timezone}"
    return f"{schedule.cron or schedule.rrule}{zone}"


def _print_parameters(record: "DeploymentRecord") -> None:
    import json

    rules = record.parameter_schema.get("properties", {})
    if not rules:
        return
    required = record.parameter_schema.get("required", ())
    rows: list[tuple[str, str, str]] = []
    for name, rule in rules.items():
        by_default = record.parameters.get(name, rule.get("default", ...))
        shown = "(required)" if by_default is ... and name in required else ""
        rows.append((name, str(rule.get("type", "")), shown if by_default is ... else json.dumps(by_default)))
    click.echo()
    tables.print_table(("parameter", "type", "default"), rows)


def _print_schedules(record: "DeploymentRecord") -> None:
    from datetime import UTC, datetime

    from millstream_shared import schedules

    if not record.schedules:
        return
    rows: list[tuple[str, str, str, str]] = []
    for schedule in record.schedules:
        following = schedules.next_after(schedule, datetime.now(UTC))
        is_off = record.paused or not schedule.active
        when = "" if is_off or following is None else tables.moment(following.timestamp())
        rows.append((schedule.slug, _rule(schedule), when, "paused" if is_off else ""))
    click.echo()
    tables.print_table(("schedule", "times", "next", ""), rows)
