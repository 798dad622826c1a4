"""Tasks and flows on classes: the instance is given."""

from typing import assert_type

from millstream import Future, FutureList, State, flow, task


class Shop:
    @task
    def price(self, item: str, count: int = 1) -> float:
        return float(len(item) * count)

    @task(retries=1)
    async def stock(self, item: str) -> int:
        return len(item)

    @flow
    def sell(self, item: str) -> float:
        return self.price(item)

    @task
    @classmethod
    def named(cls, name: str) -> "Shop":
        return cls()

    @task
    @staticmethod
    def tax(price: float) -> float:
        return price / 5


shop = Shop()

assert_type(shop.price("a"), float)
assert_type(shop.price("a", count=2), float)
assert_type(shop.price("a", return_state=True), State[float])
assert_type(shop.sell("a"), float)
assert_type(Shop.price(shop, "a"), float)


# The checkers look through the decorators at the function below: so class methods have types on instances, and static
# ones on the class.
assert_type(shop.named("a"), Shop)
assert_type(Shop.tax(1.5), float)
Shop.tax("a")  # type: ignore[call-overload] # pyright: ignore


@flow
async def opening(shop: Shop) -> None:
    stock = shop.stock.submit("a")
    assert_type(stock, Future[int])
    assert_type(await shop.stock("a"), int)
    assert_type(shop.price.submit("a"), Future[float])
    assert_type(shop.price.submit("a", stock), Future[float])
    assert_type(shop.price.submit("a", count=stock, return_state=True), State[float])
    assert_type(shop.price.map(["a", "b"]), FutureList[float])
    assert_type(shop.price.with_options(retries=2).submit("a"), Future[float])
    assert_type(shop.named.submit("a"), Future[Shop])
    assert_type(Shop.tax.submit(shop.price.submit("a")), Future[float])
    shop.price.submit(3)  # pyright: ignore
    shop.price("a", 1, 2, 3)  # type: ignore[call-overload] # pyright: ignore
