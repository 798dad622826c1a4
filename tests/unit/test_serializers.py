"""Serializers write what they can, say what they cannot, and are known by name."""

import pickle
from typing import Any

import pydantic
import pytest

from millstream.exceptions import SerializationError
from millstream.serializers import CompressedSerializer, JSONSerializer, PickleSerializer, Serializer
from millstream_shared import serializers


class Point(pydantic.BaseModel):
    x: int


class Reversed(Serializer):
    """A user's own, for text."""

    type = "reversed"

    def dumps(self, obj: Any) -> bytes:
        return obj[::-1].encode()

    def loads(self, blob: bytes) -> Any:
        return blob.decode()[::-1]


ALL = ["pickle", "json", "compressed/pickle", "compressed/json", "compressed-lzma/pickle", "compressed-bz2/json"]


@pytest.mark.parametrize("name", ALL)
def test_values_come_back_as_they_were(name: str) -> None:
    """By any serializer, found by its name again."""
    serializer = serializers.resolve(name)
    for value in (None, 1.5, "text", [1, {"a": True}], Point(x=1), {"deep": [Point(x=2)]}):
        assert serializers.resolve(serializer.name).loads(serializer.dumps(value)) == value


def test_one_is_given_by_name_class_or_instance() -> None:
    """Also one that a program has defined."""
    assert serializers.resolve("json") == serializers.resolve(JSONSerializer) == JSONSerializer()
    assert serializers.resolve("compressed") == CompressedSerializer("pickle") == CompressedSerializer(PickleSerializer)
    assert serializers.resolve("reversed").loads(b"ba") == "ab"
    assert serializers.resolve("compressed/reversed").loads(CompressedSerializer(Reversed).dumps("ab")) == "ab"


def test_what_is_no_serializer_is_refused() -> None:
    """With the names that are known."""
    with pytest.raises(ValueError, match="json, pickle"):
        serializers.resolve("morse")
    with pytest.raises(ValueError, match="lzma"):
        CompressedSerializer(compressionlib="zip")
    with pytest.raises(TypeError, match="got 3"):
        serializers.resolve(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ALL)
def test_what_cannot_be_written_or_read_is_said(name: str) -> None:
    """By an error that names the serializer."""
    serializer = serializers.resolve(name)
    with pytest.raises(SerializationError, match=name.partition("/")[2] or name):
        serializer.dumps(step for step in "a")
    with pytest.raises(SerializationError):
        serializer.loads(b"\x00nonsense")


def test_json_takes_options_of_the_library() -> None:
    """For writing and for reading."""
    serializer = JSONSerializer(dumps_kwargs={"default": str}, loads_kwargs={"parse_int": float})
    assert b"Point" in serializer.dumps(Point)
    assert isinstance(serializer.loads(b"1"), float)


def test_serializers_travel() -> None:
    """They are options of tasks, which do."""
    for name in ALL:
        serializer = serializers.resolve(name)
        assert pickle.loads(pickle.dumps(serializer)) == serializer
