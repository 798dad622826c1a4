"""Lines that runs have logged, as the store keeps them: of each run the newest, in chunks of up to a hundred.

A chunk is made where the lines are logged, and opened where they are read. Whoever carries it in between has little to
do with it, however many lines there are, which matters as it may be the worker on whose loop all its runs depend.

    version 1 B | number of lines 2 B | msgpack [time of the first line in µs, [µs after that, level, text, ...]]
"""

import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from millstream_shared import errors, keys, packing

if TYPE_CHECKING:
    from millstream_shared.store import Store  # brings the Redis client, which who only packs lines does not need

Line = tuple[float, int, str]
"""Time in seconds since the epoch, level as a number of `logging`, text."""

VERSION: Final = 1
_FIXED = struct.Struct(">BH")
_MOST_LINES, _MOST_BYTES = 100, 32 * 1024
_MOST_BYTES_IN_A_CALL = 256 * 1024


class Batch(NamedTuple):
    """Lines of one run, in chunks: the newest of `logged`, the oldest of which may have been dropped on the way.

    It travels in messages as a list: `Batch(*fields)` makes it anew. `first` is the time of the first of them in µs;
    `mark` differs in any two batches: it tells one that is sent again.
    """

    run_id: str
    name: str
    first: int
    logged: int
    mark: str
    chunks: list[bytes]

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return sum(map(len, self.chunks)) + len(self.name) + 100


class Logged(NamedTuple):
    """What is known of a run's lines without reading them.

    `total` have been logged since `first` (seconds since the epoch), of which at most the newest `bound` are there.
    """

    run_id: str
    name: str
    total: int
    first: float
    bound: int
    mark: str


def pack(lines: Iterable[Line], bound: int) -> list[bytes]:
    """Lines as chunks. They are smaller than `bound`, the number of lines kept, as chunks are dropped as a whole."""
    chunks: list[bytes] = []
    source, most = iter(lines), max(1, min(_MOST_LINES, bound // 10))
    fields: list[Any] = []
    start = size = 0
    for time, level, text in source:
        moment = round(time * 1e6)
        start = start if fields else moment
        fields += (moment - start, level, text)
        size += len(text)
        if len(fields) == 3 * most or size > _MOST_BYTES:
            chunks.append(_packed(start, fields))
            fields, size = [], 0
    return [*chunks, _packed(start, fields)] if fields else chunks


def _packed(start: int, fields: list[Any]) -> bytes:
    try:
        body = packing.pack([start, fields])
    except UnicodeEncodeError:
        # Half of a surrogate pair, as in names of files that are not in UTF-8.
        fields[2::3] = [text.encode(errors="replace").decode() for text in fields[2::3]]
        body = packing.pack([start, fields])
    return _FIXED.pack(VERSION, len(fields) // 3) + body


def count(chunk: bytes) -> int:
    """How many lines are in a chunk."""
    return _FIXED.unpack_from(chunk)[1]


def unpack(chunk: bytes) -> list[Line]:
    """The lines of a chunk. Raises PayloadRefused if another version wrote it."""
    if chunk[:1] != bytes((VERSION,)):
        raise errors.PayloadRefused(f"its lines are not of version {VERSION}")
    start, fields = packing.unpack(chunk[_FIXED.size :])
    each = iter(fields)
    return [((start + after) / 1e6, level, text) for after, level, text in zip(each, each, each, strict=True)]


class Logs:
    """The part of `store` that is about lines of runs."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def write(self, batches: Iterable[Batch]) -> None:
        """Keep these lines, behind those that are there; of each run as many as the settings say, for the retention."""
        settings = self._store.settings
        fixed = (settings.logs_kept_seconds, settings.logs_lines_per_run)
        left = iter(batches)
        batch = next(left, None)
        while batch is not None:
            args: list[Any] = []
            size = 0
            while batch is not None and size < _MOST_BYTES_IN_A_CALL:
                args += (batch.run_id, batch.name, batch.first, batch.logged, batch.mark, len(batch.chunks))
                args += batch.chunks
                size += batch.size
                batch = next(left, None)
            self._store.script("log", *fixed, *args)

    def logged(self, run_id: str) -> list[Logged]:
        """The runs in the tree of `run_id` that have logged anything, in no order."""
        found: dict[bytes, bytes] = self._store.command("HGETALL", keys.logged(run_id))
        return [_logged(name.decode(), entry) for name, entry in found.items()]

    def lines(self, run_ids: Sequence[str]) -> list[tuple[Logged, list[Line]]]:
        """What is there of runs that have logged anything, oldest line first; and what is known of them by now."""
        stored: list[list[Any]] = self._store.script("read_logs", *run_ids) if run_ids else []
        found: list[tuple[Logged, list[Line]]] = []
        for run_id, pair in zip(run_ids, stored, strict=True):
            if pair:
                run = _logged(run_id, pair[0])
                lines = [line for chunk in pair[1] for line in unpack(chunk)]
                # A bit more may be there, as chunks are dropped as a whole.
                found.append((run, lines[-run.bound :]))
        return found


def _logged(run_id: str, entry: bytes) -> Logged:
    total, _, first, bound, mark, name = entry.decode().split(" ", 5)
    return Logged(run_id, name, int(total), int(first) / 1e6, int(bound), mark)
