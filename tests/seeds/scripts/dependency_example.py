from millstream import flow, task


@task
async def setup(): ...


@task
async def step_a(): ...


@task
async def step_b(): ...


@task
async def finalize(): ...


@flow
def dependency_example():
    s = setup.submit()
    a = step_a.submit(wait_for=[s])
    b = step_b.submit(wait_for=[s])
    f = finalize.submit(wait_for=[a, b])
    return f.result()


if __name__ == "__main__":
    print("returned:", dependency_example())
