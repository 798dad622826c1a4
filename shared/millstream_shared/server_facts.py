"""What a server says of itself, as far as it matters to us: what it is, what it keeps, how much room it has."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from millstream_shared.links import Link


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What is known of a server; None for what it does not say.

    `fsync` is Redis' `appendfsync`; `saves` whether it writes snapshots by itself. `most_bytes` is the limit of its
    memory, 0 for none. `clock_ahead` is by how many seconds its clock is before ours; that is known to `clock_error`.
    """

    name: str
    version: tuple[int, ...]
    is_replica: bool
    appends: bool | None
    fsync: str | None
    saves: bool | None
    writes_fail: bool
    eviction: str | None
    used_bytes: int | None
    most_bytes: int | None
    clock_ahead: float
    clock_error: float


def read(link: Link) -> ServerFacts:
    """Ask a server. Raises RedisUnavailable if it does not answer."""
    info = _texts(link.ask("INFO"))
    ahead, error = _clock(link)
    name, version = (
        ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", info.get("redis_version"))
    )
    saves = _configured(link, "save")
    failing = {info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")}
    return ServerFacts(
        name=name,
        version=tuple(int(part) for part in (version or "").split(".") if part.isdecimal()),
        is_replica=info.get("role") == "slave",
        appends=_flag(info.get("aof_enabled")),
        fsync=_configured(link, "appendfsync"),
        saves=None if saves is None else bool(saves),
        writes_fail="err" in failing,
        eviction=info.get("maxmemory_policy") or _configured(link, "maxmemory-policy"),
        used_bytes=_number(info.get("used_memory")),
        most_bytes=_number(info.get("maxmemory")),
        clock_ahead=ahead,
        clock_error=error,
    )


def _clock(link: Link) -> tuple[float, float]:
    """How far the server's clock is ahead, and by how much that may be wrong: half the time that the answer took."""
    found: list[tuple[float, float]] = []
    for _ in range(3):
        before = time.time()
        seconds, microseconds = link.command("TIME")
        after = time.time()
        found.append(((after - before) / 2, int(seconds) + int(microseconds) / 1e6 - (before + after) / 2))
    error, ahead = min(found)
    return ahead, error


def _configured(link: Link, name: str) -> str | None:
    return _texts(link.ask("CONFIG GET", name)).get(name)


def _texts(answer: Mapping[Any, Any] | None) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in (answer or {}).items()}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _flag(text: str | None) -> bool | None:
    return None if text is None else text == "1"


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
