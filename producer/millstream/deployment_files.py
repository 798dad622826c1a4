"""Files of deployments: YAML, checked as a whole before any of it counts; each error has its file, line and field."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast

import pydantic

from millstream import deployments, flow_sources, git_sources, schedules, yaml_lines
from millstream_shared import errors
from millstream_shared.deployments import CollisionStrategy, GitSource, OnCrash
from millstream_shared.schedules import CatchUp

DEFAULT: Final = "millstream.yaml"

_FIELD_OF: Final = (
    ((errors.MissingFlowError, errors.UnspecifiedFlowError, errors.ScriptError), "entrypoint"),
    ((errors.SourceUnavailable,), "source"),
    ((errors.ParameterBindError, errors.ParameterTypeError), "parameters"),
    ((errors.InvalidNameError,), "name"),
)
"""What an error about a deployment is about."""


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class ScheduleEntry(_Strict):
    """A schedule, with the fields of `millstream.schedules.Schedule`."""

    interval: float | None = None
    cron: str | None = None
    rrule: str | None = None
    timezone: str | None = None
    anchor_date: datetime | None = None
    day_or: bool = True
    active: bool = True
    parameters: dict[str, Any] = {}
    slug: str | None = None
    catchup: CatchUp = "latest"

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        self.schedule()
        return self

    def schedule(self) -> schedules.Schedule:
        """What is meant."""
        return schedules.Schedule(**dict(self))


class SourceEntry(_Strict):
    """A git repository; entrypoint and path are in it."""

    git: str
    branch: str | None = None
    commit: str | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        self.source()
        return self

    def source(self) -> GitSource:
        """What is meant."""
        return git_sources.GitRepository(self.git, self.branch, self.commit)


class LimitEntry(_Strict):
    """How many runs may be executed at once, and what becomes of others; a number alone is how many."""

    limit: Annotated[int, pydantic.Field(ge=1)]
    collision_strategy: CollisionStrategy = "ENQUEUE"

    @pydantic.model_validator(mode="before")
    @classmethod
    def _of_number(cls, given: Any) -> Any:
        return cast("Any", given) if isinstance(given, dict) else {"limit": given}


class DeploymentEntry(_Strict):
    """One deployment. A relative path is meant from the folder of the file, or from the source."""

    name: str
    entrypoint: str
    path: str | None = None
    source: SourceEntry | None = None
    queue: str | None = pydantic.Field(None, validation_alias=pydantic.AliasChoices("queue", "work_pool_name"))
    parameters: dict[str, Any] = {}
    enforce_parameter_schema: bool = True
    tags: list[str] = []
    description: str | None = None
    version: str | None = None
    schedules: list[ScheduleEntry] = []
    paused: bool | None = None
    concurrency_limit: LimitEntry | None = None
    on_crash: OnCrash = "crash"

    def deployment(self, folder: Path) -> deployments.Deployment:
        """What is meant, the flow loaded."""
        flow = flow_sources.load_place(self._place(folder))
        options = {
            name: getattr(self, name)
            for name in ("queue", "parameters", "enforce_parameter_schema", "tags", "description", "version", "paused")
        }
        return deployments.Deployment.build_from_flow(
            flow,
            self.name,
            schedules=[each.schedule() for each in self.schedules],
            concurrency_limit=dict(self.concurrency_limit) if self.concurrency_limit else None,
            on_crash=self.on_crash,
            **cast("Any", options),
        )

    def _place(self, folder: Path) -> flow_sources.Place:
        if self.source is not None:
            return flow_sources.Place(self.entrypoint, self.path, self.source.source())
        return flow_sources.Place(self.entrypoint, str(folder / (self.path or "")))


class DeploymentFile(_Strict):
    """What such a file holds."""

    version: Literal[1] = 1
    deployments: Annotated[list[DeploymentEntry], pydantic.Field(min_length=1)]


def read(file: Path, names: Sequence[str] = ()) -> list[deployments.Deployment]:
    """The deployments that a file describes, or those of them with these names (`name` or `flow/name`).

    Their flows are loaded, so that all of it is known to hold. Raises DeploymentFileError, with all that is wrong;
    ObjectNotFound for a name that none has.
    """
    document = yaml_lines.read(file)
    try:
        content = DeploymentFile.model_validate(document.content)
    except pydantic.ValidationError as invalid:
        found = sorted(invalid.errors(), key=lambda error: document.line_of(error["loc"]))
        raise errors.DeploymentFileError([_problem(document, error) for error in found]) from None
    wanted = {name.rpartition("/")[2] for name in names}
    chosen = [(at, entry) for at, entry in enumerate(content.deployments) if not names or entry.name in wanted]
    problems: list[str] = []
    loaded = list(_loaded(document, chosen, file.absolute().parent, problems))
    if problems:
        raise errors.DeploymentFileError(problems)
    return _named(loaded, names, [entry.name for entry in content.deployments], file)


def _loaded(
    document: yaml_lines.Document, entries: Sequence[tuple[int, DeploymentEntry]], folder: Path, problems: list[str]
) -> Iterator[deployments.Deployment]:
    seen: set[str] = set()
    for at, entry in entries:
        place = ("deployments", at)
        try:
            deployment = entry.deployment(folder)
        except (errors.MillstreamError, ValueError, TypeError) as failure:
            field = next((field for kinds, field in _FIELD_OF if isinstance(failure, kinds)), None)
            problems.append(document.told((*place, field) if field else place, str(failure)))
            continue
        if deployment.full_name in seen:
            problems.append(document.told((*place, "name"), f"there is another {deployment.full_name!r} above."))
        seen.add(deployment.full_name)
        yield deployment


def _named(
    found: list[deployments.Deployment], names: Sequence[str], all_names: Sequence[str], file: Path
) -> list[deployments.Deployment]:
    for name in names:
        if not any(name in (each.name, each.full_name) for each in found):
            raise errors.ObjectNotFound(f"There is no deployment {name!r} in {file}; it has {', '.join(all_names)}.")
    return [each for each in found if not names or each.name in names or each.full_name in names]


def _problem(document: yaml_lines.Document, error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "missing":
        message = "is missing"
    elif error["type"] == "extra_forbidden":
        message = "there is no such field"
    elif error["type"] == "string_type" and isinstance(error["input"], int | float):
        message = f'is a text: write it in quotes, as "{error["input"]}"'
    elif not message.rstrip(".").endswith(repr(error["input"])):
        message = f"{message} (it is {error['input']!r})" if not isinstance(error["input"], dict | list) else message
    return document.told(error["loc"], message)
