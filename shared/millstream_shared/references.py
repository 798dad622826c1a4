"""What stands in a record or an envelope for bytes that are kept elsewhere, and how they are had again."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from millstream_shared import errors, packing, serializers, storages, values
from millstream_shared.settings import Settings
from millstream_shared.states import Elsewhere
from millstream_shared.storages import Custom, Storage

IN_REDIS: Final = "redis"
"""In place of a storage's address: the path is a key."""

_open_storages: dict[str, Storage] = {}
_read_key: Callable[[str], bytes | None] | None = None


def set_key_reader(read: Callable[[str], bytes | None]) -> None:
    """Have references into Redis read by `read`, which takes a key: this layer has no connection of its own."""
    global _read_key
    _read_key = read


@dataclass(frozen=True, slots=True)
class Reference:
    """Where some bytes are: a storage (its address, or itself pickled), the path in it, their size and SHA-256.

    `serializer` is the name of the one that can read them.
    """

    storage: str | bytes
    path: str
    size: int
    digest: bytes
    serializer: str = "pickle"

    def encode(self) -> bytes:
        return packing.pack([self.storage, self.path, self.size, self.digest, self.serializer])

    @classmethod
    def decode(cls, data: bytes) -> "Reference":
        fields: list[Any] = packing.unpack(data)
        return cls(*fields)

    def read_by(self, serializer: str) -> "Reference":
        """The same, for another serializer."""
        return replace(self, serializer=serializer)

    def read(self) -> bytes:
        """The bytes. Raises MissingResult if they are gone, StorageUnavailable if the storage cannot be used,
        PayloadRefused if they were altered."""
        content = self._content()
        if hashlib.sha256(content).digest() != self.digest:
            raise errors.PayloadRefused(f"what lies at {self.path} is not what was written there")
        return content

    def _content(self) -> bytes:
        if self.storage == IN_REDIS:
            content = _read_key(self.path) if _read_key else None
            if content is None:
                raise errors.MissingResult(f"There is nothing in Redis under {self.path}: its time has passed.")
            return content
        return _storage(self.storage).read_path(self.path)


class Stored(Elsewhere):
    """A value that is kept elsewhere: read when it is asked for, and remembered if `keeps`."""

    __slots__ = ("_known", "_value", "keeps", "reference")

    def __init__(self, reference: Reference, *, keeps: bool = True) -> None:
        self.reference = reference
        self.keeps = keeps
        self._known, self._value = False, None

    def remember(self, value: Any) -> "Stored":
        """Have `value` at hand, which is what would be read."""
        if self.keeps:
            self._known, self._value = True, value
        return self

    def load(self) -> Any:
        """The value. Raises as Reference.read does, and SerializationError."""
        if self._known:
            return self._value
        value = serializers.resolve(self.reference.serializer).loads(self.reference.read())
        self.remember(value)
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return Stored, (self.reference,)

    def __repr__(self) -> str:
        return f"<{self.reference.size:,} bytes at {self.reference.path}>"


def write(storage: Storage, path: str, content: bytes, serializer: str = "pickle") -> Reference:
    """Keep bytes in a storage. Raises StorageUnavailable."""
    storage.write_path(path, content)
    return to(storage, path, content, serializer)


def to(storage: Storage, path: str, content: bytes, serializer: str = "pickle") -> Reference:
    """The reference to bytes that are kept in a storage already."""
    address = values.dumps(storage.storage) if isinstance(storage, Custom) else _known(storage)
    return Reference(address, path, len(content), hashlib.sha256(content).digest(), serializer)


def in_redis(key: str, content: bytes, serializer: str) -> Reference:
    """The reference to bytes that are kept under a key of Redis."""
    return Reference(IN_REDIS, key, len(content), hashlib.sha256(content).digest(), serializer)


def place_large(what: str, name: str, content: bytes, settings: Settings) -> Reference | None:
    """Keep bytes elsewhere if they are too large to be kept inline; None if they are to stay where they are.

    Raises StorageUnavailable; PayloadTooLarge where there is no storage, and they are too large for Redis.
    """
    if len(content) <= settings.largest_inline_bytes:
        return None
    storage = storages.for_large(settings)
    if storage is not None:
        return write(storage, storages.path_of_today(name), content)
    if len(content) > settings.largest_in_redis_bytes:
        raise errors.PayloadTooLarge(what, len(content), settings.largest_in_redis_bytes)
    return None


def _known(storage: Storage) -> str:
    address = storage.url if isinstance(storage, storages.Bucket) else storage.address
    _open_storages.setdefault(address, storage)
    return address


def _storage(address: str | bytes) -> Storage:
    if isinstance(address, bytes):
        return Custom(values.loads(address))
    found = _open_storages.get(address)
    if found is None:
        found = _open_storages.setdefault(address, storages.at(address))
    return found
