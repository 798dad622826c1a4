"""What is recorded of a result that is too large, or cannot be kept: the run alone suffers, by a named error."""

from pathlib import Path
from typing import Any

import pytest

from millstream import recording
from millstream.exceptions import PayloadTooLarge, StorageUnavailable, UnpicklableResult
from millstream.runs import TaskRun
from millstream_shared import ids, records, settings
from millstream_shared.states import Completed, State


def recorded(value: Any, **how: bool) -> records.Record:
    run = TaskRun(ids.new_task_run_id(None), "make-1", "make", None)
    data = recording.encoded(run, Completed(data=value), "make", **how).placed()
    return records.decode(run.run_id, recording.record_of_task(run, data, worker="w", attempt=1))


@pytest.fixture(autouse=True)
def _team_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLSTREAM_REDIS_URL", "redis://nowhere")
    monkeypatch.setenv("MILLSTREAM_LARGEST_INLINE_BYTES", "2000")
    monkeypatch.setenv("MILLSTREAM_LARGEST_IN_REDIS_BYTES", "4000")
    settings.get_settings.cache_clear()


def test_without_a_storage_results_stay_in_redis_up_to_a_limit() -> None:
    """Then the run is Failed, and the error names the setting."""
    assert recorded(bytes(3000)).data_kind == records.VALUE
    state = recorded(bytes(4000)).state
    assert isinstance(state.data, PayloadTooLarge)
    assert "MILLSTREAM_LARGEST_IN_REDIS_BYTES" in str(state.message)


def test_a_storage_that_cannot_be_used_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small results do not need it."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MILLSTREAM_RESULT_STORAGE", str(tmp_path / "file"))
    settings.get_settings.cache_clear()
    assert isinstance(recorded(bytes(2000)).state.data, StorageUnavailable)
    assert recorded(bytes(10)).state.data == bytes(10)


def test_what_nobody_needs_is_left_out() -> None:
    """Where the result is at hand for those who want it, the run stays Completed, and a warning says so."""
    for value, error in ((bytes(4000), PayloadTooLarge), ((step for step in ""), UnpicklableResult)):
        assert isinstance(recorded(value).state.data, error)
        left: State[Any] = recorded(value, is_needed=False).state
        assert (left.is_completed(), left.has_data) == (True, False)
