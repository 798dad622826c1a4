"""The same, by the longer name."""

from millstream.deployment_options import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from millstream.recorded_runs import Flow, FlowRun, TaskRun
from millstream_shared.deployments import DeploymentRecord
from millstream_shared.states import State, StateType

__all__ = [
    "ConcurrencyLimitConfig",
    "ConcurrencyLimitStrategy",
    "DeploymentRecord",
    "Flow",
    "FlowRun",
    "State",
    "StateType",
    "TaskRun",
]
