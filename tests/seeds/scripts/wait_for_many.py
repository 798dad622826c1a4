from millstream import flow, task
from millstream.futures import wait


@task
def cool_task():
    return "sup"


@flow
def my_workflow():
    futures = [cool_task.submit() for _ in range(10)]
    wait(futures)


if __name__ == "__main__":
    print(my_workflow(return_state=True))
