"""Names that people give to workers, each of one worker at a time; and whether one is heard of."""

import socket

from millstream_shared import errors, ids, keys
from millstream_shared.store import Store


class Names:
    """Names of workers, each of one worker at a time; kept for as long as a lease, by who goes on saying so."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._milliseconds = int(store.settings.lease_seconds * 1000)

    def take(self, name: str, owner: str) -> None:
        """Take the name for `owner`, or keep it. Raises WorkerNameTaken if another worker that lives has it.

        One that died on this machine does not keep it; one that died elsewhere does until its lease would have run out.
        """
        key, holder = keys.worker_name(name), _say_who(owner)
        while not self._store.script("lock", key, holder, self._milliseconds):
            found: bytes | None = self._store.command("GET", key)
            if found is None:
                continue
            other, _, host = found.decode().partition(" ")
            if host != socket.gethostname() or ids.lives_beside(other):
                raise errors.WorkerNameTaken(name, other, host)
            self._store.script("unlock", key, found)

    def free(self, name: str, owner: str) -> None:
        """Let go of the name, if `owner` has it."""
        self._store.script("unlock", keys.worker_name(name), _say_who(owner))


def has_lease(store: Store, owner: str) -> bool:
    """Whether the server has a lease of `owner` that is good. Raises RedisUnavailable if the server does not answer."""
    until: bytes | float | None = store.command("ZSCORE", keys.LEASES, owner)
    seconds, microseconds = store.command("TIME")
    return until is not None and float(until) > int(seconds) * 1000 + int(microseconds) / 1000


def _say_who(owner: str) -> str:
    return f"{owner} {socket.gethostname()}"
