import asyncio
import time
from typing import List

from millstream import flow, task


# Synchronous task
@task
def sync_task(x: int) -> int:
    time.sleep(1)  # Simulating some CPU-bound work
    return x * 2


# Asynchronous task
@task
async def async_task(x: int) -> int:
    await asyncio.sleep(1)  # Simulating some I/O-bound work
    return x * 3


# Async flow that combines both types of tasks
@flow
async def mixed_flow(numbers: List[int]):
    # Run sync tasks in parallel
    sync_results = []
    for n in numbers:
        # .submit() works for both sync and async tasks
        sync_results.append(sync_task.submit(n))

    # Run async tasks in parallel
    async_tasks = [async_task.submit(n) for n in numbers]

    # Wait for all tasks to complete
    all_results = await asyncio.gather(*sync_results, *async_tasks)

    # Split results (first half are sync results, second half are async)
    sync_completed = all_results[: len(numbers)]
    async_completed = all_results[len(numbers) :]

    print(f"Sync results: {sync_completed}")
    print(f"Async results: {async_completed}")

    return all_results


# Alternative: Synchronous flow with mixed tasks
@flow
def sync_mixed_flow(numbers: List[int]):
    # This will work too!
    sync_results = [sync_task.submit(n) for n in numbers]
    async_results = [async_task.submit(n) for n in numbers]

    # In a sync flow, you don't need asyncio.gather
    return sync_results + async_results


# Run the async flow
if __name__ == "__main__":
    began = time.perf_counter()
    returned = asyncio.run(mixed_flow([1, 2, 3]))
    print(f"returned: {returned}")
    print(f"seconds: {time.perf_counter() - began:.2f}")

    # Or run the sync flow
    began = time.perf_counter()
    states = sync_mixed_flow([1, 2, 3])
    print(f"states: {[str(state) for state in states]}")
    print(f"results of the states: {[state.result() for state in states]}")
    print(f"seconds of the sync flow: {time.perf_counter() - began:.2f}")
