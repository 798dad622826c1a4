"""What the client does with runs: makes, reads, lists, awaits, changes and deletes them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millstream import flow_submission, run_history, run_states, triggering, waiting
from millstream.client.calls import Calls
from millstream.recorded_runs import FlowRun
from millstream.run_history import Id
from millstream.triggering import Wanted
from millstream_shared.states import State, StateType

if TYPE_CHECKING:
    from millstream.flows import Flow


class FlowRunCalls(Calls):
    """The part of the client that is about flow runs and task runs.

    Methods that take the id of a run raise ValueError for what is no id, and ObjectNotFound if there is no such run.
    """

    def create_flow_run(
        self,
        flow: "Flow[..., Any] | None" = None,
        parameters: Mapping[str, Any] | None = None,
        *,
        deployment_id: Id | None = None,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        idempotency_key: str | None = None,
        state: State[Any] | None = None,
        scheduled_time: datetime | None = None,
    ) -> Any:
        """Queue a run of `flow`, or of a deployment (its id or full name), for a worker; the FlowRun, at once.

        A run of a flow is what `flow.submit` makes: a child of the run that goes on here. One of a deployment stands by
        itself; `parameters` go before those of the deployment. It begins at `scheduled_time`, or when a `state` made by
        `Scheduled` says, else at once. Of several calls with one `idempotency_key` the first makes the run, and all
        give it. Raises TypeError unless there is a flow or a deployment; else as `create_flow_run_from_deployment`.
        """
        if (flow is None) == (deployment_id is None):
            raise TypeError("create_flow_run() takes a flow, or deployment_id=.")
        wanted = _wanted(parameters, name, tags, idempotency_key, state, scheduled_time, None)
        if flow is None:
            return self._do(_from_deployment, triggering.checked_name(deployment_id), wanted)
        return self._do(_from_flow, flow, wanted)

    def create_flow_run_from_deployment(
        self,
        deployment_id: Id,
        parameters: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        idempotency_key: str | None = None,
        state: State[Any] | None = None,
        scheduled_time: datetime | None = None,
        work_queue_name: str | None = None,
        job_variables: Mapping[str, Any] | None = None,  # noqa: ARG002 - taken for programs that give them
    ) -> Any:
        """The same of a deployment; `work_queue_name` is another queue than the deployment's.

        Raises ObjectNotFound if there is no such deployment; ValueError for what is neither a name nor an id, and for a
        state in which no run begins; ParameterBindError or ParameterTypeError for parameters that the flow does not
        take: then there is no run.
        """
        wanted = _wanted(parameters, name, tags, idempotency_key, state, scheduled_time, work_queue_name)
        return self._do(_from_deployment, triggering.checked_name(deployment_id), wanted)

    def read_flow_run(self, flow_run_id: Id) -> Any:
        """A FlowRun as it stands."""
        return self._do(run_history.read_flow_run, flow_run_id)

    def read_flow_runs(
        self,
        *,
        state: StateType | State[Any] | str | None = None,
        flow_name: str | None = None,
        deployment: Id | None = None,
        tags: Iterable[str] = (),
        limit: int = 200,
        offset: int = 0,
    ) -> Any:
        """A list of `limit` FlowRuns, the newest first, after the first `offset`.

        Those in a kind of state, of a flow, of a deployment (its full name or id), and with all of these tags, if that
        is said. Raises ValueError for no kind of state, ObjectNotFound if there is no such deployment.
        """

        def read() -> list[FlowRun]:
            found = run_history.flow_runs(state=state, flow=flow_name, deployment=deployment, tags=tags)
            return run_history.some(found, limit, offset)

        return self._do(read)

    def wait_for_flow_run(self, flow_run_id: Id, timeout: float | None = None) -> Any:
        """The FlowRun when it has ended, however it did; it takes `timeout` seconds at most (None: no limit).

        Raises FlowRunWaitTimeout when time is up.
        """
        waiting.check_timeout(timeout)
        return self._do(run_history.wait_for, flow_run_id, timeout)

    def set_flow_run_state(self, flow_run_id: Id, state: State[Any] | StateType | str) -> Any:
        """Have a run go into a state, and give the FlowRun.

        Cancelling or Cancelled: it is cancelled. Scheduled: one that is paused, failed, crashed or was cancelled goes
        on where it was. Raises ValueError for other states, as only a run itself can come into those.
        """
        return self._do(run_states.set_state, flow_run_id, state)

    def delete_flow_run(self, flow_run_id: Id) -> Any:
        """Keep nothing of a flow run that has ended, nor of its task runs and what they logged.

        Flow runs that it called stay. Raises StillRunning if it has not ended.
        """
        return self._do(_delete, flow_run_id)

    def read_task_run(self, task_run_id: Id) -> Any:
        """A TaskRun as it stands."""
        return self._do(run_history.read_task_run, task_run_id)

    def read_task_runs(self, flow_run_id: Id) -> Any:
        """A list of the TaskRuns of a flow run, those first that have not ended."""
        return self._do(lambda: list(run_history.task_runs(flow_run_id)))

    def read_flow(self, flow_id: Id) -> Any:
        """A Flow, by its name or id. Raises ObjectNotFound if it has no deployment, and had no runs lately."""
        return self._do(run_history.read_flow, flow_id)

    def read_flow_by_name(self, flow_name: str) -> Any:
        """The same by its name."""
        return self._do(run_history.read_flow, flow_name)

    def read_flows(self) -> Any:
        """A list of the Flows that have deployments, or had runs lately, by name."""
        return self._do(run_history.read_flows)


def _wanted(
    parameters: Mapping[str, Any] | None,
    name: str | None,
    tags: Iterable[str] | None,
    key: str | None,
    state: State[Any] | None,
    scheduled_time: datetime | None,
    queue: str | None,
) -> Wanted:
    return Wanted(
        parameters or {},
        name=name,
        tags=tuple(triggering.checked_tags(tags)),
        due=scheduled_time or _due(state),
        key=key,
        queue=queue,
        is_child=False,
    )


def _due(state: State[Any] | None) -> datetime | None:
    if state is None or state.type is StateType.PENDING:
        return None
    if state.type is not StateType.SCHEDULED:
        raise ValueError(f"A run begins as Scheduled or Pending, not as {state.name}.")
    return (state.details or {}).get("scheduled_time")


def _from_deployment(name: str, wanted: Wanted) -> FlowRun:
    return _made(triggering.trigger(triggering.find(name), wanted).run_id)


def _from_flow(flow: "Flow[..., Any]", wanted: Wanted) -> FlowRun:
    parameters = flow.parameters.bind_names(wanted.parameters)
    own = flow_submission.Own(name=wanted.name, tags=wanted.tags, due=wanted.due, key=wanted.key)
    (future,) = flow_submission.submit(flow.unbound, [parameters], (), own)
    return _made(future.run_id)


def _made(run_id: str) -> FlowRun:
    return run_history.read_flow_run(run_id)


def _delete(run_id: Id) -> None:
    run_history.delete(run_id)
