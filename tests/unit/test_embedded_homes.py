"""Where an embedded server may live."""

import fcntl
import os
from pathlib import Path

import pytest

from millstream.embedded import homes
from millstream_shared import errors


def test_is_made_for_its_owner_alone(folder):
    """A home that is not there is made, with its parents, and closed to others."""
    home = homes.open_home(folder / "a" / "home")
    assert home.path.stat().st_mode & 0o777 == 0o700


def test_names_its_socket_by_url(folder):
    """The URL is the one that Redis clients take."""
    assert homes.describe_home(folder).url == f"unix://{folder}/server.sock"


def test_starts_from_a_relative_path_or_the_users_home(monkeypatch, folder):
    """`~` and relative paths work as in a shell."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    assert homes.describe_home(Path("here")).path == folder / "here"
    assert homes.describe_home(Path("~/there")).path == folder / "there"


def test_refuses_a_path_too_long_for_a_socket(folder):
    """The system would cut such a path or refuse it: the error names the setting. Bytes count, not letters."""
    with pytest.raises(errors.ConfigurationError, match="MILLSTREAM_HOME"):
        homes.open_home(folder / ("ä" * 45))


def test_refuses_a_folder_that_others_can_write_to(folder):
    """Whoever can write there could put a server of his own in its place."""
    folder.chmod(0o777)
    with pytest.raises(errors.ConfigurationError, match="chmod 700"):
        homes.open_home(folder)


def test_refuses_a_folder_that_cannot_be_made(folder):
    """A file in the way is one clear error, not a traceback from deep inside."""
    (folder / "file").touch()
    with pytest.raises(errors.ConfigurationError, match="MILLSTREAM_HOME"):
        homes.open_home(folder / "file" / "home")


def test_a_lock_is_had_by_one_at_a_time(folder):
    """A second taker that does not want to wait gets nothing, until the first has closed it."""
    home = homes.open_home(folder)
    first = home.lock("some.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert first is not None
    assert home.lock("some.lock", fcntl.LOCK_EX | fcntl.LOCK_NB) is None
    os.close(first)
    second = home.lock("some.lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert second is not None
    os.close(second)


@pytest.mark.parametrize(
    ("logs", "words"),
    [
        ({}, ""),
        ({"supervisor.log": "early\nlate\n\n"}, "late"),
        ({"supervisor.log": "ended\n", "server.log": "bad data\n"}, "bad data"),
        ({"server.log": "bad data\n1:M # WARNING memory\n"}, "bad data"),
    ],
)
def test_knows_the_last_words(folder, logs, words):
    """What the server said last explains its end better than what its supervisor saw of it."""
    for name, text in logs.items():
        (folder / name).write_text(text)
    assert homes.describe_home(folder).last_words() == words
