"""Processes that have a lease, as the store sees them."""

from collections.abc import Iterator

import pytest

from millstream_shared import ids
from millstream_shared.store import Store


def _with_lease(store: Store, kind: str) -> Iterator[str]:
    name = ids.new_owner_id(kind)
    store.take_lease(name)
    yield name
    store.release(name, list(store.held(name)))
    store.end_lease(name)


@pytest.fixture
def owner(store: Store) -> Iterator[str]:
    """A worker with a lease."""
    yield from _with_lease(store, "worker")


@pytest.fixture
def client(store: Store) -> Iterator[str]:
    """A process with a lease that executes flows, or code that takes slots."""
    yield from _with_lease(store, "client")
