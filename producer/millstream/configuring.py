"""Shows and changes the settings that all programs of a user share: `millstream config`."""

import fcntl
import json
import os
import re
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from millstream_shared import config_files, connections, errors, settings

_LOCK_SUFFIX: Final = ".lock"
_HIDDEN: Final = "********"
Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as programs started here find it; what is secret is hidden in `value`.

    `source` says where it comes from: the environment `variable`, the `file`, or the `default`.
    """

    name: str
    variable: str
    value: Value | None
    default: Value | None
    source: Literal["environment", "file", "default"]


def place() -> Path:
    """The file. Raises ConfigurationError if this environment is to have none."""
    path = config_files.place_of(os.environ)
    if not path:
        raise errors.ConfigurationError(f"{config_files.VARIABLE} is empty, so there is no file with settings.")
    return Path(path)


def view() -> list[Setting]:
    """All settings, by name. Raises ConfigurationError for a value, of the file or environment, that does not fit."""
    known = settings.get_settings()
    from_file = settings.read_file(os.environ)
    found: list[Setting] = []
    for name in sorted(settings.KNOWN):
        variable = settings.variable_of(name)
        source = "environment" if os.environ.get(variable) else "file" if name in from_file else "default"
        default = settings.default_of(name)
        found.append(Setting(name, variable, _shown(name, getattr(known, name)), _shown(name, default), source))
    return found


def set_values(given: Mapping[str, str]) -> None:
    """Write settings into the file, by name, which may be that of the variable; all of them or none.

    Raises ConfigurationError for a name that no setting has, a value that does not fit, a file that cannot be written.
    """
    _change({(name := name_of(each)): _checked(name, text) for each, text in given.items()})


def unset(names: list[str]) -> None:
    """Take settings out of the file. Raises ObjectNotFound for one that is not in it."""
    there = config_files.read(str(place()))
    for name in names:
        # What is in the file may be no setting any more.
        if name not in there and name_of(name) not in there:
            raise errors.ObjectNotFound(f"{name!r} is not set in {place()}.")
    _change({name if name in there else name_of(name): None for name in names})


def name_of(given: str) -> str:
    """The name of a setting, from that or from its variable. Raises ConfigurationError, naming what comes close."""
    name = given.strip().lower().removeprefix(settings.variable_of("").lower())
    if name not in settings.KNOWN:
        raise settings.unknown(given)
    return name


def _checked(name: str, text: str) -> Value:
    if name == "home":
        raise errors.ConfigurationError("home: the file is in it, so it is set by MILLSTREAM_HOME alone.")
    value = getattr(settings.validated({name: text}, {name: f"{name}"}), name)
    return value if isinstance(value, Value) else str(value)


def _shown(name: str, value: Any) -> Value | None:
    if value is not None and settings.is_secret(name):
        return _HIDDEN
    if isinstance(value, str) and "://" in value:
        return connections.say_where(value)
    return value if value is None or isinstance(value, Value) else str(value)


def _change(changes: Mapping[str, Value | None]) -> None:
    # Two processes that do so at once wait for each other, and whoever reads meanwhile finds the file whole.
    path = place()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path):
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            _replace(path, written(text, changes, path))
    except OSError as failure:
        raise errors.ConfigurationError(f"{path} cannot be written: {failure}") from failure
    settings.get_settings.cache_clear()


def written(text: str, changes: Mapping[str, Value | None], path: Path) -> str:
    """The text of the file with these changes. Raises ConfigurationError if it is no plain list of settings."""
    wanted = config_files.read_toml(text, path)
    for name, value in changes.items():
        pattern = re.compile(rf"^[ \t]*{re.escape(name)}[ \t]*=.*(\n|\Z)", re.MULTILINE)
        wanted.pop(name, None)
        if value is None:
            text = pattern.sub("", text, count=1)
            continue
        wanted[name] = value
        line = f"{name} = {_as_toml(value)}\n"
        if pattern.search(text):
            text = pattern.sub(lambda _, line=line: line, text, count=1)
        else:
            text = text + ("" if not text or text.endswith("\n") else "\n") + line
    if config_files.read_toml(text, path) != wanted:
        raise errors.ConfigurationError(f"{path} is not a plain list of settings, a line each: change it by hand.")
    return text


def _as_toml(value: Value) -> str:
    if isinstance(value, str):
        # A text of JSON is one of TOML, but for this one character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    descriptor = os.open(f"{path}{_LOCK_SUFFIX}", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    # It may hold passwords and keys: nobody else reads it. Where it is a link, what it leads to is replaced.
    target = path.resolve()
    descriptor, draft = tempfile.mkstemp(dir=target.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        os.unlink(draft)
        raise
