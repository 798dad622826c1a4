"""Rules of DaskTaskRunner beside those of all runners that use other processes."""

import sys
from typing import Any

import pytest

from millstream import flow, task
from millstream.task_runners import DaskTaskRunner

distributed = pytest.importorskip("distributed")


@task
def double(x: int) -> int:
    return 2 * x


@task
def workers_address() -> str:
    return distributed.get_worker().address


@task
def scheduler_of_a_nested_run() -> tuple[str, str]:
    return scheduler.submit().result(), scheduler()


@task
def scheduler() -> str:
    return distributed.get_worker().scheduler.address


def make_cluster(**options: Any) -> Any:
    return distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", **options
    )


def test_a_flow_run_has_a_cluster_of_its_own() -> None:
    """Which is gone afterwards; what runs submit goes to the same one."""

    @flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 1, "threads_per_worker": 1}))
    def looking() -> tuple[int, tuple[str, str]]:
        return double.submit(2).result(), scheduler_of_a_nested_run.submit().result()

    doubled, (nested, direct) = looking()
    assert doubled == 4
    assert nested == direct
    with pytest.raises(OSError, match="Timed out trying to connect"):
        distributed.Client(direct, timeout=1, set_as_default=False)


def test_a_cluster_of_its_own_keeps_workers_that_were_restarted() -> None:
    """Dask would close one for good that happens to be restarting 15 s after it died once."""
    config, lost = pytest.importorskip("dask.config"), "distributed.deploy.lost-worker-timeout"
    runner = DaskTaskRunner(cluster_kwargs={"n_workers": 1, "threads_per_worker": 1, "processes": False})
    with runner:
        assert runner.submit(double, {"x": 1}).result() == 2
        assert config.get(lost) == "1 day"


def test_a_cluster_is_made_as_was_asked() -> None:
    """By a class, a function, or the name of one, here in threads of this process."""
    for cluster_class in (make_cluster, f"{__name__}.make_cluster"):
        runner = DaskTaskRunner(cluster_class=cluster_class, cluster_kwargs={"name": "ours"})
        with runner:
            assert runner.submit(workers_address, {}).result().startswith("inproc://")


def test_a_cluster_that_is_given_is_used_and_left() -> None:
    """By one flow run after the other."""
    with make_cluster() as cluster:
        for x in range(2):
            with DaskTaskRunner(cluster=cluster) as runner:
                assert runner.submit(double, {"x": x}).result() == 2 * x
        assert cluster.status.name == "running"


def test_a_cluster_can_adapt() -> None:
    """Within the limits that are given: here it begins without any worker."""
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        DaskTaskRunner(cluster=cluster, adapt_kwargs={"maximum": 1}) as runner,
    ):
        assert runner.submit(double, {"x": 1}).result() == 2


@pytest.mark.parametrize(
    "options",
    [
        {"address": "tcp://there:1", "cluster": object()},
        {"address": "tcp://there:1", "cluster_class": make_cluster},
        {"address": "tcp://there:1", "cluster_kwargs": {"n_workers": 1}},
        {"address": "tcp://there:1", "adapt_kwargs": {"maximum": 1}},
        {"cluster": object(), "cluster_class": make_cluster},
        {"cluster": object(), "cluster_kwargs": {"n_workers": 1}},
        {"client_kwargs": {"asynchronous": True}},
        {"cluster_kwargs": {"asynchronous": True}},
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any]) -> None:
    """When the runner is made."""
    with pytest.raises(ValueError, match="`"):
        DaskTaskRunner(**options)


def test_runners_are_equal_by_their_configuration() -> None:
    """And a duplicate is equal but another one."""
    runner = DaskTaskRunner(cluster_kwargs={"n_workers": 1}, client_kwargs={"timeout": 5})
    assert runner == runner.duplicate()
    assert runner.duplicate() is not runner
    assert runner != DaskTaskRunner()
    assert runner.name == "dask"


def test_an_address_where_nobody_is_fails_the_submission() -> None:
    """With the library's own error, and without a run."""
    with (
        DaskTaskRunner(address="tcp://127.0.0.1:9", client_kwargs={"timeout": 0.5}) as runner,
        pytest.raises(OSError, match="tcp://127"),
    ):
        runner.submit(double, {"x": 1})


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it, when the runner is made."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'millstream\[dask\]'"):
        DaskTaskRunner()
