"""What Redis keeps beside runs: results under keys of their own, locks on those keys, what belongs to flow runs."""

import hashlib

from millstream_shared import keys
from millstream_shared.store import Store


class Kept:
    """The part of `store` that is about results. Names are texts of any length: what is stored is their hash."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- results

    def put(self, name: str, entry: bytes, seconds: float) -> str:
        """Keep `entry` for so long, in place of what was there; the key under which it can be had."""
        key = keys.cache(digest(name))
        self._store.command("SET", key, entry, "PX", _milliseconds(seconds))
        return key

    def get(self, name: str) -> bytes | None:
        """What is kept under the name."""
        return self.get_key(keys.cache(digest(name)))

    def get_key(self, key: str) -> bytes | None:
        """What is kept under a key that `put` gave."""
        return self._store.command("GET", key)

    def exists(self, name: str) -> bool:
        """Whether something is kept under the name."""
        return bool(self._store.command("EXISTS", keys.cache(digest(name))))

    def remove(self, name: str) -> None:
        """Keep nothing under the name."""
        self._store.command("DEL", keys.cache(digest(name)))

    # -- locks

    def lock(self, name: str, holder: str, seconds: float) -> bool:
        """Take the lock for so long, or prolong it; False if another holder has it."""
        return bool(self._store.script("lock", keys.lock(digest(name)), holder, _milliseconds(seconds)))

    def unlock(self, name: str, holder: str) -> bool:
        """Let go of the lock; False if it was not the holder's any more."""
        return bool(self._store.script("unlock", keys.lock(digest(name)), holder))

    def holder(self, name: str) -> str | None:
        """Who has the lock."""
        found = self._store.command("GET", keys.lock(digest(name)))
        return found.decode() if found else None

    # -- parameters of flow runs

    def put_parameters(self, flow_run_id: str, parameters: bytes) -> None:
        """Keep the parameters of a flow run, and what goes with them."""
        retention = self._store.settings.retention_seconds
        self._store.command("SET", keys.parameters(flow_run_id), parameters, "EX", retention)

    def parameters(self, flow_run_id: str) -> bytes | None:
        """What was kept, or None: the flow has no parameters, and nothing goes with them."""
        return self._store.command("GET", keys.parameters(flow_run_id))

    # -- flow runs within flow runs

    def put_subflow(self, parent_id: str, flow_run_id: str) -> None:
        """Note that a flow run was begun within another one."""
        self._store.script("adopt", parent_id, flow_run_id, self._store.settings.retention_seconds)

    def subflows(self, flow_run_id: str) -> list[str]:
        """The ids of the flow runs that were begun within this one, by it or by its tasks, in no order."""
        return [name.decode() for name in self._store.command("SMEMBERS", keys.subflows(flow_run_id))]


def digest(name: str) -> str:
    """What a name of any length becomes in a key."""
    return hashlib.sha256(name.encode()).hexdigest()


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 1)
