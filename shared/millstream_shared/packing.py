"""msgpack, with types: for all that is stored or sent in a format of our own."""

from collections.abc import Iterator
from typing import Any, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]

_msgpack = cast("Any", msgpack)
_LARGEST_MESSAGE = 2**31 - 1


def pack(value: Any) -> bytes:
    """Encode None, numbers, text, bytes, and lists, tuples and dictionaries of them."""
    return _msgpack.packb(value)


def unpack(data: bytes) -> Any:
    """Decode what `pack` encoded; tuples come back as lists. Raises ValueError for anything else."""
    return _msgpack.unpackb(data)


class Stream:
    """Takes bytes as they arrive, gives the values that are complete."""

    def __init__(self) -> None:
        self._unpacker = _msgpack.Unpacker(max_buffer_size=_LARGEST_MESSAGE)

    def feed(self, data: bytes) -> Iterator[Any]:
        """The values that `data` completes."""
        self._unpacker.feed(data)
        yield from self._unpacker
