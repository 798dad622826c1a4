"""The settings of one process, read once: `MILLSTREAM_*` environment variables, and what a file says beneath them."""

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

import click

from millstream_shared import config_files, errors

_PREFIX: Final = "MILLSTREAM_"

TaskRunnerName = Literal["queue", "threads", "concurrent", "sequential"]
LoggingLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
LoggingFormat = Literal["console", "json"]


Kind = Mapping[str, "click.ParamType[Any]"]
"""What values a setting may have, said as for options of commands: most programs never need to load pydantic."""


def _kind(kind: "click.ParamType[Any]") -> Kind:
    kind.name = kind.name.removesuffix(" range")  # or a word would be "not a valid integer range"
    return {"kind": kind}


def _one_of(words: Any) -> Kind:
    return _kind(click.Choice(get_args(words), case_sensitive=False))


def _whole(*, least: int, most: int | None = None) -> Kind:
    return _kind(click.IntRange(least, most))


_TEXT: Final = _kind(click.STRING)
_FLAG: Final = _kind(click.BOOL)
_SECONDS: Final = _kind(click.FloatRange(0, min_open=True))
_PATH: Final = _kind(click.Path(path_type=Path, readable=False))


@dataclass(frozen=True)
class Settings:
    """All that can be configured; durations are in seconds, sizes in bytes."""

    redis_url: str | None = field(default=None, metadata=_TEXT)
    """Where the team's Redis is; unset means the embedded server in `home`."""
    home: Path = field(default_factory=lambda: Path.home() / ".millstream", metadata=_PATH)
    """Folder of the embedded server: its socket, log and append-only data."""
    default_task_runner: TaskRunnerName = field(default="queue", metadata=_one_of(TaskRunnerName))
    default_queue: str = field(default="default", metadata=_TEXT)
    task_default_retries: int = field(default=0, metadata=_whole(least=0))
    flow_default_retries: int = field(default=0, metadata=_whole(least=0))
    timeout_grace_seconds: float = field(default=5.0, metadata=_SECONDS)
    """How long after its time limit a task may take to stop before its process is killed."""
    logging_log_prints: bool = field(default=False, metadata=_FLAG)
    """Whether what runs print goes to their logs, where neither they nor those around them say."""
    logging_level: LoggingLevel = field(default="INFO", metadata=_one_of(LoggingLevel))
    logging_format: LoggingFormat = field(default="console", metadata=_one_of(LoggingFormat))
    """How workers and runs write their lines to stderr: for people, or each as a JSON object for machines."""
    logs_to_redis: bool = field(default=True, metadata=_FLAG)
    """Whether the lines that runs log are kept in Redis, where `millstream flow-run logs` finds them."""
    logs_lines_per_run: int = field(default=1000, metadata=_whole(least=1, most=1_000_000))
    """How many of them are kept of one run: the newest."""
    logs_largest_line_bytes: int = field(default=8192, metadata=_whole(least=100, most=1_000_000))
    """What is kept of one line; the rest is cut off."""
    signing_key: str | None = field(default=None, metadata=_TEXT, repr=False)
    """With a key set, payloads are signed and workers refuse any that are not."""
    lease_seconds: float = field(default=15.0, metadata=_SECONDS)
    """A process that has not renewed for this long is taken for dead and its runs go back to their queues."""
    heartbeat_seconds: float = field(default=5.0, metadata=_SECONDS)
    worker_processes: int | None = field(default=None, metadata=_whole(least=1))
    """How many child processes a worker has that is not told by its command; unset: one for each CPU it may use."""
    crash_limit: int = field(default=3, metadata=_whole(least=1))
    """A run whose worker died this many times under it ends as Crashed instead of going round again."""
    retention_seconds: int = field(default=7 * 24 * 3600, metadata=_whole(least=60))
    """How long the records of a flow run, with small results, are kept after its last change."""
    logs_retention_seconds: int | None = field(default=None, metadata=_whole(least=60))
    """How long the lines are kept that runs log; unset: as long as records."""
    results_retention_seconds: int | None = field(default=None, metadata=_whole(least=60))
    """How long results are kept that are stored beside the records, cached or large; unset: as long as records."""
    results_persist_by_default: bool = field(default=False, metadata=_FLAG)
    """Whether results of tasks and flows that do not say so themselves are kept in the store."""
    refresh_cache: bool = field(default=False, metadata=_FLAG)
    """With this set, tasks that do not say otherwise are executed although a result is cached, and it is replaced."""
    result_storage: str | None = field(default=None, metadata=_TEXT)
    """A folder or any fsspec URL for what is too large for Redis; unset: a folder of the embedded server's home."""
    largest_inline_bytes: int = field(default=512 * 1024, metadata=_whole(least=1024))
    """Arguments and results over this size go to the result storage, where there is one."""
    largest_in_redis_bytes: int = field(default=64 * 1024 * 1024, metadata=_whole(least=1024))
    """Where there is no result storage, the size up to which arguments and results are kept in Redis all the same."""
    first_contact_seconds: float = field(default=2.0, metadata=_SECONDS)
    """How long to try for a first answer from Redis before saying that it is not there."""
    outage_seconds: float = field(default=120.0, metadata=_SECONDS)
    """How long a call rides out an outage of a Redis that did answer before."""

    @property
    def logs_kept_seconds(self) -> int:
        """How long lines of runs are kept."""
        return self.logs_retention_seconds or self.retention_seconds

    @property
    def results_kept_seconds(self) -> int:
        """How long results are kept that have no end of their own."""
        return self.results_retention_seconds or self.retention_seconds


