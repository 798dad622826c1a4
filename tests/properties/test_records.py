"""Whatever is recorded of a run is read again, and whether the run has ended shows without decoding."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_shared import records
from millstream_shared.errors import PayloadRefused, RemoteError
from millstream_shared.records import Record
from millstream_shared.states import FINAL_TYPES, NO_DATA, State, StateType

run_ids = st.binary(min_size=16, max_size=16).map(bytes.hex)
microseconds = st.integers(1_200_000_000_000_000, 2_100_000_000_000_000)
times = microseconds.map(lambda moment: moment / 1e6)
names = st.text(min_size=1)


@st.composite
def made_records(draw: st.DrawFn) -> Record:
    """Any run, in any state, with the name that it was given or the one that it got from its function."""
    run_id, function, state_type = draw(run_ids), draw(names), draw(st.sampled_from(StateType))
    return Record(
        run_id=run_id,
        kind=draw(st.sampled_from(("task", "flow"))),
        state_type=state_type,
        state_name=draw(st.just(state_type.value.capitalize()) | names),
        message=draw(st.none() | st.text()),
        name=draw(st.just(f"{function}-{run_id[-3:]}") | names),
        function_name=function,
        flow_run_id=draw(st.none() | run_ids),
        parent_run_id=draw(st.none() | run_ids),
        tags=draw(st.lists(st.text(), max_size=3).map(tuple)),
        worker=draw(st.none() | st.text()),
        attempt=draw(st.integers(1, 1000)),
        created=draw(times),
        started=draw(st.none() | times),
        ended=draw(st.none() | times),
        data_kind=draw(st.sampled_from((records.ABSENT, records.VALUE, records.EXCEPTION))),
        data=draw(st.none() | st.binary()),
    )


@given(made_records())
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    """Every field, to the microsecond; and written again it is the same bytes, by which a repeated call is known."""
    stored = record.encode()
    assert records.decode(record.run_id, stored) == record
    assert records.decode(record.run_id, stored).encode() == stored


@given(made_records())
def test_scripts_see_whether_a_run_has_ended(record: Record) -> None:
    """By the second byte: a capital letter, whatever the state, once there is a time of its end."""
    stored = record.encode()
    assert stored[0] == records.VERSION
    assert chr(stored[1]).isascii()
    assert chr(stored[1]).isupper() == records.has_ended(stored) == (record.ended is not None)


@given(made_records(), st.sampled_from(StateType), st.sampled_from(StateType))
def test_each_state_has_a_letter_of_its_own(record: Record, one: StateType, other: StateType) -> None:
    """And the letter of crashed runs, which scripts look for, is K."""
    letters = [replace(record, state_type=kind, ended=2e9).encode()[1:2] for kind in (one, other)]
    assert (letters[0] == letters[1]) == (one is other)
    assert (letters[0] == b"K") == (one is StateType.CRASHED)


@given(made_records(), st.integers(0, 255).filter(lambda version: version != records.VERSION))
def test_another_versions_record_is_refused(record: Record, version: int) -> None:
    """By name, as is one that is torn off at its beginning."""
    stored = record.encode()
    for bad in (bytes((version,)) + stored[1:], stored[:2], b""):
        with pytest.raises(PayloadRefused):
            records.decode(record.run_id, bad)


data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
)


@given(made_records(), st.just(NO_DATA) | data)
def test_the_state_of_a_record_holds_the_value(record: Record, value: object) -> None:
    """Or none, which is not the same as None."""
    state = State(record.state_type, record.state_name, record.message, value)
    kind, encoded = records.encode_data(state)
    told = replace(record, data_kind=kind, data=encoded).state
    assert (told.type, told.name, told.message) == (state.type, state.name, state.message)
    assert (told.has_data, told.data) == (state.has_data, state.data)
    assert (told.run_id, told.run_name) == (record.run_id, record.name)
    assert told.timestamp in (record.ended, record.started, record.created)


class Peculiar(Exception):
    """Pickles, but cannot be rebuilt: its constructor wants more than it keeps."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        # As exceptions have it, where no library like tblib, which Dask brings, has taught them another way.
        return type(self), self.args


class Locked(Exception):
    """Does not pickle at all."""

    def __init__(self, text: str) -> None:
        super().__init__(text, (step for step in text))


exceptions = st.builds(ValueError, st.text()) | st.builds(KeyError, data) | st.builds(OSError, st.integers(), st.text())


def _raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


@given(exceptions, st.sampled_from(sorted(FINAL_TYPES - {StateType.COMPLETED})))
def test_an_exception_is_the_same_with_the_place_where_it_was_raised(error: Exception, kind: StateType) -> None:
    """Type and arguments; its cause tells the traceback of the process that raised it."""
    told = records.decode_data(*records.encode_data(State(kind, data=_raised(error))))
    assert (type(told), told.args) == (type(error), error.args)
    assert isinstance(told.__cause__, RemoteError)
    assert "in _raised" in told.__cause__.text


@given(st.builds(Peculiar, st.text("abc"), st.text("abc")) | st.builds(Locked, st.text("abc")))
def test_an_exception_that_cannot_travel_is_told_in_words(error: Exception) -> None:
    """No error of pickling takes its place."""
    told = records.decode_data(*records.encode_data(State(StateType.FAILED, data=_raised(error))))
    assert isinstance(told, RemoteError)
    assert type(error).__name__ in told.text
    assert "in _raised" in told.text
