"""`millstream worker`: the commands that concern workers."""

import os
import sys

import click

from millstream_worker.checks import check
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
    "--processes",
    type=click.IntRange(min=1),
    help="Child processes that execute tasks. Default: MILLSTREAM_WORKER_PROCESSES, or one for each CPU.",
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
@click.option(
    "--max-runs",
    type=click.IntRange(min=1),
    help="Replace a child process after so many runs, when they have ended and another one is ready. Default: never.",
)
@click.option(
    "--max-memory",
    type=click.IntRange(min=100),
    metavar="MB",
    help="Replace a child process likewise when it takes more memory than this; kill it at 1.5 times as much.",
)
@click.option("--reload", is_flag=True, help="For development: begin anew when Python files here have changed.")
@click.option(
    "--name", help="What to call this worker, as in `rq info`; of two workers with one name the second is refused."
)
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    help="Write log lines for people, or each as a JSON object. Default: MILLSTREAM_LOGGING_FORMAT, or 'console'.",
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
    max_runs: int | None,
    max_memory: int | None,
    reload: bool,
    name: str | None,
    log_format: str | None,
    lifeline: int | None,
    kind: str,
    most: int | None,
) -> None:
    """Serve queues until SIGTERM or Ctrl-C.

    The first signal lets running tasks end and hands back the rest; a second one hands back everything at once.
    """
    if os.getcwd() not in sys.path:
        # Tasks are found where the worker is started, as with `rq worker`, also by programs that they start.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
        sys.path.insert(0, os.getcwd())
    if log_format:
        # The child processes are to do the same.
        os.environ["MILLSTREAM_LOGGING_FORMAT"] = log_format
    # Only now: asking for help should not take the time that these take to import.
    from millstream import local_workers, sessions
    from millstream_shared import errors, ids
    from millstream_shared.settings import get_settings
    from millstream_shared.worker_names import Names
    from millstream_worker import pulses, worker_logging
    from millstream_worker.crews import Crew
    from millstream_worker.nursery import CannotFork, Nursery
    from millstream_worker.processes import usable_cpus
    from millstream_worker.successions import Wear
    from millstream_worker.worker import Options, Worker

    try:
        settings = get_settings()
    except errors.ConfigurationError as problem:
        raise click.ClickException(str(problem)) from problem
    try:
        wear = Wear(max_runs, max_memory and max_memory * 1024**2)
        if name is not None:
            ids.check_worker_name(name)
        worker_logging.set_up(quiet=kind != "worker")
        # A script that has started it waits for it, and may have tasks alone; who starts others has time.
        nursery = Nursery(for_flows=kind != local_workers.LOCAL)
        crew = Crew(nursery, processes or settings.worker_processes or usable_cpus(), threads, wear)
        if reload:
            from millstream_worker import reloads

            reloads.renew_on_change(crew, reloads.import_roots())
        store = sessions.open_store(settings, outage_seconds=float("inf"))
        store.ping()
        owner = ids.new_owner_id(name or kind)
        if name is not None:
            Names(store).take(name, owner)
    except (errors.MillstreamError, CannotFork) as problem:
        raise click.ClickException(str(problem)) from problem
    options = Options(
        queues or (settings.default_queue,), burst, grace, lifeline, most, flows, is_daemon=kind == "worker", name=name
    )
    # A worker that a script has started for itself is looked after by that script.
    pulse = pulses.Pulse(pulses.folder(settings)) if kind == "worker" else None
    sys.exit(Worker(store, owner, options, crew, pulse).run())


worker.add_command(check)
