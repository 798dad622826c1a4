"""Whatever is mapped, the children are what a loop would have made."""

from hypothesis import given
from hypothesis import strategies as st

from millstream import Future, unmapped
from millstream.dependencies import find_futures, replace_futures, resolve
from millstream.exceptions import MappingLengthMismatch, MappingMissingIterable
from millstream.mapping import expand
from millstream.states import Completed

names = st.sampled_from("abcdef")
scalars = st.none() | st.integers() | st.text(max_size=3)


@given(st.integers(0, 5).flatmap(lambda n: st.dictionaries(names, st.lists(scalars, min_size=n, max_size=n))), names)
def test_children_are_the_rows_of_their_columns(columns: dict[str, list], constant: str) -> None:
    """With what is constant in each."""
    given_parameters = {**columns, constant: unmapped([1, 2])}
    rest = {name: column for name, column in columns.items() if name != constant}
    try:
        children = expand(given_parameters, {"z": 0})
    except MappingMissingIterable:
        assert not rest
        return
    length = len(next(iter(rest.values())))
    expected = [{name: column[i] for name, column in rest.items()} for i in range(length)]
    assert children == [{"z": 0, constant: [1, 2], **row} for row in expected]


@given(st.dictionaries(names, st.lists(scalars, max_size=3), min_size=1))
def test_lengths_decide_whether_a_map_is_possible(columns: dict[str, list]) -> None:
    """Equal ones, or an error."""
    lengths = {len(column) for column in columns.values()}
    try:
        children = expand(columns, {})
    except MappingLengthMismatch:
        assert len(lengths) > 1
    else:
        assert lengths == {len(children)}


def _future(value: object) -> Future:
    future: Future = Future("0" * 32, "run")
    future.complete(Completed(data=value))
    return future


nested = st.recursive(
    scalars | st.builds(_future, scalars),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3) | st.tuples(inner, inner),
)


@given(nested)
def test_resolving_leaves_no_future_and_nothing_else_changed(value: object) -> None:
    """However deep; and where there was none, it is the same object."""
    futures = find_futures(value)
    resolved = resolve(value)
    assert find_futures(resolved) == []
    assert resolved == replace_futures(value, lambda future: future.result())
    if not futures:
        assert resolved is value
