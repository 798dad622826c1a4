"""What of a flow run reaches the workers that execute its tasks."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from millstream import sessions, surroundings
from millstream.exceptions import PayloadRefused, UnpicklableArgument
from millstream.result_options import Manner
from millstream.runs import FlowRun
from millstream.surroundings import RemoteFlowRun, Surroundings
from millstream_shared import ids, keys, settings
from millstream_shared.store import Store


@pytest.fixture
def session(store: Store) -> Iterator[Any]:
    """As much of a session as is needed here."""
    made = cast("Any", SimpleNamespace(store=store, close=lambda: None))
    sessions.close_current()
    sessions.use(made)
    yield made
    sessions.use(None)


def remote(parameters: dict[str, Any], session: Any) -> RemoteFlowRun:
    here = FlowRun(ids.new_flow_run_id(), "brisk-panda", "flow", parameters=parameters)
    surroundings.share_parameters(session, here)
    return RemoteFlowRun(here.run_id, here.name, here.flow_name)


def test_parameters_are_read_when_they_are_asked_for(session: Any) -> None:
    """Also large ones, and none."""
    assert remote({"x": [1], "data": bytes(600_000)}, session).parameters == {"x": [1], "data": bytes(600_000)}
    assert remote({}, session).parameters == {}


def test_parameters_that_cannot_be_sent_are_an_error_for_who_asks(session: Any) -> None:
    """For nobody else."""
    there = remote({"lock": threading.Lock()}, session)
    assert there.name == "brisk-panda"
    with pytest.raises(UnpicklableArgument, match="parameters"):
        _ = there.parameters


def test_parameters_that_somebody_has_put_there_are_refused(
    session: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where payloads are signed, before anything of them is unpickled."""
    monkeypatch.setenv("MILLSTREAM_SIGNING_KEY", "secret")
    settings.get_settings.cache_clear()
    there = remote({"x": 1}, session)
    assert there.parameters == {"x": 1}
    monkeypatch.setenv("MILLSTREAM_SIGNING_KEY", "another")
    settings.get_settings.cache_clear()
    again = RemoteFlowRun(there.run_id, there.name, there.flow_name)
    with pytest.raises(PayloadRefused, match="signature"):
        _ = again.parameters
    assert store.command("EXISTS", keys.parameters(there.run_id))


def test_most_runs_have_nothing_around_them() -> None:
    """And others what they need."""
    assert Surroundings().encode("t") is Surroundings(Manner()).encode("t") is None
    around = Surroundings(Manner(True, "/results"), {"a": 1})
    assert surroundings.decode(around.encode("t")) == around
    with pytest.raises(UnpicklableArgument, match="result_storage"):
        Surroundings(Manner(True, threading.Lock())).encode("t")
