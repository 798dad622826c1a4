from millstream import flow, task
from millstream.client.orchestration import get_client


@flow
def target_flow(data: dict):
    return data["value"] * 2


@task
def create_flow_run(data: dict):
    # Get the client
    client = get_client()

    # Create a flow run from an existing deployment
    flow_run = client.create_flow_run(deployment_id=deployment_id, parameters={"data": data})
    return flow_run.id


@flow
def main_flow():
    data = {"value": 42}
    flow_run_id = create_flow_run(data)
    return flow_run_id


if __name__ == "__main__":
    deployment_id = target_flow.deploy("by-id")
    print(f"returned: {main_flow()}")
