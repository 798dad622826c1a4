"""What a process tells the store of itself while it uses it."""

import logging
import threading

import pytest

from millstream.store_session import Session
from millstream_shared import keys
from millstream_shared.settings import get_settings
from millstream_shared.store import Store
from tests.harness.servers import RealServer


def test_a_session_that_is_closed_while_it_renews_its_lease_has_none_afterwards(
    valkey: RealServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not take itself for one that was silent for too long."""
    closes, renewed = threading.Event(), threading.Event()

    class ClosesMeanwhile(Store):
        def renew_lease(self, owner: str) -> bool:
            closes.wait(10)
            session.close()
            try:
                return super().renew_lease(owner)
            finally:
                renewed.set()

    with caplog.at_level(logging.WARNING):
        session = Session(ClosesMeanwhile(valkey.url, get_settings()), is_local=False)
        closes.set()
        assert renewed.wait(10)
        for thread in threading.enumerate():
            if thread.name == "millstream-watcher":
                thread.join(10)
    assert caplog.messages == []
    assert valkey.client().zcard(keys.LEASES) == 0
