"""Deployments: what describes one is checked, and flows stay what they were."""

from typing import Any, assert_type

from millstream import Flow, deploy, flow
from millstream.deployments import Deployment
from millstream.flows import load_flow_from_entrypoint
from millstream.schedules import Cron


@flow
def add(x: int, y: int = 1) -> float:
    return x + y


@flow(name="other")
def named(x: int) -> str:
    return str(x)


assert_type(add(1, y=2), float)
assert_type(named(1), str)
assert_type(load_flow_from_entrypoint("module:flow"), Flow[..., Any])
assert_type(add.to_deployment("nightly", cron="0 3 * * *", parameters={"x": 1}, tags=["a"]), Deployment)
assert_type(Deployment.build_from_flow(flow=add, name="nightly", schedule=Cron("0 3 * * *")), Deployment)
deploy(add.to_deployment("nightly"), named.to_deployment("hourly", interval=3600), work_pool_name="slow")
add.deploy("nightly", paused=True, concurrency_limit=2, collision_strategy="CANCEL_NEW")

add.deploy(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
add.deploy("nightly", colour="red")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
add.to_deployment("nightly", collision_strategy="DROP")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
deploy(add)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
