"""`millstream worker`: the commands that concern workers."""

import os
import sys

import click

from millstream_worker.command_groups import WorkerGroup

_DEFAULT_THREADS = 16
_DEFAULT_FLOWS = 10


@click.group(cls=WorkerGroup)
def worker() -> None:
    """Workers execute the runs that flows put on queues."""


@worker.command()
@click.option(
    "-q",
    "--queue",
    "queues",
    multiple=True,
    help="Serve this queue; of several, the first comes first. Default: MILLSTREAM_DEFAULT_QUEUE, or 'default'.",
)
@click.option(
    "--processes", type=click.IntRange(min=1), help="Child processes that execute tasks. Default: one for each CPU."
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=_DEFAULT_THREADS,
    show_default=True,
    help="Sync tasks at a time in each process; async tasks take no thread.",
)
@click.option(
    "--flows",
    type=click.IntRange(min=0),
    default=_DEFAULT_FLOWS,
    show_default=True,
    help="Queued flow runs at a time, each in a process of its own; one that only waits for others is not counted.",
)
@click.option("--burst", is_flag=True, help="Stop when the queues are empty.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds that running tasks may go on after SIGTERM; then they are handed back.",
)
@click.option("--lifeline", type=int, default=None, hidden=True)
@click.option("--kind", default="worker", hidden=True)
@click.option("--most", type=click.IntRange(min=1), default=None, hidden=True)
def start(
    queues: tuple[str, ...],
    processes: int | None,
    threads: int,
    flows: int,
    burst: bool,
    grace: float,
    lifeline: int | None,
    kind: str,
    most: int | None,
) -> None:
    """Serve queues until SIGTERM or Ctrl-C.

    The first signal lets running tasks end and hands back the rest; a second one hands back everything at once.
    """
    # Only now: asking for help should not take the time that these take to import. And the first child before the
    # rest: its interpreter starts while this one imports what only a worker needs.
    from millstream_shared import errors, ids
    from millstream_shared.settings import get_settings
    from millstream_worker import worker_logging
    from millstream_worker.crews import Crew

    if os.getcwd() not in sys.path:
        # Tasks are found where the worker is started, as with `rq worker`.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
        # The processes of flow runs have the path of this one.
        sys.path.insert(0, os.getcwd())
    crew = Crew(processes or os.cpu_count() or 1, threads)
    try:
        settings = get_settings()
        worker_logging.set_up(quiet=kind != "worker")
        crew.start(ids.new_owner_id(kind))
        from millstream import sessions
        from millstream_worker.worker import Options, Worker

        store = sessions.open_store(settings, outage_seconds=float("inf"))
        store.ping()
    except errors.MillstreamError as problem:
        crew.kill()
        raise click.ClickException(str(problem)) from problem
    options = Options(queues or (settings.default_queue,), burst, grace, lifeline, most, flows, kind == "worker")
    sys.exit(Worker(store, options, crew).run())
