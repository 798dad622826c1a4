"""From arguments to the parameters of each child."""

import io
import time

import pytest

from millstream import allow_failure, quote, unmapped
from millstream.exceptions import MappingLengthMismatch, MappingMissingIterable
from millstream.mapping import expand
from millstream.states import Completed


def test_defaults_and_constants_go_to_every_child() -> None:
    """As they are."""
    assert expand({"x": [1, 2], "y": "ab"}, {"y": 0, "z": (1, 2, 3)}) == [
        {"x": 1, "y": "ab", "z": (1, 2, 3)},
        {"x": 2, "y": "ab", "z": (1, 2, 3)},
    ]


def test_children_do_not_share_their_dictionary() -> None:
    """Changing one leaves the others."""
    first, second = expand({"x": [1, 2], "more": {"y": 1}}, {}, "more")
    first["x"], first["more"]["y"] = 5, 5
    assert second == {"x": 2, "more": {"y": 1}}


@pytest.mark.parametrize("value", ["text", b"bytes", bytearray(b"b"), 5, None, io.StringIO("a\nb")])
def test_some_things_are_never_iterated(value: object) -> None:
    """Text, bytes and files, though they could be."""
    with pytest.raises(MappingMissingIterable):
        expand({"x": value}, {})


def test_annotations_keep_their_place() -> None:
    """Around each element, or around the value that all get."""
    assert expand({"x": allow_failure([1, 2]), "y": allow_failure(unmapped([3]))}, {}) == [
        {"x": allow_failure(1), "y": allow_failure([3])},
        {"x": allow_failure(2), "y": allow_failure([3])},
    ]
    assert expand({"x": quote([1]), "y": unmapped(quote([1]))}, {}) == [{"x": quote(1), "y": quote([1])}]


def test_a_state_is_mapped_by_its_value() -> None:
    """A list by its elements, a number as it is."""
    assert expand({"x": Completed(data=[1]), "y": Completed(data=2)}, {}) == [{"x": 1, "y": 2}]


def test_members_of_collected_keywords_have_lengths_too() -> None:
    """All iterables must agree."""
    with pytest.raises(MappingLengthMismatch, match="y has 3"):
        expand({"x": [1, 2], "more": {"y": [1, 2, 3]}}, {}, "more")


def test_an_empty_map_has_no_children() -> None:
    """And is not an error."""
    assert expand({"x": []}, {}) == []


def test_ten_thousand_children_take_no_time() -> None:
    """About ten milliseconds; a second would be a mistake in the making."""
    began = time.perf_counter()
    assert len(expand({"x": range(10_000)}, {"y": 1})) == 10_000
    assert time.perf_counter() - began < 1
