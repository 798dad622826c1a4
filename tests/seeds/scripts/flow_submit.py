from millstream import flow


@flow
def my_subflow(x):
    return x * 2


@flow
def parent_flow():
    # These subflows will run in parallel
    futures = []
    for i in range(10):
        future = my_subflow.submit(i)
        futures.append(future)
    # Wait for all results
    return [f.result() for f in futures]


@flow
def process_item(item):
    return item * 2


@flow
def main_flow():
    # These subflows will run in parallel regardless of task runner
    futures = []
    items = [1, 2, 3, 4, 5]
    for item in items:
        # .submit() on a flow creates a new flow run
        future = process_item.submit(item)
        futures.append(future)

    # Collect results
    results = [f.result() for f in futures]
    return results


if __name__ == "__main__":
    print(f"parent_flow: {parent_flow()}")
    print(f"main_flow: {main_flow()}")
