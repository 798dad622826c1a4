"""What the client gives: flows, flow runs and task runs, as they stood when they were read."""

from millstream.client.schemas.objects import DeploymentRecord, Flow, FlowRun, State, StateType, TaskRun

__all__ = ["DeploymentRecord", "Flow", "FlowRun", "State", "StateType", "TaskRun"]
