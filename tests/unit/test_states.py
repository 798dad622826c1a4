"""States: what they are made from, and what they give."""

import asyncio
import pickle
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from millstream import exceptions, states
from millstream.states import State, StateType

SIMPLE = {
    "Completed": StateType.COMPLETED,
    "Failed": StateType.FAILED,
    "Crashed": StateType.CRASHED,
    "Cancelled": StateType.CANCELLED,
    "Cancelling": StateType.CANCELLING,
    "Running": StateType.RUNNING,
    "Retrying": StateType.RUNNING,
    "Pending": StateType.PENDING,
    "Submitting": StateType.PENDING,
    "InfrastructurePending": StateType.PENDING,
    "Scheduled": StateType.SCHEDULED,
    "Late": StateType.SCHEDULED,
    "AwaitingRetry": StateType.SCHEDULED,
    "AwaitingConcurrencySlot": StateType.SCHEDULED,
    "Paused": StateType.PAUSED,
    "Suspended": StateType.PAUSED,
}


@pytest.mark.parametrize(("name", "kind"), SIMPLE.items())
def test_each_constructor_makes_its_state(name: str, kind: StateType) -> None:
    """By keyword; the name can be another."""
    make = getattr(states, name)
    made = make(message="m", data=1)
    assert (made.type, made.name, made.message, made.data) == (kind, name, "m", 1)
    assert make(name="Other").name == "Other"
    with pytest.raises(TypeError):
        make("m")


@pytest.mark.parametrize("kind", StateType)
def test_each_type_answers_to_its_question(kind: StateType) -> None:
    """And to no other."""
    state = State(kind)
    assert state.name == kind.value.capitalize()
    answers = {other: getattr(state, f"is_{other.value.lower()}")() for other in StateType}
    assert [other for other, answer in answers.items() if answer] == [kind]
    assert state.is_final() == (kind.value in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"))


def test_text_is_short_and_representation_tells_the_value() -> None:
    """As log lines and printed results show them."""
    assert str(states.Completed()) == "Completed()"
    assert str(states.Failed(message="x")) == "Failed('x')"
    assert "result=[1, 2]" in repr(states.Completed(data=[1, 2]))


def test_states_are_equal_by_what_they_tell() -> None:
    """Not by when, or of which run."""
    assert states.Completed(data=1) == states.Completed(data=1)
    assert states.Completed(data=1) != states.Completed(data=2)
    assert states.Running() != states.Retrying()
    assert states.Completed() != "Completed()"
    assert len({states.Completed(data=[]), states.Completed(data=[])}) == 1


def test_a_state_has_an_id_and_a_time() -> None:
    """The id is made once; the time is aware."""
    state = states.Running()
    assert isinstance(state.id, uuid.UUID)
    assert state.id == state.id
    assert abs(state.time - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_state_is_made_of_what_means_a_type_and_a_time() -> None:
    """A word for the type, a datetime for the time; what is no type is refused, and told what there is."""
    moment = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
    state = State("COMPLETED", timestamp=moment)  # type: ignore[arg-type]  # pyright: ignore
    assert state.type is StateType.COMPLETED
    assert (state.time, state.timestamp) == (moment, moment.timestamp())
    with pytest.raises(ValueError, match=r"'DONE'.*COMPLETED"):
        State("DONE")  # type: ignore[arg-type]  # pyright: ignore


def test_a_state_survives_pickling() -> None:
    """With its value, or with having none."""
    full = pickle.loads(pickle.dumps(states.Completed(data={"a": 1})))
    assert full.result() == {"a": 1}
    assert not pickle.loads(pickle.dumps(states.Completed())).has_data


def test_classes_can_be_subscripted() -> None:
    """User code annotates with `State[int]`."""
    assert State[int]


def test_a_completed_state_gives_its_value() -> None:
    """Also None; without any it says that it is missing."""
    assert states.Completed(data=None).result() is None
    with pytest.raises(exceptions.MissingResult):
        states.Completed().result()


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (states.Failed(data=KeyError("k")), KeyError),
        (states.Failed(data="text"), exceptions.FailedRun),
        (states.Failed(message="text"), exceptions.FailedRun),
        (states.Failed(), exceptions.FailedRun),
        (states.Crashed(message="text"), exceptions.CrashedRun),
        (states.Cancelled(message="text"), exceptions.CancelledRun),
        (states.Failed(data=states.Failed(data=KeyError("k"))), KeyError),
        (states.Failed(data=[states.Completed(), states.Cancelled(), states.Failed()]), exceptions.CancelledRun),
        (states.Failed(data=[states.Completed()]), ValueError),
        (states.Failed(data=5), TypeError),
        (states.Paused(), exceptions.PausedRun),
        (states.Running(), exceptions.UnfinishedRun),
        (states.Pending(name="NotReady"), exceptions.UnfinishedRun),
    ],
)
def test_other_states_raise(state: State, error: type[Exception]) -> None:
    """What they hold, or a wrapper named after them."""
    with pytest.raises(error):
        state.result()


