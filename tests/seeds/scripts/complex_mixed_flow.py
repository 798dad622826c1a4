import asyncio
import time
from typing import List

from anyio import create_task_group

from millstream import flow, task


@task
def sync_task(x: int) -> int:
    time.sleep(1)
    return x * 2


@task
async def async_task(x: int) -> int:
    await asyncio.sleep(1)
    return x * 3


@flow
async def complex_mixed_flow(numbers: List[int]):
    results = {"sync": [], "async": []}

    async def _run_sync(n):
        result = await sync_task.submit(n)
        results["sync"].append(result)

    async def _run_async(n):
        result = await async_task.submit(n)
        results["async"].append(result)

    async with create_task_group() as tg:
        # Start all tasks
        for n in numbers:
            tg.start_soon(_run_sync, n)
            tg.start_soon(_run_async, n)

    print(f"Sync results: {sorted(results['sync'])}")
    print(f"Async results: {sorted(results['async'])}")

    return results


# Run the flow
if __name__ == "__main__":
    began = time.perf_counter()
    returned = asyncio.run(complex_mixed_flow([1, 2, 3]))
    print(f"returned: { {kind: sorted(values) for kind, values in returned.items()} }")
    print(f"seconds: {time.perf_counter() - began:.2f}")
