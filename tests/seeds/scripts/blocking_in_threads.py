import asyncio
import random
import time

from millstream import flow, task
from millstream.utilities.asyncutils import run_sync_in_worker_thread


async def async_func():
    if random.random() > 0.3:
        await run_sync_in_worker_thread(time.sleep, 0.1)
    await asyncio.sleep(random.randint(1, 5) * 0.1)
    return 1


@task
async def my_task():
    result = await async_func()
    return result


@flow
async def my_flow():
    return await asyncio.gather(*[my_task() for _ in range(50)], return_exceptions=True)


if __name__ == "__main__":
    began = time.perf_counter()
    results = asyncio.run(my_flow())
    print(f"{len(results)} results, of which {results.count(1)} as expected")
    print(f"seconds: {time.perf_counter() - began:.2f}")
