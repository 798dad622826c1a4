"""Marks around arguments."""

import pickle

import pytest

from millstream import allow_failure, opaque, quote, unmapped
from millstream.utilities.annotations import Annotation

KINDS = [unmapped, allow_failure, quote, opaque]


@pytest.mark.parametrize("kind", KINDS)
def test_a_mark_holds_its_value(kind: type[Annotation]) -> None:
    """As a tuple of one, that can be pickled, wrapped again and nested."""
    value = [1]
    marked = kind(value)
    assert marked.value is marked.unwrap() is value
    assert len(marked) == 1
    assert pickle.loads(pickle.dumps(marked)) == marked
    assert type(marked.rewrap(2)) is kind
    assert unmapped(kind(1)).value == kind(1)
    assert repr(marked) == f"{kind.__name__}([1])"


def test_marks_are_equal_by_kind_and_value() -> None:
    """A tuple with the same value is something else."""
    assert unmapped(1) == unmapped(1)
    assert unmapped(1) != unmapped(2)
    assert unmapped(1) != quote(1)
    assert unmapped(1) != (1,)
    assert len({quote(1), quote(1), unmapped(1)}) == 2


def test_each_has_its_own_word() -> None:
    """`unmapped` gives its value for any index, `quote` can be unquoted."""
    assert unmapped("ab")[5] == "ab"
    assert quote("ab").unquote() == "ab"
