import os
import threading
import time

from millstream import flow, task
from millstream.task_runners import ConcurrentTaskRunner, QueueTaskRunner, SequentialTaskRunner

urls = ["https://example.com/a", "https://example.com/b", "https://example.com/c"]
large_datasets = [range(1_000), range(2_000), range(3_000)]
in_use = []


@task
def download_task(url):
    in_use.append(url)
    time.sleep(0.3)
    together = len(in_use)
    in_use.remove(url)
    return url[-1], together


@task
def heavy_computation_task(dataset):
    return sum(dataset), os.getpid()


@flow(task_runner=ConcurrentTaskRunner())
def download_files():
    futures = []
    for url in urls:
        future = download_task.submit(url)
        futures.append(future)
    return [f.result() for f in futures]


@flow(task_runner=QueueTaskRunner())
def process_large_datasets():
    futures = []
    for dataset in large_datasets:
        future = heavy_computation_task.submit(dataset)
        futures.append(future)
    return [f.result() for f in futures]


# Tasks will run in parallel using threads
at_most_two = download_files.with_options(task_runner=ConcurrentTaskRunner(max_workers=2))

# Tasks will run sequentially (no parallelism)
one_by_one = download_files.with_options(task_runner=SequentialTaskRunner())


if __name__ == "__main__":
    for name, downloads in (("threads", download_files), ("two", at_most_two), ("sequential", one_by_one)):
        results = downloads()
        print(f"{name}: {[letter for letter, _ in results]}, at once: {max(together for _, together in results)}")
    results = process_large_datasets()
    print(f"queue: {[total for total, _ in results]}, in this process: {os.getpid() in [pid for _, pid in results]}")
