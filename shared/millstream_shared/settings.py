"""The settings of one process, read once: `MILLSTREAM_*` environment variables, and what a file says beneath them."""

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from millstream_shared import config_files, errors

_PREFIX: Final = "MILLSTREAM_"


class Settings(BaseModel):
    """All that can be configured; durations are in seconds, sizes in bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    redis_url: str | None = None
    """Where the team's Redis is; unset means the embedded server in `home`."""
    home: Path = Field(default_factory=lambda: Path.home() / ".millstream")
    """Folder of the embedded server: its socket, log and append-only data."""
    default_task_runner: Literal["queue", "threads", "concurrent", "sequential"] = "queue"
    default_queue: str = "default"
    task_default_retries: int = Field(default=0, ge=0)
    flow_default_retries: int = Field(default=0, ge=0)
    timeout_grace_seconds: float = Field(default=5.0, gt=0)
    """How long after its time limit a task may take to stop before its process is killed."""
    logging_log_prints: bool = False
    """Whether what runs print goes to their logs, where neither they nor those around them say."""
    logging_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(lambda given: str(given).upper())
    ] = "INFO"
    logging_format: Literal["console", "json"] = "console"
    """How workers and runs write their lines to stderr: for people, or each as a JSON object for machines."""
    logs_to_redis: bool = True
    """Whether the lines that runs log are kept in Redis, where `millstream flow-run logs` finds them."""
    logs_lines_per_run: int = Field(default=1000, ge=1, le=1_000_000)
    """How many of them are kept of one run: the newest."""
    logs_largest_line_bytes: int = Field(default=8192, ge=100, le=1_000_000)
    """What is kept of one line; the rest is cut off."""
    signing_key: SecretStr | None = None
    """With a key set, payloads are signed and workers refuse any that are not."""
    lease_seconds: float = Field(default=15.0, gt=0)
    """A process that has not renewed for this long is taken for dead and its runs go back to their queues."""
    heartbeat_seconds: float = Field(default=5.0, gt=0)
    worker_processes: int | None = Field(default=None, ge=1)
    """How many child processes a worker has that is not told by its command; unset: one for each CPU it may use."""
    crash_limit: int = Field(default=3, ge=1)
    """A run whose worker died this many times under it ends as Crashed instead of going round again."""
    retention_seconds: int = Field(default=7 * 24 * 3600, ge=60)
    """How long the records of a flow run, with small results, are kept after its last change."""
    logs_retention_seconds: int | None = Field(default=None, ge=60)
    """How long the lines are kept that runs log; unset: as long as records."""
    results_retention_seconds: int | None = Field(default=None, ge=60)
    """How long results are kept that are stored beside the records, cached or large; unset: as long as records."""
    results_persist_by_default: bool = False
    """Whether results of tasks and flows that do not say so themselves are kept in the store."""
    refresh_cache: bool = False
    """With this set, tasks that do not say otherwise are executed although a result is cached, and it is replaced."""
    result_storage: str | None = None
    """A folder or any fsspec URL for what is too large for Redis; unset: a folder of the embedded server's home."""
    largest_inline_bytes: int = Field(default=512 * 1024, ge=1024)
    """Arguments and results over this size go to the result storage, where there is one."""
    largest_in_redis_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Where there is no result storage, the size up to which arguments and results are kept in Redis all the same."""
    first_contact_seconds: float = Field(default=2.0, gt=0)
    """How long to try for a first answer from Redis before saying that it is not there."""
    outage_seconds: float = Field(default=120.0, gt=0)
    """How long a call rides out an outage of a Redis that did answer before."""

    @property
    def logs_kept_seconds(self) -> int:
        """How long lines of runs are kept."""
        return self.logs_retention_seconds or self.retention_seconds

    @property
    def results_kept_seconds(self) -> int:
        """How long results are kept that have no end of their own."""
        return self.results_retention_seconds or self.retention_seconds


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process; `get_settings.cache_clear()` makes the next call read them again.

    What the environment says comes before what the file says; an empty variable says nothing, as those are that a file
    of containers passes on. Raises ConfigurationError, naming the variable, or the file, for a value that does not fit.
    """
    # Reading the environment takes pydantic-settings 50 ms to import, in each process of a script that starts cold.
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
        if name not in Settings.model_fields or name == "home":
            raise unknown(name, f" in {path}")
    return found


def unknown(name: str, where: str = "") -> errors.ConfigurationError:
    """The error for a name that no setting has, with those that come close."""
    import difflib  # only for a mistake

    near = difflib.get_close_matches(name.lower(), Settings.model_fields, 3)
    advice = f"Is it {' or '.join(near)}?" if near else "`millstream config view` lists them all."
    if name == "home":
        advice = "It says where the file is: set MILLSTREAM_HOME."
    return errors.ConfigurationError(f"{name}{where} is no setting. {advice}")


def validated(given: Mapping[str, Any], places: Mapping[str, str]) -> Settings:
    """These settings, the others as they are by default; `places` says where each comes from.

    Raises ConfigurationError, naming the place, for a value that does not fit.
    """
    try:
        return Settings.model_validate(given)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        name = str(first["loc"][0])
        raise errors.ConfigurationError(
            f"{places.get(name, variable_of(name))}: {first['msg']} (it is {given.get(name)!r})"
        ) from invalid
