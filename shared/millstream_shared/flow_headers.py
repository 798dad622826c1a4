"""What a worker needs to know of a queued flow run beside its parameters, as the header of its envelope."""

from dataclasses import dataclass, fields
from typing import Any, Final

from millstream_shared import packing


@dataclass(frozen=True, slots=True)
class FlowHeader:
    """A flow run on its way to a worker.

    `function` is `module:qualname`, `path/file.py:qualname`, or `sha256:…` for a flow that travels by value; `folder`
    is where it is to be loaded from (None: where the worker finds it), `source` the repository that is fetched first.
    `is_data` says that the parameters are JSON, from outside; else they are pickled. `due` is when it was to begin, in
    seconds since the epoch.
    """

    function: str
    flow_name: str
    run_name: str
    flow_version: str | None = None
    queue: str | None = None
    parent_flow_run_id: str | None = None
    parent_task_run_id: str | None = None
    tags: tuple[str, ...] = ()
    deployment_id: str | None = None
    folder: str | None = None
    source: str | None = None
    is_data: bool = False
    log_prints: bool = False
    due: float | None = None

    @property
    def encoded(self) -> bytes:
        """As bytes."""
        return packing.pack([getattr(self, name) for name in _NAMES])

    @classmethod
    def decode(cls, data: bytes) -> "FlowHeader":
        values: dict[str, Any] = dict(zip(_NAMES, packing.unpack(data), strict=True))
        values["tags"] = tuple(values["tags"])
        return cls(**values)


_NAMES: Final = tuple(field.name for field in fields(FlowHeader))
