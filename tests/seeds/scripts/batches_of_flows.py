from millstream import flow, task


def chunks(items: list, size: int):
    return [items[at : at + size] for at in range(0, len(items), size)]


@flow
def process_flow(item):
    return item * 2


@task
def batch_flow_creator(items: list, batch_size: int = 10):
    # Create flow runs in batches to manage resources
    for batch in chunks(items, batch_size):
        futures = [process_flow.submit(item) for item in batch]
        # Wait for batch to complete before starting next batch
        [f.result() for f in futures]


@flow
def main_flow():
    return batch_flow_creator(list(range(25)))


if __name__ == "__main__":
    print(f"returned: {main_flow()}")
