"""Results that are kept under keys: what is kept, and the store that keeps it, in Redis or in another place."""

import asyncio
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from millstream import locking, sessions
from millstream.isolation import IsolationLevel
from millstream_shared import errors, packing, references, serializers, storages
from millstream_shared.kept import Kept, digest
from millstream_shared.references import Reference, Stored
from millstream_shared.serializers import Serializer
from millstream_shared.settings import get_settings
from millstream_shared.states import Elsewhere

_VERSION: Final = 1
_SAFE_PATH: Final = re.compile(r"[\w\-][\w\-. =]*(/[\w\-][\w\-. =]*)*")
Expiration = datetime | timedelta | float | None
"""A moment, a time from now on, or the same in seconds; None: as long as the retention, in Redis; else for ever."""


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """One kept result: its key, when it was made, until when it counts, and which run made it. Times: unix seconds."""

    key: str
    created: float
    expires: float | None
    serializer: str
    run_id: str | None
    run_name: str | None
    data: bytes | Reference

    @property
    def result(self) -> Any:
        """The value. Raises MissingResult when it lies in a storage and is gone, SerializationError."""
        return self.held.load() if isinstance(self.data, Reference) else self._loads(self.data)

    @property
    def held(self) -> Any:
        """The value, or, where it is kept elsewhere, what stands for it."""
        return Stored(self.data) if isinstance(self.data, Reference) else self._loads(self.data)

    @property
    def expiration(self) -> datetime | None:
        """Until when it counts, UTC."""
        return datetime.fromtimestamp(self.expires, UTC) if self.expires is not None else None

    @property
    def is_fresh(self) -> bool:
        """Whether it counts now."""
        return self.expires is None or time.time() < self.expires

    def encode(self) -> bytes:
        """Its bytes, as they are kept."""
        placed = isinstance(self.data, Reference)
        data = self.data.encode() if isinstance(self.data, Reference) else self.data
        fields = [self.key, self.created, self.expires, self.serializer, self.run_id, self.run_name, placed, data]
        return packing.pack([_VERSION, *fields])

    @classmethod
    def decode(cls, entry: bytes) -> "ResultRecord":
        """The record that was encoded. Raises PayloadRefused for what none is."""
        try:
            version, *fields = packing.unpack(entry)
        except ValueError:
            version, fields = None, []
        if version != _VERSION:
            raise errors.PayloadRefused(f"what is kept is no result of version {_VERSION}")
        key, created, expires, serializer, run_id, run_name, placed, data = fields
        return cls(key, created, expires, serializer, run_id, run_name, Reference.decode(data) if placed else data)

    def _loads(self, data: bytes) -> Any:
        return serializers.resolve(self.serializer).loads(data)


