"""`millstream flow-run`: look at flow runs, and look after them."""

import itertools
import json
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

import click

from millstream.cli import flow_run_commands, run_tables, suggestions, tables
from millstream.logging import LogLine, follow_logs, read_logs
from millstream_shared.settings import get_settings

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_COUNT = click.IntRange(min=1)


@click.group("flow-run")
def flow_run() -> None:
    """Look at flow runs, and look after them."""


for _command in flow_run_commands.COMMANDS:
    flow_run.add_command(_command)


@flow_run.command()
@click.argument("flow_run_id", metavar="ID", shell_complete=suggestions.flow_runs)
@click.option("-n", "--head", type=_COUNT, help="Only the first so many lines.")
@click.option("-t", "--tail", type=_COUNT, help="Only the last so many lines, of those there are now.")
@click.option("--task", metavar="NAME", help="Only of runs of this task, or of the task run of this name or id.")
@click.option(
    "-l", "--level", type=click.Choice(_LEVELS, case_sensitive=False), default="DEBUG", help="Only from this level on."
)
@click.option("--subflows/--no-subflows", default=True, help="Whether those of flows that it called are shown.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until the flow run has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each line.")
def logs(
    flow_run_id: str,
    head: int | None,
    tail: int | None,
    task: str | None,
    level: str,
    subflows: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """Show what the flow run ID and its task runs have logged, by time.

    The first line of a flow run has the first twelve digits of its id, which do for ID. The id of a task run gives the
    lines of that run alone.
    """
    if sum(map(bool, (head, tail, follow))) > 1:
        raise click.UsageError("Choose one of --head, --tail and --follow.")
    read = follow_logs if follow else read_logs
    try:
        lines: Iterable[LogLine] = read(flow_run_id, level=level, task=task, subflows=subflows)
    except ValueError as failure:
        raise click.BadParameter(str(failure), param_hint="ID") from failure
    if tail:
        lines = deque(lines, maxlen=tail)
    number = 0
    for line in itertools.islice(lines, head):
        number += 1
        click.echo(_as_json(line) if as_json else _as_text(line))
    if not number:
        click.echo(f"There are no such lines.{_hint()}", err=True)


@flow_run.command()
@click.argument("flow_run_id", metavar="ID", shell_complete=suggestions.flow_runs)
@tables.json_option
def inspect(flow_run_id: str, as_json: bool) -> None:
    """Show the flow run ID: how it stands, why it does not move, how its task runs are doing.

    The first twelve digits of the id do.
    """
    run_tables.show(flow_run_id, as_json=as_json)


def _hint() -> str:
    off = "" if get_settings().logs_to_redis else " MILLSTREAM_LOGS_TO_REDIS is off here."
    return f"{off} Runs log from MILLSTREAM_LOGGING_LEVEL on, where they are executed."


def _as_text(line: LogLine) -> str:
    moment = datetime.fromtimestamp(line.time)
    clock = f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}"
    return f"{clock} | {line.level_name:<7} | {line.kind.capitalize()} run {line.run_name!r} - {line.message}"


def _as_json(line: LogLine) -> str:
    return json.dumps({**asdict(line), "level": logging.getLevelName(line.level)})
