"""Storages keep bytes under paths, in a folder or behind a URL, and lose them by the day."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millstream.exceptions import MissingResult, PayloadRefused, PayloadTooLarge, StorageUnavailable
from millstream_shared import references, storages
from millstream_shared.references import Reference, Stored
from millstream_shared.settings import Settings
from millstream_shared.storages import Folder


@pytest.fixture(params=["folder", "memory", "file"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> storages.Storage:
    """A folder, and what fsspec leads to."""
    return storages.at(
        {"folder": tmp_path, "memory": f"memory://{tmp_path}", "file": f"local://{tmp_path}"}[request.param]
    )


def test_what_is_written_can_be_read_until_it_is_removed(storage: storages.Storage) -> None:
    """In place of what was there; a path with nothing says where it is."""
    assert not storage.exists("a/b")
    storage.write_path("a/b", b"old")
    storage.write_path("a/b", b"new")
    assert storage.exists("a/b")
    assert storage.read_path("a/b") == b"new"
    storage.remove("a/b")
    storage.remove("a/b")
    with pytest.raises(MissingResult, match="a/b"):
        storage.read_path("a/b")


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    """With the reason; nothing is left half written."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable, match="file/a"):
        Folder(tmp_path / "file").write_path("a", b"")
    with pytest.raises(StorageUnavailable, match="nowhere"):
        storages.at("nowhere://a").write_path("a", b"")


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unfinished file is taken away."""

    def write(file: Path, content: bytes) -> None:
        file.open("wb").close()
        raise OSError(28, "No space left on device", len(content))

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(StorageUnavailable, match="No space left"):
        Folder(tmp_path).write_path("a", b"much")
    assert list(tmp_path.iterdir()) == []


def test_a_password_in_a_url_is_not_told() -> None:
    """In no message."""
    assert storages.at("s3://key:secret@bucket/results").address == "s3://bucket/results"


def test_days_that_are_over_are_swept(tmp_path: Path) -> None:
    """What is no day stays."""
    folder, today = Folder(tmp_path), datetime.now(UTC)
    for name in (f"{today - timedelta(days=days):%Y-%m-%d}/a" for days in (0, 1, 3, 9)):
        folder.write_path(name, b"")
    folder.write_path("mine/a", b"")
    folder.write_path("1999-99-99", b"")
    assert folder.sweep(3 * 24 * 3600) == 1
    assert len(os.listdir(tmp_path)) == 5
    assert folder.sweep(0) == 2
    assert storages.path_of_today("a").startswith(f"{time.strftime('%Y-%m', time.gmtime())}")
    assert Folder(tmp_path / "none").sweep(0) == 0


def test_large_bytes_go_where_the_settings_say(tmp_path: Path) -> None:
    """Else next to the private server, else they stay in Redis up to a limit."""
    small, large = b"1234", bytes(2000)
    private = Settings(home=tmp_path, largest_inline_bytes=1024)
    assert references.place_large("It", "name", small, private) is None
    placed = references.place_large("It", "name", large, private)
    assert placed is not None
    assert Reference.decode(placed.encode()) == placed
    assert placed.read() == (tmp_path / "results" / placed.path).read_bytes() == large
    elsewhere = Settings(home=tmp_path, result_storage="memory://elsewhere", largest_inline_bytes=1024)
    other = references.place_large("It", "name", large, elsewhere)
    assert other is not None
    assert (other.storage, other.read()) == ("memory://elsewhere", large)
    team = Settings(redis_url="redis://there", largest_inline_bytes=1024, largest_in_redis_bytes=3000)
    assert references.place_large("It", "name", large, team) is None
    with pytest.raises(PayloadTooLarge, match="It takes 3,001 bytes"):
        references.place_large("It", "name", bytes(3001), team)


def test_what_was_altered_is_refused(tmp_path: Path) -> None:
    """And not unpickled."""
    reference = references.write(Folder(tmp_path), "a", b"pickled")
    (tmp_path / "a").write_bytes(b"altered")
    with pytest.raises(PayloadRefused, match="not what was written"):
        Stored(reference).load()
