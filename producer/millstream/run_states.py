"""Flow runs that somebody else than themselves has go into a state: cancelled, or going on."""

from typing import Any

from millstream import cancelling, flow_runs, recorded_runs, resuming, run_history
from millstream.recorded_runs import FlowRun
from millstream.run_history import Id
from millstream.utilities import asyncutils
from millstream_shared.states import State, StateType


def set_state(run_id: Id, state: State[Any] | StateType | str) -> FlowRun:
    """Have a run go into a state, as far as that makes sense; the run as it stands then.

    Cancelling and Cancelled: it is cancelled. Scheduled: a run that failed, crashed or was cancelled goes on from where
    it was, as does one that is paused. Raises ValueError for other states and for what is no id, ObjectNotFound if
    there is no such run (any more), StillRunning for one that is to go on and does, AlreadyEnded for one that is to be
    cancelled and has ended.
    """
    kind = recorded_runs.kind_of_state(state)
    found = run_history.read_flow_run(run_id)
    if kind in (StateType.CANCELLED, StateType.CANCELLING):
        cancelling.cancel(found.id)
    elif kind is StateType.SCHEDULED:
        go_on(found.id)
    else:
        raise ValueError(
            f"Nobody but flow run {found.name!r} itself comes to the state {kind.capitalize()}: others can cancel it "
            "(Cancelled), or have it go on when it is paused or has ended (Scheduled)."
        )
    return run_history.read_flow_run(run_id)


def go_on(run_id: Id, run_input: Any = None) -> None:
    """Have a run go on that is paused or suspended, with what it waits for, or that ended without completing.

    Raises what `resume_flow_run` and `resuming.resume` raise.
    """
    found = run_history.read_flow_run(run_id)
    if found.state_type is StateType.PAUSED:
        asyncutils.run_blocking(flow_runs.aresume_flow_run(found.id, run_input))  # whatever runs in this thread
    else:
        resuming.resume(found.id)
