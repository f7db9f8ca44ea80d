"""Each call is counted once, as what it was."""

import asyncio
import collections
import functools
import itertools
import random
import threading
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from kit.bounded import POLICIES, check
from kit.threads import LIMIT_S, Running, switching_often

from memo import EvictionReason, bounded


def calls_of(stats: Any) -> int:
    return int(stats.hits + stats.misses + stats.joins + stats.stale_hits + stats.error_hits)


def test_concurrent_coroutines_share_one_load() -> None:
    """Coroutines that call for one key together get one object of one load, and all but one count as joins."""

    async def use() -> None:
        loads = 0

        @bounded(max=8)
        async def fetch(name: str) -> list[str]:
            nonlocal loads
            loads += 1
            await asyncio.sleep(0)
            return [name]

        results = await asyncio.gather(*(fetch("a") for _ in range(50)), *(fetch("b") for _ in range(5)))
        assert loads == 2
        assert len({id(result) for result in results}) == 2
        stats = fetch.cache.stats()
        assert (stats.misses, stats.joins, stats.hits, stats.requests) == (2, 53, 0, 55)
        assert fetch.cache_info() == (53, 2, 8, 2)

    asyncio.run(use())


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("options", [{}, {"ttl": 0.0005}, {"dedupe": False}], ids=["plain", "ttl", "undeduped"])
def test_every_call_of_eight_threads_raises_exactly_one_counter(policy: str, options: dict[str, Any]) -> None:
    """Under threads the counters add up to the calls made, and agree with flights, loads and evictions."""
    calls, threads = 1200, 8
    gone = collections.Counter[str]()
    lock = threading.Lock()

    def note(key: Any, value: Any, reason: EvictionReason) -> None:
        with lock:
            gone[str(reason)] += 1

    loads = itertools.count()

    @bounded(max=16, policy=policy, on_evict=note, **options)
    def fetch(x: int) -> tuple[int]:
        next(loads)
        if x == 2:
            raise LookupError(x)
        return (x,)

    barrier = threading.Barrier(threads)

    def work(seed: int) -> int:
        chance = random.Random(seed)
        barrier.wait(LIMIT_S)
        failed = 0
        for _ in range(calls):
            x = int(chance.triangular(0, 40, 0))
            try:
                assert fetch(x) == (x,)
            except LookupError:
                failed += 1
                assert x == 2
        return failed

    with switching_often():
        running = [Running(functools.partial(work, seed)) for seed in range(threads)]
        for call in running:
            call.result()
    stats = fetch.cache.stats()
    assert calls_of(stats) == stats.requests == calls * threads
    assert stats.misses == stats.loads + stats.load_errors == next(loads)
    flights = fetch.inflight.stats()
    assert (flights.started, flights.joined, flights.cancelled) == (stats.misses, stats.joins, 0)
    assert (flights.completed, flights.failed) == (stats.loads, stats.load_errors)
    assert stats.size == len(fetch.cache.store) <= 16
    assert sum(stats.evictions.values()) == sum(gone.values())
    assert stats.loads >= sum(gone.values()) + stats.size
    assert len(fetch.inflight) == 0
    check(fetch)


@pytest.mark.parametrize("policy", POLICIES)
def test_max_is_never_exceeded_seen_from_another_thread(policy: str) -> None:
    """A thread that looks on while others load, put and invalidate never sees more than `max` entries."""
    bound, finished = 5, threading.Event()

    @bounded(max=bound, policy=policy)
    def fetch(x: int) -> int:
        return x

    index, store = fetch.cache._cache.store.index, fetch.cache.store

    def watch() -> int:
        most = 0
        while not finished.is_set():
            most = max(most, len(index), len(store), fetch.cache.stats().size)
        return most

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(1500):
            x = chance.randrange(20)
            fetch(x)
            if x == 0:
                fetch.cache.invalidate(chance.randrange(20))
            elif x == 1:
                fetch.cache.put(chance.randrange(20), 1)

    with switching_often():
        watcher = Running(watch)
        for call in [Running(functools.partial(work, seed)) for seed in range(4)]:
            call.result()
        finished.set()
        assert watcher.result() <= bound
    check(fetch)


def test_stats_are_frozen_and_subtract() -> None:
    """Stats cannot be changed, and the difference of two is what happened between them, of one function alone."""

    @bounded(max=3, max_bytes="1kB", name="statistics")
    def fetch(x: int) -> int:
        return x

    @bounded(max=3)
    def other(x: int) -> int:
        return x

    fetch(1)
    before = fetch.cache.stats()
    fetch(1)
    fetch(2)
    fetch.cache.invalidate(1)
    after = fetch.cache.stats()
    change = after - before
    assert (change.hits, change.misses, change.loads, change.requests) == (1, 1, 1, 2)
    assert change.evictions[EvictionReason.INVALIDATED] == 1
    assert (change.size, change.max, change.max_bytes) == (1, 3, 1000)
    assert change.hit_ratio == 0.5
    assert (before.hit_ratio, after.hit_ratio) == (0.0, 1 / 3)
    with pytest.raises(FrozenInstanceError):
        after.hits = 5  # type: ignore[misc]
    with pytest.raises((TypeError, AttributeError)):
        after.evictions[EvictionReason.SIZE] = 5  # type: ignore[index]
    with pytest.raises(ValueError, match=r"other.*statistics"):
        _ = other.cache.stats() - after
    assert other.cache.stats().hit_ratio == 0.0
    assert other.cache.stats().load_mean == 0.0
