import asyncio
import time
from typing import List

from anyio import create_task_group

from millstream import flow, task


@task
async def async_task(number: int) -> int:
    await asyncio.sleep(1)
    return number * 2


@flow
async def parallel_flow_with_taskgroup(numbers: List[int]):
    results = []

    async def _run_task(n):
        result = await async_task.submit(n)
        results.append(result)

    async with create_task_group() as tg:
        for n in numbers:
            tg.start_soon(_run_task, n)

    print(f"Results: {sorted(results)}")
    return results


# Run the flow
if __name__ == "__main__":
    began = time.perf_counter()
    returned = asyncio.run(parallel_flow_with_taskgroup([1, 2, 3, 4, 5]))
    print(f"returned: {sorted(returned)}")
    print(f"seconds: {time.perf_counter() - began:.2f}")
