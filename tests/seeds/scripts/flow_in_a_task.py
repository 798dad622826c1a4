from millstream import flow, task


@flow
def subflow(x: int):
    return x * 2


@task
def my_task(x: int):
    # Directly call the flow
    result = subflow(x)
    return result


@flow
def main_flow():
    result = my_task(5)
    return result


if __name__ == "__main__":
    print(f"returned: {main_flow()}")
