"""Ways to turn a result into bytes: by pickle, as JSON, or either of them compressed; known by name."""

import importlib
import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, cast

from millstream_shared import errors, values

_CLASS, _DATA = "__class__", "data"
_COMPRESSIONS: Final = ("zlib", "gzip", "bz2", "lzma")
_by_name: dict[str, "type[Serializer]"] = {}


class Serializer(ABC):
    """What every serializer can do. A subclass with a `type` of its own is found by that name from then on."""

    type: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.type:
            _by_name[cls.type] = cls

    @property
    def name(self) -> str:
        """The name by which a reader finds an equal serializer."""
        return self.type

    @abstractmethod
    def dumps(self, obj: Any) -> bytes:
        """`obj` as bytes. Raises SerializationError for what it cannot take."""

    @abstractmethod
    def loads(self, blob: bytes) -> Any:
        """What `dumps` was given. Raises SerializationError for bytes that it does not understand."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class PickleSerializer(Serializer):
    """Takes nearly everything: pickle, and cloudpickle for what is defined in a script. The default."""

    type = "pickle"

    def dumps(self, obj: Any) -> bytes:
        """`obj` pickled. Raises SerializationError for what cannot be."""
        try:
            return values.dumps(obj)
        except Exception as failure:
            raise _cannot_write(self, obj, failure) from failure

    def loads(self, blob: bytes) -> Any:
        """What was pickled. Raises SerializationError, for instance when a class of it is not installed here."""
        try:
            return values.loads(blob)
        except Exception as failure:
            raise _cannot_read(self, failure) from failure


class JSONSerializer(Serializer):
    """Text that other programs can read: plain data, and pydantic models, which come back as such.

    As JSON has it, tuples come back as lists, and keys of dictionaries as text. `dumps_kwargs` and `loads_kwargs` are
    passed on to `json.dumps` and `json.loads`.
    """

    type = "json"

    def __init__(self, dumps_kwargs: dict[str, Any] | None = None, loads_kwargs: dict[str, Any] | None = None) -> None:
        self.dumps_kwargs = dumps_kwargs or {}
        self.loads_kwargs = loads_kwargs or {}

    def dumps(self, obj: Any) -> bytes:
        """`obj` as JSON, UTF-8. Raises SerializationError for what JSON does not have."""
        try:
            options: dict[str, Any] = {"default": _as_json, **self.dumps_kwargs}
            return json.dumps(obj, **options).encode()
        except (TypeError, ValueError, RecursionError) as failure:
            raise _cannot_write(self, obj, failure) from failure

    def loads(self, blob: bytes) -> Any:
        """What the JSON says. Raises SerializationError for what is none."""
        try:
            options: dict[str, Any] = {"object_hook": _from_json, **self.loads_kwargs}
            return json.loads(blob, **options)
        except Exception as failure:
            raise _cannot_read(self, failure) from failure


class CompressedSerializer(Serializer):
    """Another serializer (default: pickle), its bytes compressed by `zlib`, `gzip`, `bz2` or `lzma`.

    Raises ValueError for another compression.
    """

    type = "compressed"

    def __init__(
        self, serializer: "Serializer | type[Serializer] | str" = "pickle", compressionlib: str = "zlib"
    ) -> None:
        if compressionlib not in _COMPRESSIONS:
            raise ValueError(f"compressionlib takes one of {', '.join(_COMPRESSIONS)}, got {compressionlib!r}.")
        self.serializer = resolve(serializer)
        self.compressionlib = compressionlib

    @property
    def name(self) -> str:
        """Such as `compressed/pickle`, and `compressed-lzma/pickle` for another compression than zlib."""
        how = self.type if self.compressionlib == "zlib" else f"{self.type}-{self.compressionlib}"
        return f"{how}/{self.serializer.name}"

    def dumps(self, obj: Any) -> bytes:
        """`obj` by the inner serializer, compressed."""
        return self._library().compress(self.serializer.dumps(obj))

    def loads(self, blob: bytes) -> Any:
        """What the inner serializer makes of the decompressed bytes. Raises SerializationError for torn ones."""
        try:
            raw = self._library().decompress(blob)
        except Exception as failure:
            raise _cannot_read(self, failure) from failure
        return self.serializer.loads(raw)

    def _library(self) -> Any:
        return importlib.import_module(self.compressionlib)


def resolve(given: "Serializer | type[Serializer] | str") -> Serializer:
    """The serializer that is meant by a name such as `json` or `compressed/pickle`, by a class, or by itself.

    Raises ValueError for a name that is not known, TypeError for anything else.
    """
    if isinstance(given, Serializer):
        return given
    if isinstance(given, str):
        return _named(given)
    if isinstance(given, type) and issubclass(given, Serializer):  # pyright: ignore[reportUnnecessaryIsInstance]
        return given()
    raise TypeError(f"A serializer is given by name, class or instance, such as 'json'; got {given!r}.")


def _named(name: str) -> Serializer:
    first, _, rest = name.partition("/")
    kind, _, library = first.partition("-")
    if kind == CompressedSerializer.type:
        return CompressedSerializer(rest or "pickle", library or "zlib")
    found = _by_name.get(name)
    if found is None:
        known = ", ".join(sorted(_by_name))
        raise ValueError(f"There is no serializer {name!r}; known are {known}, and compressed/NAME.")
    return found()


def _as_json(value: Any) -> Any:
    if hasattr(value, "model_dump") and hasattr(value, "model_validate"):
        kind = cast("Any", type(value))
        return {_CLASS: f"{kind.__module__}:{kind.__qualname__}", _DATA: value.model_dump(mode="json")}
    raise TypeError(f"{type(value).__name__} is no JSON")


def _from_json(found: dict[str, Any]) -> Any:
    if found.keys() != {_CLASS, _DATA}:
        return found
    from millstream_shared import entrypoints

    return entrypoints.load(found[_CLASS]).model_validate(found[_DATA])


def _cannot_write(serializer: Serializer, obj: Any, failure: Exception) -> errors.SerializationError:
    return errors.SerializationError(
        f"A {type(obj).__name__} cannot be written by the serializer {serializer.name!r} "
        f"({type(failure).__name__}: {failure})."
    )


def _cannot_read(serializer: Serializer, failure: Exception) -> errors.SerializationError:
    return errors.SerializationError(
        f"These bytes cannot be read by the serializer {serializer.name!r} ({type(failure).__name__}: {failure})."
    )
