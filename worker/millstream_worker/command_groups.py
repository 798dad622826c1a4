"""The group `millstream worker`, of which `start` loads nothing that only its other commands need."""

from importlib import import_module

import click

_ELSEWHERE = "millstream_worker.worker_commands"
_LATER = ("inspect", "ls", "stop")


class WorkerGroup(click.Group):
    """Finds the commands that look at workers when they are asked for: a worker should start quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_LATER])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _LATER:
            return getattr(import_module(_ELSEWHERE), cmd_name)
        return super().get_command(ctx, cmd_name)
