from millstream import flow, task
from millstream.futures import as_completed


@task
async def fetch(i: int) -> int:
    import anyio

    await anyio.sleep(0.1)
    return i * i


@flow
async def async_flow():
    f1 = fetch.submit(3)
    f2 = fetch.submit(5)

    # Prefer streaming with as_completed to avoid a single blocking call
    for fut in as_completed([f1, f2]):
        print("got:", fut.result())

    # Or if you just want the values:
    vals = [f1.result(), f2.result()]
    return vals


if __name__ == "__main__":
    import anyio

    print("returned:", anyio.run(async_flow))
