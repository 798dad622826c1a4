"""What of the place where runs are submitted counts where a worker executes them.

That is how results are treated there, what is set in the transaction that is open there, and the flow run's parameters.
The parameters are kept once for a flow run, and read by those that ask for them.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millstream import context, sessions
from millstream.result_options import Manner
from millstream.runs import FlowRun
from millstream_shared import errors, packing, references, values
from millstream_shared.references import Reference
from millstream_shared.settings import get_settings

if TYPE_CHECKING:
    from millstream.flows import Flow
    from millstream.store_session import Session
    from millstream_shared.kept import Kept


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How results are treated (None: as by default), and what is set in the open transaction (None: there is none)."""

    results: Manner | None = None
    transaction: dict[str, Any] | None = None

    @classmethod
    def here(cls) -> "Surroundings":
        """Those of the code that is going on."""
        if context.transaction.get() is None:
            return cls(context.inherited_results())
        from millstream import transaction_runs  # what it needs is slow to import

        return cls(context.inherited_results(), transaction_runs.visible_data())

    def encode(self, task_name: str) -> bytes | None:
        """As bytes; None for what most have: nothing. Raises UnpicklableArgument for a storage that cannot be sent."""
        if self.transaction is None and self.results in (None, Manner()):
            return None
        try:
            return values.dumps(self)
        except Exception as failure:
            raise errors.UnpicklableArgument(task_name, "result_storage", str(failure)) from failure


NOTHING = Surroundings()


def decode(encoded: bytes | None) -> Surroundings:
    """What was encoded."""
    return NOTHING if encoded is None else values.loads(encoded)


@contextmanager
def entered(around: Surroundings) -> Generator[None]:
    """Within, a run is part of the transaction that it was submitted in, as far as that reaches."""
    if around.transaction is None:
        yield
        return
    from millstream.transaction_runs import Outpost

    token = context.transaction.set(Outpost(dict(around.transaction)))
    try:
        yield
    finally:
        context.transaction.reset(token)


# --- parameters of the flow run ---------------------------------------------------------------------------------------


def share_parameters(session: "Session", flow_run: FlowRun, flow: "Flow[..., Any] | None" = None) -> None:
    """Keep the parameters of a flow run where the workers find them that execute its tasks.

    If it was called by its program, and not within another run, where its `flow` is goes with them, if that is given:
    should it crash, it can be resumed.
    """
    is_called = flow_run.lease is None and flow_run.parent_flow_run_id is None and flow_run.parent_task_run_id is None
    if flow_run.parameters or (is_called and flow is not None):
        place = _place(flow) if is_called and flow is not None else None
        _kept(session).put_parameters(flow_run.run_id, packing.pack([*_encoded(flow_run), place]))


def _encoded(flow_run: FlowRun) -> tuple[bool | None, bytes]:
    """The parameters, and whether these bytes only say where they are; None: they cannot be sent."""
    try:
        # As arguments on a queue are encoded, so that they can become that.
        body = values.dumps((flow_run.parameters, ()))
        name = f"parameters-{flow_run.run_id}"
        placed = references.place_large("The parameters of the flow run", name, body, get_settings())
    except Exception:
        # That is no reason to fail: most tasks do not ask for them. Those that do are told.
        return None, b""
    return placed is not None, placed.encode() if placed else body


def _place(flow: "Flow[..., Any]") -> str | list[Any]:
    from millstream import flow_sources  # what only a flow needs that has tasks on a queue

    try:
        place = flow_sources.likely_place_of(flow)
    except Exception as failure:
        return str(failure)
    return [place.entrypoint, place.path, place.source and place.source.model_dump_json()]


@dataclass(frozen=True, slots=True)
class Shared:
    """What is kept of a flow run: its parameters, as bytes or as the place of these, and where its flow is.

    `parameters` is None if they cannot be sent. `place` is entrypoint, folder, and source as JSON; a text says why no
    other process finds the flow; None: it was called within another run, or queued.
    """

    parameters: bytes | None
    is_elsewhere: bool
    place: str | list[Any] | None


def read_shared(session: "Session", flow_run_id: str) -> Shared | None:
    """What is kept of a flow run; None if nothing is (any more)."""
    stored = _kept(session).parameters(flow_run_id)
    if stored is None:
        return None
    is_elsewhere, body, place = packing.unpack(stored)
    return Shared(None if is_elsewhere is None else body, bool(is_elsewhere), place)


class RemoteFlowRun(FlowRun):
    """A flow run of another process. Its parameters are read from the store when they are asked for.

    Reading them raises UnpicklableArgument for parameters that cannot be sent, MissingResult or RedisUnavailable.
    """

    __slots__ = ("_parameters",)

    @property
    def parameters(self) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The flow's parameters; an empty dictionary if it has none."""
        if self._parameters is None:
            self._parameters = _read_parameters(self)
        return self._parameters

    @parameters.setter
    def parameters(self, value: dict[str, Any]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._parameters: dict[str, Any] | None = value or None


def _read_parameters(flow_run: FlowRun) -> dict[str, Any]:
    shared = read_shared(sessions.current(), flow_run.run_id)
    if shared is None:
        return {}
    if shared.parameters is None:
        raise errors.UnpicklableArgument(flow_run.flow_name, "parameters", "they were needed in a worker")
    body = Reference.decode(shared.parameters).read() if shared.is_elsewhere else shared.parameters
    parameters, _ = values.loads(body)
    return parameters


def _kept(session: "Session") -> "Kept":
    from millstream_shared.kept import Kept  # brings the Redis client

    return Kept(session.store)
