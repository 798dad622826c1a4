"""A runner that executes runs on a Dask cluster: one of its own for the time of a flow run, or one that is there."""

import functools
import logging
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

from millstream.runners import guards, libraries
from millstream.runners.dask_clients import ClusterTaskRunner

_OWN_CLUSTER: dict[str, Any] = {
    # Free ports, that are reached from this machine only.
    "dashboard_address": "127.0.0.1:0",
    "worker_dashboard_address": "127.0.0.1:0",
    "silence_logs": logging.CRITICAL,
    # A run that was with a worker which died gets another try anyway, alone.
    "scheduler_kwargs": {"allowed_failures": 0},
}


class DaskTaskRunner(ClusterTaskRunner):
    """Runs on a Dask cluster, on copies of their arguments; what they submit themselves goes to the same cluster.

    Without arguments, each flow run that submits anything gets a `LocalCluster` of its own, on free ports, for as
    long as it lasts. `cluster_class` (a class, a function, or the name of one, `package.Class`) and `cluster_kwargs`
    make another one; `cluster` or `address` is one to connect to, which is left as it is. `adapt_kwargs` go to
    `cluster.adapt()`, `client_kwargs` to `distributed.Client`; to `performance_report_path` Dask's report is written,
    as HTML. Runs that were executed by a worker which dies are executed again, each by itself, and Crashed if that
    kills workers too, `MILLSTREAM_CRASH_LIMIT` in all.

    Raises ImportError without the library, ValueError for arguments that contradict each other, and on the first
    submission ConfigurationError in a script that its cluster's processes cannot import.
    """

    def __init__(
        self,
        cluster: Any = None,
        address: str | None = None,
        cluster_class: str | Callable[..., Any] | None = None,
        cluster_kwargs: dict[str, Any] | None = None,
        adapt_kwargs: dict[str, Any] | None = None,
        client_kwargs: dict[str, Any] | None = None,
        performance_report_path: str | None = None,
    ) -> None:
        libraries.require("distributed", "millstream[dask]", type(self).__name__)
        super().__init__()
        if address and (cluster is not None or cluster_class or cluster_kwargs or adapt_kwargs):
            raise ValueError("`address` is of a cluster that is there: give no `cluster` and no option for a new one.")
        if cluster is not None and (cluster_class or cluster_kwargs):
            raise ValueError("`cluster` is there already: give no `cluster_class` and no `cluster_kwargs` beside it.")
        for name, options in (("client_kwargs", client_kwargs), ("cluster_kwargs", cluster_kwargs)):
            if "asynchronous" in (options or {}):
                raise ValueError(
                    f"`asynchronous` cannot be set in `{name}`: the runner works for sync and async flows."
                )
        if performance_report_path:
            libraries.require("bokeh", "bokeh", "performance_report_path")
        self.cluster = cluster
        self.address = address
        self.cluster_class = cluster_class
        self.cluster_kwargs = dict(cluster_kwargs or {})
        self.adapt_kwargs = dict(adapt_kwargs or {})
        self.client_kwargs = dict(client_kwargs or {})
        self.performance_report_path = performance_report_path
        self._opening = threading.Lock()
        self._opened: ExitStack | None = None

    def configuration(self) -> dict[str, Any]:
        """The keyword arguments that make an equal runner."""
        return {
            "cluster": self.cluster,
            "address": self.address,
            "cluster_class": self.cluster_class,
            "cluster_kwargs": self.cluster_kwargs,
            "adapt_kwargs": self.adapt_kwargs,
            "client_kwargs": self.client_kwargs,
            "performance_report_path": self.performance_report_path,
        }

    def get_ready(self) -> None:
        """Connect to the cluster, which is started if it is the runner's own."""
        with self._opening:
            if self._opened is None:
                with ExitStack() as stack:
                    self.client = self._connect(stack)
                    self._opened = stack.pop_all()

    def close(self) -> None:
        """Disconnect, and end a cluster that was started here."""
        opened, self._opened, self.client = self._opened, None, None
        if opened:
            opened.close()

    def _connect(self, stack: ExitStack) -> Any:
        target: Any = self.address or self.cluster
        if target is None:
            target = self._start_cluster()
            stack.callback(target.close)
        if self.adapt_kwargs:
            target.adapt(**self.adapt_kwargs)
        client = libraries.load("distributed").Client(target, **{"set_as_default": False, **self.client_kwargs})
        stack.callback(client.close)
        if self.performance_report_path:
            stack.enter_context(_reported(client, self.performance_report_path))
        return client

    def _start_cluster(self) -> Any:
        local = libraries.load("distributed").LocalCluster
        kind: Any = self.cluster_class or local
        if isinstance(kind, str):
            kind = libraries.load("distributed.utils").import_term(kind)
        if kind is not local:
            return kind(**self.cluster_kwargs)
        guards.check("DaskTaskRunner")
        _keep_restarted_workers()
        return local(**{**_OWN_CLUSTER, **self.cluster_kwargs})


@functools.cache
def _keep_restarted_workers() -> None:
    """Have Dask not look for workers that died.

    It looks 15 s after each death, and closes for good whom it misses: also one that has come back, died once more, and
    is just being started again. A run that kills a worker twice could so take the last of them away.
    """
    libraries.load("dask.config").update_defaults({"distributed": {"deploy": {"lost-worker-timeout": "1 day"}}})


@contextmanager
def _reported(client: Any, path: str) -> Generator[None]:
    """Dask looks for its client among those that are current, at the begin and at the end of a report."""
    report = libraries.load("distributed").performance_report(filename=path)
    with client.as_current():
        report.__enter__()
    try:
        yield
    finally:
        with client.as_current():
            report.__exit__(None, None, None)