class ResultStore:
    """Keeps results under keys: in Redis, or in `storage`, which is a folder, an fsspec URL or an object.

    `serializer` is a name, a class or an instance; `lock_manager` keeps locks on keys (default: Redis does).
    Raises TypeError or ValueError for a storage or serializer that is none. Its calls raise StorageUnavailable and
    RedisUnavailable; the methods with an `a` in front do not block the event loop.
    """

    def __init__(
        self,
        storage: Any = None,
        serializer: Serializer | type[Serializer] | str = "pickle",
        lock_manager: locking.LockManager | None = None,
    ) -> None:
        self.storage = None if storage is None else storages.at(storage)
        self.serializer = serializers.resolve(serializer)
        self.lock_manager: locking.LockManager = lock_manager or locking.IN_REDIS

    def find(self, key: str) -> ResultRecord | None:
        """The record under the key, or None if there is none, or none that counts any more."""
        entry = self._entry(key)
        if entry is None:
            return None
        record = ResultRecord.decode(entry)
        return record if record.is_fresh else None

    def read(self, key: str) -> ResultRecord:
        """The record under the key. Raises MissingResult if there is none."""
        record = self.find(key)
        if record is None:
            where = self.storage.address if self.storage else "Redis"
            raise errors.MissingResult(f"No result is kept under {key!r} in {where}, or its time has passed.")
        return record

    def exists(self, key: str) -> bool:
        """Whether `read` would give a record."""
        return self.find(key) is not None

    def write(self, key: str, value: Any, expiration: Expiration = None) -> ResultRecord:
        """Keep `value` under the key. Raises SerializationError; PayloadTooLarge for what Redis cannot take."""
        record = self.made(key, value, expiration)
        self.put(record)
        return record

    def made(
        self, key: str, value: Any, expiration: Expiration = None, run_id: str | None = None, name: str | None = None
    ) -> ResultRecord:
        """The record for `value`, as it was made by that run: `put` keeps it. Raises as `write` does."""
        content: bytes | Reference = self.serializer.dumps(value)
        if self.storage is None:
            path = f"{digest(key)[:32]}-{time.time_ns():x}"
            placed = references.place_large(f"The result for {key!r}", path, content, get_settings())
            content = placed.read_by(self.serializer.name) if placed else content
        return ResultRecord(key, time.time(), _moment(expiration), self.serializer.name, run_id, name, content)

    def put(self, record: ResultRecord) -> None:
        """Keep a record that was made by an equal store."""
        entry = record.encode()
        if self.storage is not None:
            self.storage.write_path(_path_of(record.key), entry)
            return
        seconds = get_settings().results_kept_seconds if record.expires is None else record.expires - time.time()
        kept().put(record.key, entry, seconds)

    def remove(self, key: str) -> None:
        """Keep nothing under the key."""
        if self.storage is not None:
            self.storage.remove(_path_of(key))
        else:
            kept().remove(key)

    async def aread(self, key: str) -> ResultRecord:
        """`read`, awaited."""
        return await asyncio.to_thread(self.read, key)

    async def awrite(self, key: str, value: Any, expiration: Expiration = None) -> ResultRecord:
        """`write`, awaited."""
        return await asyncio.to_thread(self.write, key, value, expiration)

    async def aexists(self, key: str) -> bool:
        """`exists`, awaited."""
        return await asyncio.to_thread(self.exists, key)

    # -- locks

    def supports_isolation_level(self, level: IsolationLevel) -> bool:
        """All levels are supported: what has no locks of its own is locked in Redis."""
        return isinstance(level, IsolationLevel)  # pyright: ignore[reportUnnecessaryIsInstance]

    def acquire_lock(self, key: str, holder: str, timeout: float | None = None) -> bool:
        """Wait for the lock on the key, `timeout` seconds at most (default: for ever); whether it was had."""
        return self.lock_manager.acquire_lock(key, holder, timeout)

    def release_lock(self, key: str, holder: str) -> None:
        """Let go of it."""
        self.lock_manager.release_lock(key, holder)

    def _entry(self, key: str) -> bytes | None:
        if self.storage is None:
            return kept().get(key)
        try:
            return self.storage.read_path(_path_of(key))
        except errors.MissingResult:
            return None


def keep_elsewhere(run_id: str, value: Any, storage: Any, serializer: Serializer, *, keeps: bool) -> Elsewhere:
    """Keep the result of a run out of its record, and give what stands for it there.

    It goes to `storage`; without one to where large results go, else to Redis, under the id of the run. `keeps` says
    whether it stays in memory too. Raises SerializationError and StorageUnavailable.
    """
    settings = get_settings()
    content = serializer.dumps(value)
    place = storages.for_large(settings) if storage is None else storages.at(storage)
    if place is not None:
        reference = references.write(place, storages.path_of_today(run_id), content, serializer.name)
    else:
        key = kept().put(f"result of {run_id}", content, settings.results_kept_seconds)
        reference = references.in_redis(key, content, serializer.name)
    return Stored(reference, keeps=keeps).remember(value)


def kept() -> Kept:
    """What Redis keeps, through the session of this process."""
    return Kept(sessions.current().store)


def _moment(expiration: Expiration) -> float | None:
    if expiration is None:
        return None
    if isinstance(expiration, datetime):
        return expiration.timestamp()
    seconds = expiration.total_seconds() if isinstance(expiration, timedelta) else expiration
    return time.time() + seconds


def _path_of(key: str) -> str:
    """Where in a storage: under the key itself where that can be a path that stays inside, else under its hash."""
    return key if _SAFE_PATH.fullmatch(key) and len(key) < 200 else digest(key)
