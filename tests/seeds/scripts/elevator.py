import time

from millstream import flow, task
from millstream.futures import wait


@task
def stop_at_floor(floor: int):
    print(f"elevator moving to floor {floor}")
    time.sleep(floor * 0.3)
    print(f"elevator stops on floor {floor}")


@flow
def elevator():
    floors = []
    for floor in range(10, 0, -1):
        floors.append(stop_at_floor.submit(floor))
    wait(floors)


if __name__ == "__main__":
    began = time.perf_counter()
    elevator()
    print(f"seconds: {time.perf_counter() - began:.2f}")
