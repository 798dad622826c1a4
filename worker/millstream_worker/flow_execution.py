"""One queued flow run, from its payload to its last record, in the process that is its own."""

import asyncio
import json
from typing import Any

from millstream import arguments, flow_engine, log_shipping, outcomes, printing, recording, runs, sessions
from millstream.flows import Flow
from millstream.runs import FlowRun
from millstream_shared import envelopes, errors, records, states
from millstream_shared.claims import Claim
from millstream_shared.envelopes import Envelope
from millstream_shared.flow_headers import FlowHeader
from millstream_shared.settings import get_settings
from millstream_shared.states import State
from millstream_worker import loading


def execute(claim: Claim, owner: str) -> State[Any]:
    """Execute a flow run that `owner` has claimed, in this thread, and record how it ended; the final state.

    Whatever goes wrong before the flow is called is recorded, with its reason, as the outcome of this run alone. What
    ends the process is raised again.
    """
    run = FlowRun(claim.run_id, "unreadable", flow_name="unreadable", lease=(owner, claim.attempt))
    try:
        header, envelope = _opened(claim, run)
        flow = loading.load_flow(header)
        wait_for = _read_parameters(flow, header, envelope, run)
    except Exception as failure:
        return _refused(run, failure)
    with printing.logged(header.log_prints):
        if flow.isasync:
            return asyncio.run(flow_engine.run_flow_async(flow, run, wait_for))
        return flow_engine.run_flow(flow, run, wait_for)


def call_hooks(claim: Claim, owner: str, record: bytes) -> None:
    """Call the hooks for how the run of `claim` has ended, which its process did not live to do.

    Raises what reading its payload or loading its flow raises.
    """
    run = FlowRun(claim.run_id, "unreadable", flow_name="unreadable", lease=(owner, claim.attempt))
    header, envelope = _opened(claim, run)
    flow = loading.load_flow(header)
    if flow.options.on_cancellation or flow.options.on_crashed:
        _read_parameters(flow, header, envelope, run)
        flow_engine.call_hooks(flow, run, records.decode(claim.run_id, record).state)
        log_shipping.flush()


def _opened(claim: Claim, run: FlowRun) -> tuple[FlowHeader, Envelope]:
    """What the payload says of the run, which is put into it."""
    key = get_settings().signing_key
    envelope = envelopes.open_payload(claim.payload, claim.run_id, key.encode() if key else None)
    header = FlowHeader.decode(envelope.header)
    run.name, run.flow_name, run.flow_version = header.run_name, header.flow_name, header.flow_version
    run.parent_flow_run_id, run.parent_task_run_id = header.parent_flow_run_id, header.parent_task_run_id
    run.tags, run.deployment_id, run.queue = frozenset(header.tags), header.deployment_id, header.queue
    run.created, run.due = envelope.created, header.due
    run.tries, run.run_count = claim.tries, claim.attempt - 1
    run.is_resumed = claim.attempt > 1
    return header, envelope


def _read_parameters(flow: Flow[..., Any], header: FlowHeader, envelope: Envelope, run: FlowRun) -> Any:
    """Set the run's parameters; gives what else it waits for."""
    if header.is_data:
        body = arguments.fetched(envelope).body
        run.parameters = flow.parameters.bind_names(json.loads(body))
        run.given = body.decode() if not envelope.is_elsewhere else None
        return ()
    upstream = sessions.current().store.records(envelope.upstream) if envelope.upstream else {}
    run.parameters, wait_for = arguments.decode(envelope, upstream)
    return wait_for


def _refused(run: FlowRun, failure: Exception) -> State[Any]:
    make = states.Crashed if isinstance(failure, errors.PayloadRefused) else states.Failed
    state: State[Any] = make(message=f"{type(failure).__name__}: {failure}", data=failure)
    run.ended = state.timestamp
    runs.enter(run, state)
    log_shipping.flush()
    if not recording.flow_run_finished(run, state):
        state = outcomes.stopped()
        recording.flow_run_finished(run, state)
    return state
