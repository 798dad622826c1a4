"""What of the place where runs are submitted counts where a worker executes them.

That is how results are treated there, what is set in the transaction that is open there, and the flow run's parameters.
The parameters are kept once for a flow run, and read by those that ask for them.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from millstream import context, printing, sessions
from millstream.result_options import Manner
from millstream.runs import FlowRun
from millstream_shared import envelopes, errors, packing, references, states, values
from millstream_shared.flow_headers import FlowHeader
from millstream_shared.references import Reference
from millstream_shared.settings import get_settings
from millstream_shared.states import State

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
    header, refusal = _header(flow_run, flow) if is_called and flow is not None else (b"", None)
    if flow_run.parameters or header or refusal:
        _kept(session).put_parameters(flow_run.run_id, packing.pack([_sealed(flow_run, header), refusal]))


def _header(flow_run: FlowRun, flow: "Flow[..., Any]") -> tuple[bytes, str | None]:
    """What has a worker execute the run, or why none can."""
    from millstream import flow_sources  # what only a flow needs that has tasks on a queue

    try:
        place = flow_sources.likely_place_of(flow)
    except Exception as failure:
        return b"", str(failure)
    header = FlowHeader(
        function=place.entrypoint,
        flow_name=flow_run.flow_name,
        run_name=flow_run.name,
        flow_version=flow_run.flow_version,
        queue=flow.queue or get_settings().default_queue,
        tags=tuple(sorted(flow_run.tags)),
        folder=place.path,
        source=place.source and place.source.model_dump_json(),
        log_prints=printing.are_logged(),
    )
    return header.encoded, None


def _sealed(flow_run: FlowRun, header: bytes) -> bytes | None:
    """The parameters as the payload of the run; None if they cannot be sent."""
    try:
        body = values.dumps((flow_run.parameters, ()))
        name = f"parameters-{flow_run.run_id}"
        placed = references.place_large("The parameters of the flow run", name, body, get_settings())
    except Exception:
        # That is no reason to fail: most tasks do not ask for them. Those that do are told.
        return None
    body = placed.encode() if placed else body
    return envelopes.seal(
        flow_run.run_id, flow_run.created, header, b"", body, _signing_key(), is_elsewhere=placed is not None
    )


@dataclass(frozen=True, slots=True)
class Shared:
    """What is kept of a flow run: its parameters in a payload, by which a worker can execute it if there is a header.

    There is no payload if they cannot be sent. `refusal` says why no other process finds the flow.
    """

    payload: bytes | None
    refusal: str | None

    @property
    def header(self) -> FlowHeader | None:
        """What a worker needs to know to execute the run."""
        header = envelopes.open_unchecked(self.payload).header if self.payload else b""
        return FlowHeader.decode(header) if header else None


def read_shared(session: "Session", flow_run_id: str) -> Shared | None:
    """What is kept of a flow run; None if nothing is (any more)."""
    stored = _kept(session).parameters(flow_run_id)
    return None if stored is None else Shared(*packing.unpack(stored))


@dataclass(eq=False)
class RemoteFlowRun(FlowRun):
    """A flow run of another process, Running. Its parameters are read from the store when they are asked for.

    Reading them raises UnpicklableArgument for parameters that cannot be sent, PayloadRefused for what cannot be
    trusted, MissingResult or RedisUnavailable.
    """

    __slots__ = ("_parameters",)

    state: State[Any] = field(default_factory=states.Running, kw_only=True)

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
    if shared.payload is None:
        raise errors.UnpicklableArgument(flow_run.flow_name, "parameters", "they were needed in a worker")
    envelope = envelopes.open_payload(shared.payload, flow_run.run_id, _signing_key())
    parameters, _ = values.loads(Reference.decode(envelope.body).read() if envelope.is_elsewhere else envelope.body)
    return parameters


def _signing_key() -> bytes | None:
    key = get_settings().signing_key
    return key.encode() if key else None


def _kept(session: "Session") -> "Kept":
    from millstream_shared.kept import Kept  # brings the Redis client

    return Kept(session.store)