def test_text_of_a_failure_is_in_the_error() -> None:
    """The data before the message."""
    assert str(states.get_state_exception(states.Failed(data="data", message="message"))) == "data"
    assert str(states.get_state_exception(states.Crashed(message="message"))) == "message"


def test_an_exit_is_not_raised_as_such() -> None:
    """It would end the reader's process: it is the cause."""
    error = states.get_state_exception(states.Crashed(data=SystemExit(3)))
    assert isinstance(error, exceptions.CrashedRun)
    assert isinstance(error.__cause__, SystemExit)


def test_an_exception_can_be_had_as_a_value() -> None:
    """With `raise_on_failure=False`."""
    error = KeyError("k")
    assert states.Failed(data=error).result(raise_on_failure=False) is error
    assert isinstance(states.Cancelled().result(raise_on_failure=False), exceptions.CancelledRun)


def test_good_states_have_no_exception() -> None:
    """Raising theirs does nothing, asking for it is an error."""
    states.raise_state_exception(states.Completed())
    with pytest.raises(ValueError, match="Completed"):
        states.get_state_exception(states.Completed())
    with pytest.raises(KeyError):
        states.raise_state_exception(states.Failed(data=KeyError("k")))


async def test_where_a_loop_runs_the_result_is_awaited() -> None:
    """By either name."""
    assert await states.Completed(data=1).result() == 1
    assert await states.Completed(data=1).aresult() == 1
    with pytest.raises(KeyError):
        await states.Failed(data=KeyError("k")).result()


def test_elsewhere_only_aresult_is_awaited() -> None:
    """It is a coroutine everywhere."""
    assert asyncio.run(states.Completed(data=1).aresult()) == 1


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ([states.Completed()], True),
        ({states.Completed()}, True),
        ((states.Completed(), states.Failed()), True),
        ([], False),
        ([states.Completed(), 1], False),
        (states.Completed(), False),
        ({1: states.Completed()}, False),
        ("text", False),
    ],
)
def test_collections_of_states_are_recognised(value: object, answer: bool) -> None:
    """Lists, sets and tuples that hold nothing else."""
    assert states.is_state_iterable(value) is answer


def test_a_pause_ends_at_one_time() -> None:
    """Given as seconds or as a time, not both."""
    until = datetime.now(UTC)
    assert states.Paused(pause_expiration_time=until).details["pause_timeout"] == until
    assert states.Paused(timeout_seconds=60).details["pause_timeout"] > until
    assert states.Suspended(pause_key="k").details == {
        "pause_timeout": None,
        "pause_reschedule": True,
        "pause_key": "k",
    }
    with pytest.raises(ValueError, match="both"):
        states.Paused(timeout_seconds=1, pause_expiration_time=until)


def test_a_scheduled_state_knows_its_time() -> None:
    """Default: now."""
    due = datetime(2030, 1, 1, tzinfo=UTC)
    assert states.Scheduled(scheduled_time=due).details == {"scheduled_time": due}
    assert states.Late().details["scheduled_time"] <= datetime.now(UTC)
