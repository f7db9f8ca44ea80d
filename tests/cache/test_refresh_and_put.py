"""Values that are put, and loads that are asked for."""

import asyncio
import itertools
from typing import Any

import pytest
from kit.bounded import check

from memo import bounded
from memo.testing import FakeClock


def test_a_refresh_loads_stores_and_is_no_call() -> None:
    """refresh() returns a new result, which later calls hit, and counts as a refresh alone."""
    numbers = itertools.count()

    @bounded(max=8)
    def fetch(name: str) -> int:
        return next(numbers)

    assert fetch.cache.refresh("a") == 0
    assert fetch("a") == 0
    assert fetch.cache.refresh(name="a") == 1
    assert fetch("a") == 1
    stats = fetch.cache.stats()
    assert (stats.hits, stats.misses, stats.refreshes, stats.loads, stats.requests) == (2, 0, 2, 2, 2)


def test_a_failing_refresh_raises_and_keeps_the_old_value() -> None:
    """A refresh that raises leaves the entry as it was, sync and async."""
    failing = False

    @bounded(max=8)
    def fetch(name: str) -> str:
        if failing:
            raise LookupError("down")
        return name

    @bounded(max=8)
    async def fetch_later(name: str) -> str:
        if failing:
            raise LookupError("down")
        return name

    async def use() -> None:
        assert await fetch_later.cache.refresh("a") == "a"
        nonlocal failing
        failing = True
        with pytest.raises(LookupError, match=r"^down$"):
            await fetch_later.cache.refresh("a")
        assert await fetch_later("a") == "a"
        failing = False

    asyncio.run(use())
    fetch("a")
    failing = True
    with pytest.raises(LookupError, match=r"^down$"):
        fetch.cache.refresh("a")
    assert fetch("a") == "a"
    stats = fetch.cache.stats()
    assert (stats.hits, stats.misses, stats.loads, stats.load_errors, stats.refreshes) == (1, 1, 1, 1, 1)


def test_put_stores_for_a_call_and_is_none() -> None:
    """A value put for some arguments is hit by the call however it spells them, and put() counts as no call."""

    @bounded(max=8, ttl=60)
    async def fetch(name: str, lang: str = "en") -> str:
        raise AssertionError("nobody has to load")

    async def use() -> None:
        fetch.cache.put("put", "a")
        assert await fetch(name="a", lang="en") == "put"
        with pytest.raises(TypeError):
            fetch.cache.put("value")
        stats = fetch.cache.stats()
        assert (stats.hits, stats.misses, stats.loads) == (1, 0, 0)

    asyncio.run(use())


def test_invalidate_where_sees_live_keys_and_values() -> None:
    """Its predicate sees no expired entry, and when it raises nothing is removed."""
    clock = FakeClock()
    seen: list[Any] = []

    @bounded(max=8, ttl=10, clock=clock)
    def fetch(a: int, b: int = 0) -> int:
        return a * 10 + b

    fetch(1)
    clock.advance(5)
    fetch(2)
    fetch(3, 4)
    clock.advance(5)
    assert fetch.cache.invalidate_where(lambda key, value: seen.append((key, value)) or key[0] == 3) == 1
    assert seen == [((2, 0), 20), ((3, 4), 34)]
    with pytest.raises(LookupError):
        fetch.cache.invalidate_where(lambda key, value: {}[key])
    assert len(fetch.cache) == 2
    with pytest.raises(TypeError, match="3 cannot be called"):
        fetch.cache.invalidate_where(3)  # type: ignore[arg-type]
    check(fetch)
