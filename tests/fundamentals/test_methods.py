"""Tasks and flows as methods of classes."""

import functools
from collections.abc import Iterator

import pytest

from millstream import flow, task
from millstream.task_runners import TaskRunner


class Shop:
    factor = 3

    def __init__(self, prices: list[int]) -> None:
        self.prices = prices

    @task
    def price(self, index: int, count: int = 1) -> int:
        return self.prices[index] * count

    @task
    async def later(self, index: int) -> int:
        return self.prices[index]

    @task
    @classmethod
    def tripled(cls, x: int) -> int:
        return cls.factor * x

    @task
    @staticmethod
    def doubled(x: int) -> int:
        return 2 * x

    @staticmethod
    @task
    def halved(x: int) -> int:
        return x // 2

    @flow
    def total(self) -> int:
        return sum(self.prices)

    @flow
    @classmethod
    def shop_flow(cls, x: int) -> int:
        return cls.factor + x


class BigShop(Shop):
    factor = 30


@pytest.fixture
def shop() -> Shop:
    return Shop([5, 7])


def test_methods_are_called_with_their_instance(shop: Shop) -> None:
    """Instance, class and static methods, as tasks and as flows."""
    assert shop.price(1, count=2) == 14
    assert Shop.tripled(2) == shop.tripled(2) == 6
    assert BigShop.tripled(2) == 60
    assert shop.doubled(4) == Shop.doubled(4) == 8
    assert Shop.halved(4) == 2
    assert shop.total() == 12
    assert BigShop.shop_flow(1) == 31


async def test_async_methods_are_awaited(shop: Shop) -> None:
    """As functions are."""
    assert await shop.later(0) == 5


def test_methods_are_submitted_and_mapped(shop: Shop, task_runner: TaskRunner) -> None:
    """The instance goes to every run as it is."""

    @flow(task_runner=task_runner)
    def use() -> list[object]:
        submitted = [shop.price.submit(0), Shop.tripled.submit(1), Shop.doubled.submit(1), Shop.halved.submit(2)]
        mapped = [shop.price.map([0, 1], count=2), BigShop.tripled.map([1, 2]), shop.later.map([1])]
        return [*(future.result() for future in submitted), *(futures.result() for futures in mapped)]

    assert use() == [5, 3, 2, 1, [10, 14], [30, 60], [7]]


def test_the_class_gives_the_plain_function(shop: Shop) -> None:
    """Which takes the instance as its first argument."""
    assert Shop.price(shop, 1) == 7


def test_options_of_a_method_can_be_changed(shop: Shop) -> None:
    """The copy keeps its instance."""
    assert shop.price.with_options(name="other")(0) == 5
    assert shop.price.with_options(name="other").name == "other"


class Add:
    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, x: int) -> int:
        return x + self.step

    def add(self, x: int) -> int:
        return x + self.step


class AddLater(Add):
    async def __call__(self, x: int) -> int:
        return x + self.step


class Steps(Add):
    def __call__(self, x: int) -> Iterator[int]:
        yield from range(self.step, x)


def test_objects_that_can_be_called_are_submitted_and_mapped(task_runner: TaskRunner) -> None:
    """Also bound methods, partials and functions of C, as they are."""
    callables = [Add(1), AddLater(2), Steps(2), Add(3).add, functools.partial(divmod, 7), abs]

    @flow(task_runner=task_runner)
    def use() -> list[object]:
        submitted = [task(each).submit(4) for each in callables]
        return [*(future.result() for future in submitted), task(Add(1)).map([1, 2]).result()]

    assert use() == [5, 6, [2, 3], 7, (1, 3), 4, [2, 3]]


def test_objects_that_can_be_called_are_flows() -> None:
    """Named after their class, or what a partial calls."""
    assert flow(Add(1))(2) == 3
    assert list(flow(Steps(1))(3)) == [1, 2]
    assert flow(functools.partial(divmod, 7))(4) == (1, 3)
    assert flow(Add(1)).name == "Add"
