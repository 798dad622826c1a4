"""The stored form of a run: small, of a known layout, and honest about what cannot be decoded."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from millstream_shared import records, references, values
from millstream_shared.errors import MissingResult, RemoteError, UnpicklableResult
from millstream_shared.records import Record
from millstream_shared.references import Stored
from millstream_shared.states import Failed, State, StateType
from millstream_shared.storages import Folder

RUN_ID = "ab" * 16
COMPLETED = Record(
    run_id=RUN_ID,
    kind="task",
    state_type=StateType.COMPLETED,
    state_name="Completed",
    name="double-bab",
    function_name="double",
    worker="worker-4711-0123456789",
    created=1_700_000_000.0,
    started=1_700_000_000.001,
    ended=1_700_000_000.002,
    data_kind=records.VALUE,
    data=values.dumps(42),
)


def test_the_layout_of_records_is_part_of_their_contract() -> None:
    """Who changes it has to raise the version, which this test reminds of: records outlive an upgrade."""
    assert COMPLETED.encode().hex() == (
        "01439fc0a6646f75626c65cf00060a24181e4000cd03e8cd07d0b6776f726b65722d343731312d30313233343536373839"
        "01c40580054b2a2ec0c0c0c0c0c0c0"
    )


def test_what_most_runs_do_not_have_takes_no_room() -> None:
    """A run with the name, state and attempt of most runs is stored without them."""
    more = {"name": "another", "state_name": "Cached", "message": "m", "tags": ("a",), "attempt": 200}
    for field, value in more.items():
        assert len(COMPLETED.encode()) < len(replace(COMPLETED, **{field: value}).encode())
    assert len(COMPLETED.encode()) < 80


def test_a_state_tells_the_time_that_it_was_reached() -> None:
    """Its end; before that its start; before that when the run was made."""
    assert COMPLETED.state.timestamp == COMPLETED.ended
    assert replace(COMPLETED, ended=None).state.timestamp == COMPLETED.started
    assert replace(COMPLETED, ended=None, started=None).state.timestamp == COMPLETED.created


def test_a_completed_state_may_hold_an_exception_as_its_value() -> None:
    """A task can return one: it comes back as it was, without a cause added."""
    kind, data = records.encode_data(State(StateType.COMPLETED, data=ValueError("a value")))
    told = records.decode_data(kind, data)
    assert (kind, type(told), told.__cause__) == (records.VALUE, ValueError, None)


def test_a_cause_of_its_own_is_kept() -> None:
    """Only an exception without one gets the text of the worker's traceback as its cause."""
    error = UnpicklableResult("f", "a lock")
    error.__cause__ = KeyError("inner")
    told = records.decode_data(*records.encode_data(Failed(data=error)))
    assert isinstance(told, UnpicklableResult)
    # Python does not pickle causes, unless a library has taught it to: what remains of this one is at least its text.
    assert "'inner'" in str(told.__cause__)


def test_an_exception_of_a_class_that_is_unknown_here_is_told_in_words() -> None:
    """As when the worker has a package that the reader lacks."""
    encoded = records.encode_exception(ValueError("so"))
    foreign = encoded.replace(b"ValueError\x94", b"ValueErr0r\x94")
    assert foreign != encoded
    told = records.decode_exception(foreign)
    assert isinstance(told, RemoteError)
    assert "ValueError: so" in told.text


def test_a_value_that_is_kept_elsewhere_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    """Not before: the state of a run can be told without it."""
    reference = references.write(Folder(tmp_path), "a", values.dumps([1]))
    kind, data = records.encode_data(State(StateType.COMPLETED, data=Stored(reference)))
    state = records.decode(RUN_ID, replace(COMPLETED, data_kind=kind, data=data).encode()).state
    again = records.decode(RUN_ID, replace(COMPLETED, data_kind=kind, data=data).encode()).state
    assert state.data is state.data == again.data == [1]
    assert state == again != Failed(data=[1])
    (tmp_path / "a").unlink()
    gone = pickle.loads(pickle.dumps(again))
    assert gone.is_completed()
    with pytest.raises(MissingResult, match=str(tmp_path)):
        gone.result()


def test_an_exception_that_holds_much_is_told_in_words() -> None:
    """Redis is not the place for it."""
    told = records.decode_data(*records.encode_data(Failed(data=ValueError("so", bytes(1_000_000)))))
    assert isinstance(told, RemoteError)
    assert len(told.text) <= 512 * 1024
