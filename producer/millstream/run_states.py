"""Flow runs that somebody else than themselves has go into a state: cancelled, or going on."""

from typing import Any

from millstream import recorded_runs, resuming, run_history
from millstream.recorded_runs import FlowRun
from millstream.run_history import Id
from millstream_shared.states import State, StateType


def set_state(run_id: Id, state: State[Any] | StateType | str) -> FlowRun:
    """Have a run go into a state, as far as that makes sense; the run as it stands then.

    Cancelling and Cancelled: it is cancelled. Scheduled: a run that failed, crashed or was cancelled goes on from where
    it was. Raises ValueError for other states and for what is no id, ObjectNotFound if there is no such run (any more),
    StillRunning for one that is to go on and has not ended.
    """
    kind = recorded_runs.kind_of_state(state)
    found = run_history.read_flow_run(run_id)
    if kind is StateType.SCHEDULED:
        resuming.resume(found.id)
    else:
        raise ValueError(
            f"Nobody but flow run {found.name!r} itself comes to the state {kind.capitalize()}: others can cancel it "
            "(Cancelled), or, when it has ended, have it go on (Scheduled)."
        )
    return run_history.read_flow_run(run_id)
