"""The audit of the keys that a test leaves: nothing without an end to its life, no work that was forgotten."""

from fnmatch import fnmatchcase
from typing import Any

from millstream_shared import keys
from tests.harness import servers, waiting


def audit(server: servers.Server, *, work_may_be_left: bool = False, patience: float = 3.0) -> None:
    """Fail if the server holds a key that would stay for ever, or work that is not finished unless it may be left.

    It is given `patience` seconds to end: the last thing a test saw may be a moment before the last key goes.
    """
    client = server.client()
    try:
        waiting.eventually(lambda: _check(client, work_may_be_left), patience)
    finally:
        client.close()


def _check(client: Any, work_may_be_left: bool) -> bool:
    found = [key.decode() for key in client.scan_iter(count=1000)]
    lasting = [key for key in found if client.ttl(key) == -1]
    unfinished = [key for key in lasting if _matches(key, keys.LIVE)]
    if unfinished and not work_may_be_left:
        jobs = {key: client.hgetall(key) for key in unfinished if key.startswith(("rq:job:", "ms:runs:"))}
        raise AssertionError(f"work left in the store: {sorted(unfinished)}, jobs: {jobs}")
    endless = [key for key in lasting if not _matches(key, keys.PERMANENT)]
    assert not endless, f"keys without an expiry, and not in keys.PERMANENT: {sorted(endless)}"
    return True


def _matches(key: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)
