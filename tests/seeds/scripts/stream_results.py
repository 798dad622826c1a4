from millstream import flow, task
from millstream.futures import as_completed


@task
async def work(i: int) -> str:
    import random

    import anyio

    await anyio.sleep(random.random())  # variable completion time
    return f"done {i}"


@flow
def stream_results():
    futures = work.map(range(5))
    for fut in as_completed(futures):
        print(fut.result())  # prints in order of completion


if __name__ == "__main__":
    stream_results()
