import asyncio

from millstream import flow, task


@task
async def async_task_with_flow():
    # Async tasks can call async flows
    result = await async_subflow()
    return result


@flow
async def async_subflow():
    return "async result"


@flow
async def main_flow():
    result = await async_task_with_flow()
    return result


@flow
async def main_flow_through_a_queue():
    return await async_task_with_flow.submit()


if __name__ == "__main__":
    print(f"returned: {asyncio.run(main_flow())}")
    print(f"returned through a queue: {asyncio.run(main_flow_through_a_queue())}")
