import asyncio
import random
import time

from millstream import flow, get_run_logger, task


async def async_func():
    if random.random() > 0.3:
        time.sleep(0.01)
    await asyncio.sleep(random.randint(1, 5) * 0.1)
    return 1


@task
async def my_task():
    logger = get_run_logger()
    result = await async_func()
    logger.debug("Got %s", result)
    return result


@flow
async def my_flow():
    tasks = []
    for _ in range(500):
        t = my_task()
        tasks.append(t)

    return await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    results = asyncio.run(my_flow())
    print(f"{len(results)} results, of which {results.count(1)} as expected")
