"""Servers that are only objects of a process."""

import sys
import threading

import pytest

from millstream_shared import connections, memory
from millstream_shared.errors import ConfigurationError
from millstream_shared.settings import get_settings
from millstream_shared.store import Store


def test_each_is_another_server() -> None:
    """With data of its own, which all its clients see."""
    with memory.server() as url, memory.server() as other:
        connections.connect(url).set("key", "value")
        assert connections.connect(url).get("key") == b"value"
        assert connections.connect(other).get("key") is None


def test_a_store_is_opened_on_one_by_its_url() -> None:
    """The scripts run there."""
    with memory.server() as url:
        store = Store(url, get_settings())
        store.ping()
        store.take_lease("owner")
        assert store.renew_lease("owner")


def test_threads_that_come_first_together_share_its_data() -> None:
    """None of them writes into a database that no other one sees."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            with memory.server() as url:
                ready = threading.Barrier(4)

                def count(url: str = url, ready: threading.Barrier = ready) -> None:
                    client = connections.connect(url)
                    ready.wait()
                    client.incr("came")

                threads = [threading.Thread(target=count) for _ in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                assert connections.connect(url).get("came") == b"4"
    finally:
        sys.setswitchinterval(before)


def test_one_that_is_not_there_is_an_error() -> None:
    """As in another process, whose environment names it."""
    with memory.server() as url:
        pass
    with pytest.raises(ConfigurationError, match="needs a real server"):
        connections.connect(url)
