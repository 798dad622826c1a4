"""How lines that runs log leave a child process of a worker."""

import socket

import pytest

from millstream_shared.logs import Batch
from millstream_worker import channels
from millstream_worker.lines import LinesMail


def test_no_more_is_sent_than_the_worker_takes_in() -> None:
    """So the socket always has room for what a run needs to say; each message taken in makes room for another."""
    ours, theirs = socket.socketpair()
    try:
        mail, parent = LinesMail(channels.ChildEnd(ours)), channels.ParentEnd(theirs)
        batch = Batch("ab" * 16, "the run", 1, 1, "mark", [b"chunk"])
        for _ in range(2):
            assert mail.has_room(0)
            mail.send([batch])
        assert not mail.has_room(0.01)
        messages, _ = parent.receive()
        assert [(kind, [Batch(*fields) for fields in content]) for kind, content in messages] == [
            (channels.LINES, [batch])
        ] * 2
        mail.was_taken()
        assert mail.has_room(None)
        with pytest.raises(UnicodeEncodeError):
            mail.send([batch._replace(name="\ud800")])
        assert mail.has_room(0)
        assert not mail.has_room(0)
    finally:
        ours.close()
        theirs.close()
