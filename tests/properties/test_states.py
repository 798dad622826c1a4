"""Whatever the states, what is made of them agrees."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from millstream import outcomes, states
from millstream.exceptions import RunError
from millstream.states import State, StateType
from millstream_shared.states import value_of

data = st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers()), st.builds(ValueError, st.text()))
any_state = st.builds(
    State, st.sampled_from(StateType), st.none() | st.text(), st.none() | st.text(), data, st.floats(0, 4e9)
)


@given(any_state)
def test_a_state_survives_pickling(state: State) -> None:
    """As text tells it."""
    again = pickle.loads(pickle.dumps(state))
    assert (repr(again), str(again), again.timestamp) == (repr(state), str(state), state.timestamp)


@given(any_state)
def test_only_a_completed_state_gives_a_value(state: State) -> None:
    """Every other raises, or hands over its exception."""
    try:
        value = value_of(state, raise_on_failure=False)
    except (RunError, TypeError, ValueError):
        assert not state.is_completed()
    else:
        assert state.is_completed() or isinstance(value, BaseException)


@given(st.lists(any_state, min_size=1))
def test_several_states_are_judged_by_the_worst(children: list[State]) -> None:
    """Completed only if all are; else cancelled before paused before failed."""
    kinds = {child.type for child in children}
    expected = StateType.FAILED
    for kind in (StateType.PAUSED, StateType.CANCELLED):
        if kind in kinds:
            expected = kind
    if kinds == {StateType.COMPLETED}:
        expected = StateType.COMPLETED
    judged = outcomes.of_value(children)
    assert judged.type is expected
    assert judged.data is children


@given(any_state)
def test_a_made_state_is_taken_as_it_is(state: State) -> None:
    """By a copy, so that it can be returned again."""
    taken = outcomes.of_value(state)
    assert taken is not state
    assert (taken.type, taken.name, taken.message) == (state.type, state.name, state.message)


@given(any_state)
def test_a_bad_state_has_an_exception_and_a_good_one_has_none(state: State) -> None:
    """Whatever it holds: an exception comes, or an error that says why it cannot."""
    try:
        error = states.get_state_exception(state)
    except ValueError:
        assert state.type not in (StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)
    except TypeError:
        assert isinstance(state.data, int | list)
    else:
        assert isinstance(error, BaseException)
