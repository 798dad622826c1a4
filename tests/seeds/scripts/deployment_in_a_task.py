from millstream import flow, task
from millstream.deployments import Deployment


@flow
def target_flow(x: int):
    return x * 2


@task
def create_deployment():
    deployment = Deployment.build_from_flow(
        flow=target_flow,
        name="programmatic-deployment",
        version="1",
        parameters={"x": 42},
    )
    deployment_id = deployment.apply()
    return deployment_id


@flow
def main_flow():
    deployment_id = create_deployment()
    return deployment_id


if __name__ == "__main__":
    print(f"returned: {main_flow()}")
