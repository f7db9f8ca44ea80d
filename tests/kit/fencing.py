"""What the tests of fences share."""

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = (
    "Later",
    "awaited",
    "cache_clear",
    "clear",
    "invalidate",
    "invalidate_where",
    "put",
    "refresh",
)

Later = Callable[[Any], object]


def invalidate(function: Any) -> None:
    assert function.cache.invalidate("a") is False


def invalidate_where(function: Any) -> None:
    assert function.cache.invalidate_where(lambda key, value: True) == 0


def clear(function: Any) -> None:
    assert function.cache.clear() == 0


def cache_clear(function: Any) -> None:
    function.cache_clear()


def put(function: Any) -> None:
    function.cache.put("put", "a")


def refresh(function: Any) -> None:
    result = function.cache.refresh("a")
    if asyncio.iscoroutine(result):
        result = asyncio.run(awaited(result))
    assert result > 0


async def awaited(coroutine: Any) -> Any:
    return await coroutine
