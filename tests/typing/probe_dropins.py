"""What type checkers must see of ``lru_cache`` and ``cached_property``; checked by mypy and pyright, never run."""

from collections.abc import Awaitable
from typing import Any, assert_type

from memo import CacheInfo, cached_property, lru_cache


@lru_cache
def bare(x: int, *, lang: str = "en") -> float:
    return 1.0


@lru_cache(maxsize=None, typed=True)
def function(x: int) -> list[str]:
    return []


@lru_cache()
async def coroutine(x: int) -> str:
    return ""


class Shop:
    @lru_cache
    def price(self, item: str) -> int:
        return 1

    @lru_cache(2)
    def stock(self, item: str) -> int:
        return 1

    @lru_cache
    @classmethod
    def of_class(cls, item: str) -> bytes:
        return b""

    @lru_cache
    @staticmethod
    def of_nobody(item: str) -> bytes:
        return b""


def calls(shop: Shop) -> None:
    """Calls keep their types, however the decorator was written."""
    assert_type(bare(1, lang="de"), float)
    assert_type(function(1), list[str])
    assert_type(shop.price("tea"), int)
    assert_type(shop.stock("tea"), int)
    assert_type(Shop.of_class("tea"), bytes)
    assert_type(shop.of_nobody("tea"), bytes)
    assert_type(bare.cache_info(), CacheInfo)
    assert_type(bare.cache_parameters(), dict[str, Any])
    assert_type(bare.cache.invalidate(1), bool)
    assert_type(shop.price.cache.invalidate("tea"), bool)
    assert_type(lru_cache(len)([1]), int)


async def awaits() -> None:
    """Coroutine functions stay what they are."""
    assert_type(await coroutine(1), str)


def wrong(shop: Shop) -> None:
    """What a function does not take is refused."""
    bare("x")  # type: ignore[arg-type]
    function()  # type: ignore[call-arg]
    shop.price(1)  # type: ignore[arg-type]
    shop.price.cache.invalidate(1)  # type: ignore[arg-type]
    lru_cache("x")  # type: ignore[call-overload]
    lru_cache(max=3)  # type: ignore[call-overload]


class Profile:
    @cached_property
    def name(self) -> str:
        return ""

    @cached_property
    async def data(self) -> list[int]:
        return []


async def properties(profile: Profile) -> None:
    """Properties have the type of their value, of coroutine functions an awaitable; they can be set and deleted."""
    assert_type(profile.name, str)
    assert_type(profile.data, Awaitable[list[int]])
    assert_type(await profile.data, list[int])
    assert_type(Profile.name, cached_property[str])
    assert_type(len(Profile.name.inflight), int)
    profile.name = "alice"
    del profile.name
    profile.name = 1  # type: ignore[assignment]
