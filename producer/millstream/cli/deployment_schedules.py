"""`millstream deployment schedule`: when a deployment is run by itself."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from millstream.cli import tables

if TYPE_CHECKING:
    from millstream.deployment_schedules import PlannedSchedule
    from millstream_shared.schedules import ScheduleRecord

_HEADS = ("slug", "fires", "time zone", "next", "parameters", "")


@click.group()
def schedule() -> None:
    """Look after the schedules of a deployment, which is named FLOW/DEPLOYMENT or by its id."""


@schedule.command()
@click.argument("deployment")
@tables.json_option
def ls(deployment: str, as_json: bool) -> None:
    """List the schedules of DEPLOYMENT, and when each fires next."""
    from millstream import deployment_schedules

    found = deployment_schedules.read(deployment)
    if as_json:
        tables.print_json([_described(each) for each in found])
        return
    tables.print_table(_HEADS, [_row(each) for each in found], empty=f"{deployment} has no schedules.")


@schedule.command()
@click.argument("deployment")
@click.option("--cron", help="A cron expression, such as '0 9 * * mon-fri'.")
@click.option("--interval", type=float, help="Seconds between runs.")
@click.option("--rrule", help="A recurrence rule, such as 'FREQ=WEEKLY;BYDAY=MO;BYHOUR=9'.")
@click.option("--timezone", help="Where the times of a cron or an rrule are read off the clock. [default: UTC]")
@click.option("--anchor-date", help="A time from which intervals are counted, as 2026-01-31T09:00. [default: now]")
@click.option(
    "--day-or/--day-and",
    default=True,
    help="Of a cron with days of the month and weekdays: either has to fit, or both. [default: --day-or]",
)
@click.option("-p", "--param", "given", multiple=True, metavar="NAME=VALUE", help="A parameter of its runs, as JSON.")
@click.option("--slug", help="Its name among the schedules of the deployment. [default: its kind]")
@click.option(
    "--catchup",
    type=click.Choice(["latest", "skip", "all"]),
    default="latest",
    show_default=True,
    help="What to run of the times at which no worker was there.",
)
@click.option("--active/--inactive", default=True, help="Whether it fires before it is resumed. [default: --active]")
@click.option("--replace", is_flag=True, help="Put it in place of all schedules that the deployment has.")
def create(deployment: str, given: Sequence[str], anchor_date: str | None, replace: bool, **options: Any) -> None:
    """Give DEPLOYMENT one more schedule: one of --cron, --interval and --rrule."""
    from millstream import deployment_schedules
    from millstream.schedules import Schedule

    try:
        anchor = None if anchor_date is None else datetime.fromisoformat(anchor_date)
        wanted = Schedule(**options, anchor_date=anchor, parameters=dict(map(_parameter, given)))
    except ValueError as mistake:
        raise click.UsageError(str(mistake)) from None
    added = deployment_schedules.add(deployment, wanted, replace=replace)
    click.echo(f"Added the schedule {added.slug!r} to {deployment}: {_says(added)}.")


@schedule.command()
@click.argument("deployment")
@click.argument("slug", required=False)
@click.option("--all", "every", is_flag=True, help="All schedules of the deployment.")
def pause(deployment: str, slug: str | None, every: bool) -> None:
    """Have the schedule SLUG of DEPLOYMENT not fire until it is resumed."""
    _set_active(deployment, slug, every, False)


@schedule.command()
@click.argument("deployment")
@click.argument("slug", required=False)
@click.option("--all", "every", is_flag=True, help="All schedules of the deployment.")
def resume(deployment: str, slug: str | None, every: bool) -> None:
    """Have the schedule SLUG of DEPLOYMENT fire again. What it did not fire meanwhile is not made up for."""
    _set_active(deployment, slug, every, True)


@schedule.command()
@click.argument("deployment")
@click.argument("slug")
def delete(deployment: str, slug: str) -> None:
    """Take the schedule SLUG from DEPLOYMENT."""
    from millstream import deployment_schedules

    gone = deployment_schedules.remove(deployment, slug)
    click.echo(f"Deleted the schedule {slug!r} of {deployment}: {_says(gone)}.")


def _set_active(deployment: str, slug: str | None, every: bool, active: bool) -> None:
    if (slug is None) != every:
        raise click.UsageError("Name a schedule by its SLUG, or say --all.")
    from millstream import deployment_schedules

    changed = deployment_schedules.set_active(deployment, slug, active)
    for each in changed:
        click.echo(f"The schedule {each.slug!r} of {deployment} {'fires again' if active else 'is paused'}.")
    if not changed:
        click.echo(f"{deployment} has no schedules.")


def _parameter(text: str) -> tuple[str, Any]:
    name, is_given, value = text.partition("=")
    if not is_given or not name:
        raise click.UsageError(f"A parameter is NAME=VALUE; got {text!r}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # What is no JSON is text, so that it need not be put into quotes twice.


def _row(planned: "PlannedSchedule") -> tuple[str, ...]:
    record = planned.schedule
    following = "" if planned.following is None else tables.moment(planned.following.timestamp())
    parameters = json.dumps(record.parameters) if record.parameters else ""
    state = "paused" if not record.active else "" if planned.following else "does not fire"
    return record.slug, _says(record), record.timezone, following, parameters, state


def _says(record: "ScheduleRecord") -> str:
    if record.interval_seconds is not None:
        return f"every {tables.duration(record.interval_seconds)}"
    return (record.cron or record.rrule or "").replace("\n", " ")


def _described(planned: "PlannedSchedule") -> dict[str, Any]:
    following = planned.following.isoformat() if planned.following else None
    return planned.schedule.model_dump(mode="json") | {"next": following}
