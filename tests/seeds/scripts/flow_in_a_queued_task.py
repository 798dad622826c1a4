import os

from millstream import flow, get_run_logger, task


def preprocess(data: dict):
    return {name: value + 1 for name, value in data.items()}


@flow
def processing_flow(data: dict):
    return {"in": os.getpid(), **data}


@flow
def subflow(data: dict):
    if data["value"] < 0:
        raise ValueError("negative")
    return data["value"] * 2


@task
def prepare_flow_run(data: dict):
    # Task handles preparation logic
    processed_data = preprocess(data)
    # Then triggers the flow that handles the main processing
    return processing_flow(processed_data)


@task
def trigger_flow_with_state(data: dict):
    try:
        result = subflow(data)
        return result
    except Exception as e:
        # Handle any flow run failures
        raise RuntimeError(f"Flow run failed: {e}")


@task
def safe_flow_trigger(data: dict):
    try:
        return subflow(data)
    except Exception as e:
        logger = get_run_logger()
        logger.error(f"Failed to trigger flow: {e}")
        raise


@flow
def main_flow():
    prepared = prepare_flow_run.submit({"value": 42})
    good = trigger_flow_with_state.submit({"value": 21})
    bad = trigger_flow_with_state.submit({"value": -1})
    unsafe = safe_flow_trigger.submit({"value": -1})
    return [future.result(raise_on_failure=False) for future in (prepared, good, bad, unsafe)]


if __name__ == "__main__":
    prepared, good, bad, unsafe = main_flow()
    print(f"prepared: {prepared['value']}, in this process: {prepared['in'] == os.getpid()}")
    print(f"good: {good!r}, bad: {bad!r}, unsafe: {unsafe!r}")
