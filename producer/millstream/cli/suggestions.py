"""What a shell suggests for the arguments of commands: names that are in the store now.

Nothing is said of errors, no server is started, and one that does not answer is not waited for: the user is typing.
"""

import dataclasses
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from millstream_shared.store import Store

_PATIENCE_SECONDS = 0.3
_MOST_RUNS = 50


def queues(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's signature
    """Names of queues."""
    from millstream_shared.queues import Queues  # only for a shell that completes

    return _found(lambda store: Queues(store).names(), incomplete)


def workers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's signature
    """Names of workers."""
    from millstream_shared.workers import Workers  # only for a shell that completes

    return _found(lambda store: [worker.name for worker in Workers(store).read_all()], incomplete)


def limits(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's signature
    """Names of concurrency limits."""
    from millstream_shared.limits import Limits  # only for a shell that completes

    return _found(lambda store: [limit.name for limit in Limits(store.script).read()], incomplete)


def limited_tags(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Tags that have a limit."""
    from millstream_shared.limits import of_tag  # only for a shell that completes

    prefix = of_tag("")
    return [name.removeprefix(prefix) for name in limits(ctx, param, prefix + incomplete)]


def deployments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - as above
    """Full names of deployments."""
    from millstream_shared.deployments import Deployments  # only for a shell that completes

    return _found(lambda store: [record.full_name for record in Deployments(store).read_all()], incomplete)


def flows(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - as above
    """Names of flows that had runs lately."""
    from millstream_shared.flow_runs import FlowRuns  # only for a shell that completes

    return _found(lambda store: FlowRuns(store).flows(), incomplete)


def flow_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - as above
    """As much of the ids of the newest flow runs as commands need."""
    from millstream_shared import ids  # only for a shell that completes
    from millstream_shared.flow_runs import FlowRuns

    def newest(store: "Store") -> list[str]:
        return [ids.tree_of(run.run_id) for run in islice(FlowRuns(store).newest(), _MOST_RUNS)]

    return _found(newest, incomplete)


def settings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's signature
    """Names of settings."""
    from millstream_shared.settings import KNOWN  # only for a shell that completes

    return [name for name in KNOWN if name.startswith(incomplete)]


def assignments(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of settings, ready for a value."""
    return [f"{name}=" for name in settings(ctx, param, incomplete)]


def _found(read: "Callable[[Store], Iterable[str]]", incomplete: str) -> list[str]:
    try:
        store = _store()
        names: Iterable[str] = read(store) if store else ()
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


def _store() -> "Store | None":
    from millstream.embedded import homes  # only for a shell that completes
    from millstream_shared.settings import get_settings
    from millstream_shared.store import Store

    known = dataclasses.replace(get_settings(), first_contact_seconds=_PATIENCE_SECONDS)
    if known.redis_url:
        return Store(known.redis_url, known, outage_seconds=_PATIENCE_SECONDS)
    home = homes.describe_home(known.home)
    return Store(home.url, known, outage_seconds=_PATIENCE_SECONDS) if home.socket.exists() else None
