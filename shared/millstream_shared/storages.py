"""Where bytes are kept that are not for Redis: a folder, anything that fsspec reaches, or an object of the user's.

A storage takes bytes under a path within itself, and gives them back. Paths of what expires by itself begin with the
day, so that all of a day can be removed at once.
"""

import contextlib
import inspect
import os
import shutil
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol, cast

from millstream_shared import errors
from millstream_shared.settings import Settings

FOLDER_NAME: Final = "results"
"""In the home of an embedded server."""
_DAY: Final = "%Y-%m-%d"


class Storage(Protocol):
    """Raises StorageUnavailable when it cannot be used, MissingResult for a path that holds nothing."""

    @property
    def address(self) -> str:
        """Where it is, as people are told."""
        ...

    def write_path(self, path: str, content: bytes) -> None:
        """Keep `content`, in place of what was there; a reader sees the old or the new, nothing between."""
        ...

    def read_path(self, path: str) -> bytes:
        """What is kept there."""
        ...

    def exists(self, path: str) -> bool:
        """Whether something is kept there."""
        ...

    def remove(self, path: str) -> None:
        """Keep it no longer; does nothing if there is nothing."""
        ...


class Folder:
    """A folder that all who read and write see under the same path."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder).expanduser().absolute()

    @property
    def address(self) -> str:
        return str(self._folder)

    def write_path(self, path: str, content: bytes) -> None:
        file = self._folder / path
        new = file.with_name(f".{uuid.uuid4().hex}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(content)
            new.replace(file)
        except OSError as failure:
            with contextlib.suppress(OSError):
                new.unlink()
            raise errors.StorageUnavailable(str(file), _said(failure)) from failure

    def read_path(self, path: str) -> bytes:
        try:
            return (self._folder / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise _missing(self, path) from None
        except OSError as failure:
            raise errors.StorageUnavailable(str(self._folder / path), _said(failure)) from failure

    def exists(self, path: str) -> bool:
        return (self._folder / path).is_file()

    def remove(self, path: str) -> None:
        with contextlib.suppress(OSError):
            (self._folder / path).unlink()

    def sweep(self, keep_seconds: float) -> int:
        """Remove the days of which everything is older than that; how many were removed. Other files stay."""
        removed = 0
        with contextlib.suppress(OSError):
            for entry in os.scandir(self._folder):
                end = _end_of_day(entry.name)
                if end is not None and end + keep_seconds < time.time():
                    shutil.rmtree(entry.path, ignore_errors=True)
                    removed += 1
        return removed


class Bucket:
    """What an fsspec URL leads to, such as `s3://bucket/results`. Its library has to be installed."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._lock = threading.Lock()
        self._opened: tuple[Any, str] | None = None

    @property
    def address(self) -> str:
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    def write_path(self, path: str, content: bytes) -> None:
        folder = path.rpartition("/")[0]
        self._use(folder, "makedirs", exist_ok=True)
        self._use(path, "pipe_file", content)

    def read_path(self, path: str) -> bytes:
        try:
            return self._use(path, "cat_file")
        except FileNotFoundError:
            raise _missing(self, path) from None

    def exists(self, path: str) -> bool:
        return self._use(path, "isfile")

    def remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._use(path, "rm_file")

    def _use(self, path: str, method: str, *args: Any, **kwargs: Any) -> Any:
        try:
            system, root = self._open()
            return getattr(system, method)(f"{root}/{path}", *args, **kwargs)
        except FileNotFoundError:
            raise
        except Exception as failure:
            # Each kind of store has errors of its own, and all of them mean the same here.
            raise errors.StorageUnavailable(f"{self.address}/{path}", _said(failure)) from failure

    def _open(self) -> tuple[Any, str]:
        with self._lock:
            if self._opened is None:
                # A tenth of a second, which only those pay who have something to keep there.
                from fsspec import core

                self._opened = cast("Any", core).url_to_fs(self.url)
            return cast("tuple[Any, str]", self._opened)


class Custom:
    """An object of the user's with `read_path` and `write_path`, either of them async or not."""

    def __init__(self, storage: Any) -> None:
        self.storage = storage

    @property
    def address(self) -> str:
        return repr(self.storage)

    def write_path(self, path: str, content: bytes) -> None:
        try:
            _settled(self.storage.write_path(path, content))
        except Exception as failure:
            raise errors.StorageUnavailable(f"{path} in {self.address}", _said(failure)) from failure

    def read_path(self, path: str) -> bytes:
        try:
            return _settled(self.storage.read_path(path))
        except Exception as failure:
            # What such an object raises for a path that it does not have is its own affair.
            raise _missing(self, path) from failure

    def exists(self, path: str) -> bool:
        try:
            self.read_path(path)
        except errors.MissingResult:
            return False
        return True

    def remove(self, path: str) -> None:
        remove = getattr(self.storage, "delete_path", None)
        if remove is not None:
            _settled(remove(path))


def at(given: Any) -> Storage:
    """The storage that is meant by a folder, an fsspec URL, or an object with `read_path` and `write_path`.

    Raises TypeError for anything else.
    """
    if isinstance(given, Folder | Bucket | Custom):
        return given
    if isinstance(given, str | Path):
        text = str(given).removeprefix("file://")
        return Bucket(text) if "://" in text else Folder(text)
    if callable(getattr(given, "read_path", None)) and callable(getattr(given, "write_path", None)):
        return Custom(given)
    raise TypeError(
        "A result storage is a folder, a URL such as 's3://bucket/results', or an object with read_path and "
        f"write_path; got {given!r}."
    )


def for_large(settings: Settings) -> Storage | None:
    """Where large arguments and results go: as the settings say, else next to the embedded server, else nowhere."""
    if settings.result_storage:
        return at(settings.result_storage)
    return Folder(settings.home / FOLDER_NAME) if settings.redis_url is None else None


def path_of_today(name: str) -> str:
    """A path for what is removed when the retention has passed."""
    return f"{datetime.now(UTC).strftime(_DAY)}/{name}"


def _end_of_day(name: str) -> float | None:
    try:
        return datetime.strptime(name, _DAY).replace(tzinfo=UTC).timestamp() + 24 * 3600
    except ValueError:
        return None


def _missing(storage: Storage, path: str) -> errors.MissingResult:
    return errors.MissingResult(
        f"There is nothing at {storage.address}/{path}, where it should be: it was removed after its time, or this "
        "process does not see the place where it was written."
    )


def _said(failure: Exception) -> str:
    return getattr(failure, "strerror", None) or f"{type(failure).__name__}: {failure}"


def _settled(value: Any) -> Any:
    """`value`, or what it gives if it has to be awaited: in a thread, as a loop may be running in this one."""
    if not inspect.isawaitable(value):
        return value
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    async def awaited() -> Any:
        return await value

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, awaited()).result()
