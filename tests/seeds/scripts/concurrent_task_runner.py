from millstream import flow, task
from millstream.task_runners import ConcurrentTaskRunner


@task
def my_task(x):
    return x * 2


@flow(task_runner=ConcurrentTaskRunner())
def my_flow():
    # These tasks will run in parallel
    results = [my_task.submit(i) for i in range(10)]

    # Get all results
    return [r.result() for r in results]


if __name__ == "__main__":
    print(my_flow())
