"""Misses of a large store, whose index is in parts: C leads them as it does those of a small one."""

import asyncio
import random
import sys
from typing import Any

import pytest
from kit.parts import keep_in_parts, largest_part
from kit.testing_kit import check
from kit.wrappers import wrappers_entered

from memo import Registry, bounded
from memo._native import speed, why
from memo._store.large_table import LargeTable
from memo.testing import FakeClock

pytestmark = [
    pytest.mark.skipif(speed is None, reason=why),
    pytest.mark.usefixtures("without_greenlets"),
]


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every store has its tables in parts as soon as there are three entries."""
    keep_in_parts(monkeypatch)


def made(most: int, **options: Any) -> Any:
    return bounded(max=most, registry=Registry(), **options)(lambda x: x)


def index_of(function: Any) -> Any:
    return function.cache._cache.store.index


def in_python(function: Any, keys: Any) -> int:
    """How many of these calls came by the generated wrapper."""
    with wrappers_entered() as entered:
        for key in keys:
            function(key)
    return len(entered)


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo"])
def test_misses_of_a_large_store_are_led_in_c(in_parts: None, policy: Any) -> None:
    """No call goes to the wrapper once no part is to be divided, and the store is what it should be."""
    fetch = made(60, policy=policy, ttl="1h")
    for key in range(500):
        fetch(key)
    assert type(index_of(fetch)) is LargeTable
    assert in_python(fetch, range(500, 900)) == 0
    assert in_python(fetch, [(key, str(key)) for key in range(900)]) == 0
    assert len(fetch.cache) == 60
    assert fetch.cache.stats().misses == 1800
    check(fetch)


def test_a_large_store_grows_in_c(in_parts: None) -> None:
    """One call alone goes to the wrapper: that with which the dictionary goes on as a large table."""
    fetch = made(2_000)
    assert in_python(fetch, range(2_000)) == 1
    assert largest_part(index_of(fetch)) <= 40
    check(fetch)


@pytest.mark.parametrize("most", [1, 5, 40])
@pytest.mark.parametrize("policy", ["adaptive", "s3fifo"])
def test_large_and_small_stores_mean_the_same(most: int, policy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same calls find the same, and have the same leave in the same order, whether the index is in parts or not."""
    found = []
    for parts in (False, True):
        rng, clock, left = random.Random(most), FakeClock(), []
        with monkeypatch.context() as patch:
            if parts:
                keep_in_parts(patch)
            fetch = made(most, policy=policy, ttl=300.0, clock=clock)
            for step in range(3_000):
                fetch(int(rng.paretovariate(0.5)) % (4 * most + 7))
                clock.advance(rng.random())
                if step % 50 == 0:
                    left.append(sorted(fetch.cache.items()))
                    check(fetch)
            stats = fetch.cache.stats()
            found.append((left, stats.hits, stats.misses, stats.evictions))
    assert found[0] == found[1]


def meddled(policy: Any, awaited: bool) -> list[Any]:
    """What is in a store time and again, and its counts, after calls some of whose loads changed it."""
    rng = random.Random(7)
    changes = [
        lambda: fetch.cache.clear(),
        lambda: fetch.cache.resize(max=rng.randrange(1, 40)),
        lambda: fetch.cache.invalidate_where(lambda key, value: repr(key)[-1] in "13579)"),
        lambda: [fetch.cache.put(0, f"put {rng.randrange(99)}") for _ in range(30)],
    ]

    def load(key: Any) -> list[Any]:
        if rng.random() < 0.1:
            rng.choice(changes)()
        return [key]

    async def load_later(key: Any) -> list[Any]:
        return load(key)

    fetch: Any = bounded(max=30, policy=policy, ttl="1h", registry=Registry())(load_later if awaited else load)
    found = []

    async def calls() -> None:
        for step in range(4_000):
            number = int(rng.paretovariate(0.5)) % 200
            result = fetch(rng.choice([number, str(number), (number, "of two"), -1.5]))
            if awaited:
                await result
            if step % 50 == 0:
                found.append(sorted(fetch.cache.items(), key=repr))
                check(fetch)

    asyncio.run(calls())
    stats = fetch.cache.stats()
    return [found, stats.hits, stats.misses, stats.evictions["size"]]


@pytest.mark.parametrize("awaited", [False, True], ids=["called", "awaited"])
@pytest.mark.parametrize("policy", ["adaptive", "s3fifo"])
def test_a_load_may_change_its_own_store(policy: Any, awaited: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for when a load began decides nothing: large stores, of which much is, end as small ones do."""
    small = meddled(policy, awaited)
    keep_in_parts(monkeypatch)
    assert meddled(policy, awaited) == small
    assert small[3] > 100


def test_what_leaves_gives_its_memory_back_by_the_way(in_parts: None) -> None:
    """A table from which most keys were taken, one by one, is hardly larger than one that never had them."""
    large, small = made(6_000), made(60)
    for key in range(6_000):
        large(key)
    before = sys.getsizeof(index_of(large))
    large.cache.resize(max=60)
    for key in range(60):
        small(key)
    assert before > 20 * sys.getsizeof(index_of(small))
    assert sys.getsizeof(index_of(large)) <= 3 * sys.getsizeof(index_of(small))
    assert in_python(large, range(6_000, 6_300)) == 0
    check(large)
