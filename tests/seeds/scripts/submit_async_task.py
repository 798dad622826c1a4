from millstream import flow, task


@task
async def double_async(x: int) -> int:
    # Simulate async I/O
    import anyio

    await anyio.sleep(0.2)
    return x * 2


@flow
def run_once():
    fut = double_async.submit(21)  # returns a future immediately
    # ... do other work here ...
    fut.wait()  # blocks until the task run completes
    value = fut.result()  # the actual Python value (42)
    print("result:", value)


if __name__ == "__main__":
    run_once()
