"""The envelope in which one task invocation travels: readable, and checked, before anything in it is unpickled.

magic "ms" | version 1 B | flags 1 B | run id 16 B | created µs 8 B | lengths of header, upstream, body 3 x 4 B
header    msgpack; the same bytes for every run of one batch, so a reader may keep what it made of them
upstream  16 B an id: the runs whose results the arguments refer to
body      the pickled arguments, or, by a flag, the reference to where they are kept
check     CRC-32, or HMAC-SHA256 where a signing key is set
"""

import functools
import hmac
import struct
import zlib
from dataclasses import dataclass, fields
from typing import Any, Final

from millstream_shared import errors, packing

VERSION = 2
_MAGIC = b"ms"
_SIGNED, _KEPT_ELSEWHERE = 1, 2
_FIXED = struct.Struct(">2sBB16sQIII")


@dataclass(frozen=True)
class Header:
    """What all runs of one batch have in common.

    `function` is `module:qualname`, or `sha256:…` for a task that travels by value. `queue` is that of the flow's
    runner, empty for the default; `flow_run_id` is empty for background runs. `inherited_tags` go on to what the run
    submits itself. `depth` counts the task runs, this one included, that it is nested in. `log_prints` holds for tasks
    that do not say otherwise. `around` is what else of the place where the runs were submitted counts where they are
    executed, pickled; most have nothing of that.
    """

    function: str
    task_name: str
    queue: str
    flow_run_id: str
    flow_run_name: str
    flow_name: str
    parent_run_id: str | None
    tags: tuple[str, ...]
    inherited_tags: tuple[str, ...]
    depth: int
    flow_run_count: int = 1
    log_prints: bool = False
    around: bytes | None = None
    flow_version: str | None = None

    @functools.cached_property
    def encoded(self) -> bytes:
        """As bytes; made once, as a program that submits one by one has the same header over and over."""
        values = [getattr(self, name) for name in _NAMES]
        # Every payload of the batch has these bytes: what is as in most, at their end, is left out.
        while len(values) > _ALWAYS and values[-1] == _USUAL[len(values) - _ALWAYS - 1]:
            values.pop()
        return packing.pack(values)

    @classmethod
    def decode(cls, data: bytes) -> "Header":
        values: list[Any] = packing.unpack(data)
        values[7], values[8] = tuple(values[7]), tuple(values[8])
        return cls(*values)


_ALWAYS: Final = 10
_NAMES: Final = tuple(field.name for field in fields(Header))
_USUAL: Final = tuple(field.default for field in fields(Header)[_ALWAYS:])


@dataclass(frozen=True, slots=True)
class Envelope:
    """An opened payload; `header` and `body` are still encoded. `created` is in seconds since the epoch.

    `is_elsewhere` says that the body is a reference to where the arguments are kept.
    """

    run_id: str
    created: float
    header: bytes
    upstream: tuple[str, ...]
    body: bytes
    is_elsewhere: bool = False


def seal(
    run_id: str,
    created: float,
    header: bytes,
    upstream: bytes,
    body: bytes,
    key: bytes | None,
    *,
    is_elsewhere: bool = False,
) -> bytes:
    """The payload of one run. `upstream` holds 16 bytes an id; with a `key` the payload is signed."""
    fixed = _FIXED.pack(
        _MAGIC,
        VERSION,
        (_SIGNED if key else 0) | (_KEPT_ELSEWHERE if is_elsewhere else 0),
        bytes.fromhex(run_id),
        round(created * 1e6),
        len(header),
        len(upstream),
        len(body),
    )
    content = b"".join((fixed, header, upstream, body))
    return content + _check(content, key)


def open_payload(payload: bytes, run_id: str, key: bytes | None) -> Envelope:
    """Take a payload apart, touching nothing that is pickled.

    Raises PayloadRefused, naming the reason: not ours, of another version, torn, altered, unsigned, or another run's.
    """
    if len(payload) < _FIXED.size or payload[:2] != _MAGIC:
        raise errors.PayloadRefused("it is not a millstream payload, or its beginning is torn")
    if payload[2] != VERSION:
        raise errors.PayloadRefused(f"it is of version {payload[2]}, this worker reads version {VERSION}")
    _, _, flags, sealed_id, _, header_size, upstream_size, body_size = _FIXED.unpack_from(payload)
    signed = bool(flags & _SIGNED)
    if key and not signed:
        raise errors.PayloadRefused("it is not signed, and this worker has a signing key")
    if signed and not key:
        raise errors.PayloadRefused("it is signed, and this worker has no MILLSTREAM_SIGNING_KEY to check it")
    end = _FIXED.size + header_size + upstream_size + body_size
    if len(payload) != end + (32 if signed else 4):
        raise errors.PayloadRefused("its length is wrong: the bytes are torn")
    if not hmac.compare_digest(_check(payload[:end], key), payload[end:]):
        raise errors.PayloadRefused("its signature is wrong" if signed else "its bytes are torn")
    if sealed_id.hex() != run_id:
        raise errors.PayloadRefused("it was made for another run")
    return open_unchecked(payload)


def open_unchecked(payload: bytes) -> Envelope:
    """Take a payload apart for a look at it; what is to be executed goes through `open_payload`."""
    _, _, _, sealed_id, created, header_size, upstream_size, _ = _FIXED.unpack_from(payload)
    signed = bool(payload[3] & _SIGNED)
    end = len(payload) - (32 if signed else 4)
    start = _FIXED.size
    header = payload[start : start + header_size]
    start += header_size
    upstream = tuple(payload[at : at + 16].hex() for at in range(start, start + upstream_size, 16))
    body = payload[start + upstream_size : end]
    return Envelope(sealed_id.hex(), created / 1e6, header, upstream, body, bool(payload[3] & _KEPT_ELSEWHERE))


def header_in(payload: bytes) -> bytes:
    """The encoded header of a payload that has been opened, or will be. Raises `struct.error` if it is torn."""
    header_size = _FIXED.unpack_from(payload)[5]
    return payload[_FIXED.size : _FIXED.size + header_size]


def created_in(payload: bytes) -> float | None:
    """When the run was made, from the first 40 bytes of its payload, in seconds since the epoch; None if torn."""
    if len(payload) < _FIXED.size or payload[:2] != _MAGIC:
        return None
    return _FIXED.unpack_from(payload)[4] / 1e6


def _check(content: bytes, key: bytes | None) -> bytes:
    if key:
        return hmac.digest(key, content, "sha256")
    return zlib.crc32(content).to_bytes(4, "big")