KNOWN: Final[Mapping[str, Field[Any]]] = {each.name: each for each in fields(Settings)}
"""All settings by name; what `Settings` says of each."""


def is_secret(name: str) -> bool:
    """Whether the value of a setting is not to be shown."""
    return not KNOWN[name].repr


def default_of(name: str) -> Any:
    """What a setting is where nobody has set it."""
    return getattr(Settings(), name)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process; `get_settings.cache_clear()` makes the next call read them again.

    What the environment says comes before what the file says; an empty variable says nothing, as those are that a file
    of containers passes on. Raises ConfigurationError, naming the variable, or the file, for a value that does not fit.
    """
    said = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX) and value}
    given = {name[len(_PREFIX) :].lower(): value for name, value in said.items()}
    places = {name: variable_of(name) for name in given}
    if from_file := read_file(os.environ):
        path = config_files.place_of(os.environ)
        places = {name: f"{name} in {path}" for name in from_file} | places
        given = from_file | given
    return validated(given, places)


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return _PREFIX + name.upper()


def read_file(environment: Mapping[str, str]) -> dict[str, Any]:
    """What the file says for a process of this environment.

    Raises ConfigurationError for what is no setting, or none that a file can have.
    """
    path = config_files.place_of(environment)
    found = config_files.read(path)
    for name in found:
        if name not in KNOWN or name == "home":
            raise unknown(name, f" in {path}")
    return found


def unknown(name: str, where: str = "") -> errors.ConfigurationError:
    """The error for a name that no setting has, with those that come close."""
    import difflib  # only for a mistake

    near = difflib.get_close_matches(name.lower(), KNOWN, 3)
    advice = f"Is it {' or '.join(near)}?" if near else "`millstream config view` lists them all."
    if name == "home":
        advice = "It says where the file is: set MILLSTREAM_HOME."
    return errors.ConfigurationError(f"{name}{where} is no setting. {advice}")


def validated(given: Mapping[str, Any], places: Mapping[str, str]) -> Settings:
    """These settings, the others as they are by default; `places` says where each comes from.

    Raises ConfigurationError, naming the place, for a value that does not fit.
    """
    return Settings(**{name: _read(value, name, places) for name, value in given.items() if name in KNOWN})


def _read(given: Any, name: str, places: Mapping[str, str]) -> Any:
    kind: click.ParamType[Any] = KNOWN[name].metadata["kind"]
    try:
        if not isinstance(given, str | int | float):
            raise click.BadParameter(f"{given!r} is not a single value.")
        value = kind.convert(str(given), None, None)
        if value != value:
            raise click.BadParameter(f"{given!r} is no number.")
    except click.BadParameter as invalid:
        place = places.get(name, variable_of(name))
        raise errors.ConfigurationError(f"{place}: {invalid.message}") from None
    return value
