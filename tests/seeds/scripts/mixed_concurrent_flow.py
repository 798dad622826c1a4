import asyncio
import time
from typing import List

from millstream import flow, task


@task
def sync_task(x: int) -> int:
    time.sleep(1)  # Simulating work
    return x * 2


@task
async def async_task(x: int) -> int:
    await asyncio.sleep(1)  # Simulating async work
    return x * 3


@flow
def mixed_concurrent_flow(numbers: List[int]):
    # Run concurrent tasks using simple map
    sync_results = sync_task.map(numbers)
    async_results = async_task.map(numbers)

    return sync_results, async_results


# Run the flow
if __name__ == "__main__":
    began = time.perf_counter()
    numbers = [1, 2, 3, 4, 5]
    sync_results, async_results = mixed_concurrent_flow(numbers)

    print(f"Sync results: {sync_results}")
    print(f"Async results: {async_results}")
    print(f"values: {[[state.result() for state in states] for states in (sync_results, async_results)]}")
    print(f"seconds: {time.perf_counter() - began:.2f}")
