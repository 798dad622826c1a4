from millstream import flow, task, unmapped


@task
async def add_async(x: int, y: int) -> int:
    import anyio

    await anyio.sleep(0.1)
    return x + y


@flow
def map_example():
    xs = [1, 2, 3, 4]
    # Broadcast a constant with `unmapped`
    futures = add_async.map(xs, y=unmapped(10))  # a FutureList
    futures.wait()  # wait for all mapped runs to complete
    results = futures.result()  # list of Python results
    print(results)  # [11, 12, 13, 14]


if __name__ == "__main__":
    map_example()
