import asyncio
import time
from typing import List

from millstream import flow, task


@task
async def async_task(number: int) -> int:
    # Simulate some async work
    await asyncio.sleep(1)
    return number * 2


@flow
async def parallel_flow(numbers: List[int]):
    # Create task coroutines
    tasks = [async_task.submit(n) for n in numbers]

    # Wait for all tasks to complete and get results
    results = await asyncio.gather(*tasks)

    print(f"Results: {results}")
    return results


# Run the flow
if __name__ == "__main__":
    began = time.perf_counter()
    returned = asyncio.run(parallel_flow([1, 2, 3, 4, 5]))
    print(f"returned: {returned}")
    print(f"seconds: {time.perf_counter() - began:.2f}")
