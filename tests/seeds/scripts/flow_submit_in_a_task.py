from millstream import flow, task


@flow
def process_item(item: int):
    return item * 2


@task
def process_batch(items: list):
    # Submit multiple flow runs in parallel
    futures = []
    for item in items:
        future = process_item.submit(item)
        futures.append(future)

    # Wait for all results
    return [f.result() for f in futures]


@flow
def main_flow():
    items = [1, 2, 3, 4, 5]
    results = process_batch(items)
    return results


@flow
def main_flow_through_a_queue():
    return process_batch.submit([1, 2, 3, 4, 5]).result()


if __name__ == "__main__":
    print(f"returned: {main_flow()}")
    print(f"returned through a queue: {main_flow_through_a_queue()}")
