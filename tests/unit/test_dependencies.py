"""Finding futures and states in arguments, and replacing them."""

import itertools
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field

import pydantic
import pytest

from millstream import Future, FutureList, allow_failure, opaque, quote, unmapped
from millstream.dependencies import (
    as_sequence,
    find_futures,
    find_in_call,
    replace_futures,
    resolve,
    resolve_parameters,
)
from millstream.exceptions import UpstreamTaskError
from millstream.states import Completed, Crashed, Failed, Pending, State

Pair = namedtuple("Pair", "a b")


@dataclass(frozen=True, slots=True)
class Frozen:
    x: object


@dataclass
class WithoutInit:
    x: object
    y: object = field(init=False, default=1)


class Model(pydantic.BaseModel):
    x: object


def done(outcome: State) -> Future:
    """A future with that outcome."""
    future: Future = Future("0" * 32, "upstream")
    future.complete(outcome)
    return future


ONE = done(Completed(data=1))


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        (ONE, 1),
        ([ONE, 2], [1, 2]),
        ((ONE,), (1,)),
        ({ONE}, {1}),
        (frozenset({ONE}), frozenset({1})),
        ({"a": ONE, ONE: "b"}, {"a": 1, 1: "b"}),
        (OrderedDict(a=ONE), OrderedDict(a=1)),
        (Pair(ONE, 2), Pair(1, 2)),
        (Frozen([ONE]), Frozen([1])),
        (WithoutInit(ONE), WithoutInit(1)),
        (Model(x={"y": ONE}), Model(x={"y": 1})),
        (unmapped([ONE]), [1]),
        (Completed(data=[5]), [5]),
        ([Completed(data=None)], [None]),
    ],
)
def test_values_take_the_place_of_futures(given: object, resolved: object) -> None:
    """In every container, which keeps its kind."""
    found = resolve(given)
    assert found == resolved
    assert type(found) is type(resolved)


def test_opaque_values_are_not_searched() -> None:
    """A future right in the mark gives its value; what is deeper stays, also in that value."""
    deep = [ONE]
    assert resolve([opaque(ONE), opaque(deep)]) == [1, deep]
    assert resolve(opaque(deep)) is deep
    assert resolve(opaque(done(Completed(data=deep)))) is deep
    assert resolve(opaque(allow_failure(ONE))) == resolve(allow_failure(opaque(ONE))) == 1
    assert find_futures(opaque(ONE), opaque([done(Pending())])) == [ONE]
    assert replace_futures([opaque(ONE)], lambda _: "found") == [opaque("found")]


def test_what_changes_is_a_copy() -> None:
    """The caller's own containers stay as they were, and those without futures are the same objects."""
    plain = [1, 2]
    given = {"a": plain, "b": [ONE]}
    found = resolve(given)
    assert found["a"] is plain
    assert given["b"] == [ONE]
    counts = defaultdict(list, a=[ONE])
    assert resolve(counts)["new"] == []


def test_parameters_without_futures_are_the_same() -> None:
    """So nothing is copied for most runs."""
    parameters = {"x": 1, "y": [1, "a"], "z": Frozen(1)}
    assert resolve_parameters(parameters) is parameters
    assert resolve_parameters({"x": ONE, "y": 2}) == {"x": 1, "y": 2}


def test_a_list_that_contains_itself_ends() -> None:
    """As do other circles."""
    circle: list[object] = [ONE]
    circle.append(circle)
    assert find_futures(circle) == [ONE]


def test_futures_are_found_once_in_order() -> None:
    """Inside marks too, but not inside quotes, and not in iterators."""
    two = done(Completed(data=2))
    found = find_futures([two, allow_failure(ONE), unmapped(two)], quote(done(Pending())), itertools.repeat(ONE))
    assert found == [two, ONE]
    assert find_in_call({"x": 1, "y": [ONE]}, (two,)) == [ONE, two]
    assert find_in_call({"x": 1}, ()) == []


@pytest.mark.parametrize("state", [Failed(), Crashed(), Pending(name="NotReady")])
def test_upstream_runs_must_have_completed(state: State) -> None:
    """The error names the run and its state."""
    state.run_id, state.run_name = "0" * 32, "fetch-000"
    with pytest.raises(UpstreamTaskError, match=f"fetch-000.*{state.name}"):
        resolve([done(state)])


def test_allow_failure_lets_some_pass() -> None:
    """A failure as its exception, a run that never started as None, a value as it is; a crash not."""
    error = ValueError()
    assert resolve(allow_failure(done(Failed(data=error)))) is error
    assert resolve([allow_failure([done(Failed(data=error)), ONE])]) == [[error, 1]]
    assert resolve(allow_failure(done(Pending(name="NotReady")))) is None
    with pytest.raises(UpstreamTaskError):
        resolve(allow_failure(done(Crashed())))


def test_replacing_leaves_marks_in_place() -> None:
    """And quotes untouched; a FutureList becomes a list."""
    quoted = quote(ONE)
    found = replace_futures([allow_failure(ONE), quoted, FutureList([ONE])], lambda future: future.name)
    assert found == [allow_failure("upstream"), quoted, ["upstream"]]
    assert type(found[2]) is list


def test_wait_for_may_be_one_thing_or_several() -> None:
    """Nothing, a future, a state, or any iterable."""
    assert as_sequence(None) == ()
    assert as_sequence(ONE) == (ONE,)
    assert as_sequence(allow_failure(ONE)) == (allow_failure(ONE),)
    assert as_sequence(x for x in [ONE, 1]) == (ONE, 1)
