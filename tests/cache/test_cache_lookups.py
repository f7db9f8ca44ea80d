"""Asking a cache what it holds: ``in``, and the ways to answer a call through a handle."""

import asyncio
import copy
from typing import Any

import pytest

from memo import Registry, bounded, freeze
from memo.testing import FakeClock

own = Registry()


@pytest.mark.parametrize("policy", ["lru", "lfu", "adaptive", "s3fifo", "sieve", "fifo", "random"])
def test_in_asks_for_a_live_entry_and_counts_nothing(policy: str) -> None:
    """``call in f.cache`` is true exactly if ``entry()`` finds one, and is no use of it."""
    clock = FakeClock()

    @bounded(max=3, ttl="1m", policy=policy, clock=clock, registry=own)
    def fetch(name: str) -> str:
        return name

    fetch("alice")
    before = fetch.cache.stats()
    assert "alice" in fetch.cache
    assert "bob" not in fetch.cache
    assert fetch.cache.stats() == before
    entry = fetch.cache.entry("alice")
    assert entry is not None
    assert entry.hits == 0
    clock.advance("1m")
    assert "alice" not in fetch.cache
    assert fetch.cache.entry("alice") is None
    fetch.cache.put(None, "alice")  # type: ignore[arg-type]
    assert "alice" in fetch.cache, "a stored None is a value"


def test_in_takes_one_calls_arguments() -> None:
    """Of several parameters a tuple is spread over them, defaults are filled in, and other spellings do not fit."""

    @bounded(max=9, registry=own)
    def price(item: str, currency: str = "EUR") -> str:
        return item

    @bounded(max=9, registry=own)
    def nothing() -> int:
        return 1

    @bounded(max=9, registry=own)
    def pair(both: tuple[int, int]) -> int:
        return 1

    @bounded(max=9, registry=own)
    def several(*numbers: int) -> int:
        return sum(numbers)

    price("tea")
    assert ("tea", "EUR") in price.cache
    assert ("tea",) in price.cache
    assert "tea" in price.cache
    assert ("tea", "USD") not in price.cache
    for key in price.cache:
        assert key in price.cache
    with pytest.raises(TypeError):
        ("tea", "EUR", "more") in price.cache  # noqa: B015
    assert () not in nothing.cache
    nothing()
    assert () in nothing.cache
    pair((1, 2))
    assert (1, 2) in pair.cache
    several(1, 2)
    assert (1, 2) in several.cache
    assert (2, 1) not in several.cache


def test_in_of_what_cannot_be_hashed() -> None:
    """An argument that cannot be hashed is a TypeError, as in the call; with ``key=`` it is what that makes of it."""

    @bounded(max=9, registry=own)
    def fetch(names: Any) -> int:
        return 1

    @bounded(max=9, registry=own, key=freeze)
    def frozen(names: Any) -> int:
        return 1

    with pytest.raises(TypeError, match="'names'"):
        ["a"] in fetch.cache  # noqa: B015
    frozen(["a"])
    assert ["a"] in frozen.cache
    assert ["b"] not in frozen.cache


def test_in_of_methods_failures_and_coroutines() -> None:
    """Through an instance it is that instance's entries; remembered failures are no values; coroutines likewise."""

    class Shop:
        @bounded(max=9, registry=own)
        def price(self, item: str) -> str:
            return item

    @bounded(max=9, registry=own, cache_errors=ValueError, error_ttl=60)
    def fails(x: int) -> int:
        raise ValueError("unlucky")

    @bounded(max=9, registry=own)
    async def fetch(x: int) -> int:
        return x

    here, there = Shop(), Shop()
    here.price("tea")
    assert "tea" in here.price.cache
    assert "tea" not in there.price.cache
    assert (here, "tea") in Shop.price.cache
    with pytest.raises(ValueError, match="unlucky"):
        fails(1)
    assert 1 not in fails.cache
    assert fails.cache.entry(1) is None
    asyncio.run(fetch(1))
    assert 1 in fetch.cache
    assert 2 not in fetch.cache


def test_get_has_another_name() -> None:
    """``get()``, which loads where a dictionary's does not, is called ``call()``; the old name says so."""

    @bounded(max=9, registry=own)
    def fetch(name: str) -> str:
        return name

    assert fetch.cache.call("alice") == "alice"
    assert fetch.cache.within("1s").call("bob") == "bob"
    assert fetch.cache.stats().misses == 2
    for handle in (fetch.cache, fetch.cache.within("1s")):
        assert not hasattr(handle, "get")
        with pytest.raises(AttributeError, match=r"write call\(\) .* or f\.cache\.entry\(\)"):
            handle.get("alice")  # type: ignore[attr-defined]
        with pytest.raises(AttributeError, match="has no attribute 'gett'") as caught:
            handle.gett  # type: ignore[attr-defined]  # noqa: B018
        assert (caught.value.name, caught.value.obj) == ("gett", handle)
        assert not hasattr(handle, "__deepcopy__")
    assert repr(copy.copy(fetch.cache)) == repr(fetch.cache)


@pytest.mark.parametrize("policy", ["lru", "lfu", "adaptive", "s3fifo", "sieve", "fifo", "random"])
def test_dropping_a_remembered_failure_says_so(policy: str) -> None:
    """``invalidate()`` is true for a failure that is still remembered, and false once it is past its time."""
    clock = FakeClock()
    calls: list[int] = []

    @bounded(max=9, policy=policy, cache_errors=ValueError, error_ttl="1m", clock=clock, registry=own)
    def fails(x: int) -> int:
        calls.append(x)
        raise ValueError("unlucky")

    def call() -> None:
        with pytest.raises(ValueError, match="unlucky"):
            fails(1)

    assert fails.cache.invalidate(1) is False
    call(), call()
    assert calls == [1]
    assert fails.cache.invalidate(1) is True
    assert fails.cache.invalidate(1) is False
    call()
    assert calls == [1, 1]
    clock.advance("1m")
    assert fails.cache.invalidate(1) is False
