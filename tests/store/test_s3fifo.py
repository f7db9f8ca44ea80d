"""S3-FIFO evicts what its model evicts, with plain values as with entries."""

import copy
import gc
import pickle
import random
import weakref
from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import settings
from kit.s3fifo import (
    Copied,
    Entries,
    Key,
    Weighed,
    WeighedEntries,
    make_entry,
    weight,
)

from memo._store.entry_s3fifo import EntryS3FIFO
from memo.policies import S3FIFOCache

__all__ = ()

SETTINGS = settings(max_examples=60, stateful_step_count=40, deadline=None)

for machine in (Copied, Weighed, Entries, WeighedEntries):
    machine.TestCase.settings = SETTINGS

TestPlain = Copied.TestCase

TestWeighed = Weighed.TestCase

TestEntries = Entries.TestCase

TestWeighedEntries = WeighedEntries.TestCase


def use(cache: Any, key: Hashable, times: int) -> None:
    for _ in range(times):
        cache[key]


def in_small(cache: Any) -> list[Any]:
    return [node.key for node in cache._small]


def in_main(cache: Any) -> list[Any]:
    return [node.key for node in cache._main]


def test_filling_overflows_into_main() -> None:
    """Until the first eviction the small queue takes its tenth and the main queue the rest."""
    cache: S3FIFOCache[int, int] = S3FIFOCache(20)
    for i in range(20):
        cache[i] = i
    assert in_small(cache) == [0, 1]
    assert in_main(cache) == list(range(2, 20))
    cache[20] = 20
    assert in_small(cache) == [1, 20]
    assert in_main(cache) == list(range(2, 20))


@pytest.mark.parametrize(("uses", "stays"), [(0, False), (1, False), (2, True), (5, True)])
def test_second_use_promotes(uses: int, stays: bool) -> None:
    """A key leaves the small queue for the main queue if it was used at least twice."""
    cache: S3FIFOCache[int, int] = S3FIFOCache(20)
    for i in range(19):
        cache[i] = i
    use(cache, 0, uses)
    cache[19] = 19
    cache[20] = 20
    assert (0 in cache) is stays
    assert (0 in in_main(cache)) is stays


@pytest.mark.parametrize(("uses", "rounds"), [(0, 0), (1, 1), (3, 3), (100, 3)])
def test_main_gives_three_rounds_at_most(uses: int, rounds: int) -> None:
    """A key of the main queue gets another round for each use, three at most, and is then evicted."""
    cache: S3FIFOCache[str, int] = S3FIFOCache(10)
    for key in ("s", "a", "b", "c"):
        cache[key] = 0
    del cache["s"]  # with the small queue empty, the main queue must give
    use(cache, "a", uses)
    use(cache, "b", 9)
    use(cache, "c", 9)
    evicted = []
    while cache:
        evicted.append(cache.popitem()[0])
    expected = "a" if rounds < 3 else "abc"
    assert evicted[0] in expected
    if rounds == 3:
        assert evicted == ["a", "b", "c"]  # equal by the cap, so in the order of the queue


def test_ghost_brings_back_to_main() -> None:
    """A key evicted from the small queue enters the main queue when it returns, and only once."""
    cache: S3FIFOCache[int, int] = S3FIFOCache(20)
    for i in range(21):
        cache[i] = i
    assert 0 not in cache
    cache[0] = 0
    assert 0 in in_main(cache)
    del cache[0]
    cache[0] = 0
    assert 0 in in_small(cache)


def test_new_value_keeps_place_and_frequency() -> None:
    """Another entry under an old key takes its place and frequency, and counts its own hits from zero."""
    cache: EntryS3FIFO[int] = EntryS3FIFO(20)
    for i in range(20):
        cache[i] = make_entry(i)
    cache.nodes[0].hits += 2
    fresh = make_entry("fresh")
    cache[0] = fresh
    assert fresh.hits == 0
    assert in_small(cache) == [0, 1]
    cache[20] = make_entry(20)
    assert cache.nodes[0] is fresh
    assert 0 in in_main(cache)
    cache._check()


def test_never_longer_than_maxsize() -> None:
    """There is never one entry too many, not even while one is put in."""
    longest = 0

    class Watched(S3FIFOCache[int, int]):
        def popitem(self) -> tuple[int, int]:
            nonlocal longest
            longest = max(longest, len(self), len(self.nodes))
            return super().popitem()

    cache = Watched(50)
    rng = random.Random(7)
    for _ in range(5000):
        key = int(rng.paretovariate(0.7)) % 1000
        if cache.get(key) is None:
            cache[key] = key
        assert len(cache) <= 50
    assert longest == 50
    cache._check()


def test_eviction_goes_through_popitem_and_delitem() -> None:
    """A subclass sees each eviction, as in cachetools' own policies."""
    seen: list[tuple[str, int]] = []

    class Seen(S3FIFOCache[int, int]):
        def popitem(self) -> tuple[int, int]:
            key, value = super().popitem()
            seen.append(("popitem", key))
            return key, value

        def __delitem__(self, key: int) -> None:
            seen.append(("del", key))
            super().__delitem__(key)

    cache = Seen(1)
    cache[1] = 1
    cache[2] = 2
    assert seen == [("del", 1), ("popitem", 1)]


def test_targets_follow_maxsize() -> None:
    """The shares of the queues are taken from a ``maxsize`` that a store changed."""
    cache: S3FIFOCache[int, int] = S3FIFOCache(100)
    for i in range(50):
        cache[i] = i
    assert len(in_small(cache)) == 10
    cache._Cache__maxsize = 50  # type: ignore[attr-defined]
    cache.set_targets()
    for i in range(50, 100):
        cache[i] = i
    assert len(in_main(cache)) == 40
    for key in in_main(cache)[:20]:
        del cache[key]
    for i in range(100, 200):
        cache[i] = i
    cache.clear()
    for i in range(50):
        cache[i] = i
    assert len(in_small(cache)) == 5
    cache._check()


@pytest.mark.parametrize("maxsize", [1, 2, 3, 9])
def test_tiny_caches(maxsize: int) -> None:
    """A cache of few entries holds that many, and the newest is always among them."""
    cache: S3FIFOCache[int, int] = S3FIFOCache(maxsize)
    rng = random.Random(maxsize)
    for _ in range(500):
        key = rng.randrange(12)
        cache[key] = key
        assert key in cache
        cache.get(rng.randrange(12))
        cache._check()
    assert len(cache) == maxsize


def test_missing() -> None:
    """``__missing__`` answers for absent keys as in every cachetools cache; ``get`` and ``pop`` do not ask it."""

    class Squares(S3FIFOCache[int, int]):
        def __missing__(self, key: int) -> int:
            self[key] = key * key
            return self[key]

    cache = Squares(2)
    assert cache[3] == 9
    assert cache[4] == 16
    assert cache[5] == 25
    assert len(cache) == 2
    assert cache.get(7) is None
    assert cache.pop(7, "none") == "none"
    with pytest.raises(KeyError):
        cache.pop(7)
    with pytest.raises(KeyError):
        del cache[7]
    cache._check()


def test_too_large() -> None:
    """A value larger than the whole is refused, and nothing changes."""
    cache: S3FIFOCache[int, tuple[str, int]] = S3FIFOCache(10, weight)
    cache[1] = ("a", 4)
    cache[2] = ("b", 6)
    for key in (1, 3):
        with pytest.raises(ValueError, match="too large"):
            cache[key] = ("c", 11)
    assert dict(cache.items()) == {1: ("a", 4), 2: ("b", 6)}
    cache._check()


def test_growing_value_may_evict_itself() -> None:
    """A value that grows makes room, be it at the cost of its own old self, and is in the cache afterwards."""
    cache: S3FIFOCache[int, tuple[str, int]] = S3FIFOCache(10, weight)
    for key in range(5):
        cache[key] = ("old", 2)
    for key in range(5):
        cache[key] = ("new", 10)
        assert list(cache) == [key]
        cache._check()


def test_getsizeof_of_a_subclass() -> None:
    """A subclass may bring its own ``getsizeof``."""

    class Texts(S3FIFOCache[str, str]):
        @staticmethod
        def getsizeof(value: str) -> int:
            return len(value)

    cache = Texts(10)
    for word in ("aaa", "bbbb", "cc", "ddddd"):
        cache[word] = word
    assert cache.currsize == sum(map(len, cache.values())) <= 10
    cache._check()


def test_long_cache_pickles() -> None:
    """Pickling does not nest as deep as the cache is long, and keeps order and frequencies."""
    cache: S3FIFOCache[int, int] = S3FIFOCache(5000)
    for i in range(6000):
        cache[i] = i
    use(cache, 5999, 2)
    other = pickle.loads(pickle.dumps(cache))
    other._check()
    assert (in_small(other), in_main(other)) == (in_small(cache), in_main(cache))
    assert [other.popitem() for _ in range(5000)] == [cache.popitem() for _ in range(5000)]


@pytest.mark.parametrize("maxsize", [10, 50, 200])
def test_exchange_does_what_popitem_and_setitem_do(maxsize: int) -> None:
    """The way without detours leaves every queue as the long way does."""
    short: EntryS3FIFO[int] = EntryS3FIFO(maxsize)
    long: EntryS3FIFO[int] = EntryS3FIFO(maxsize)
    rng = random.Random(maxsize)
    exchanged = returned = 0
    for _ in range(6000):
        key = int(rng.paretovariate(0.5)) % (5 * maxsize) + 1
        if key in short:
            short.nodes[key].hits += 1
            long.nodes[key].hits += 1
            continue
        if len(short) < maxsize:
            short[key] = make_entry(key)
        else:
            before = dict(short.nodes)
            victim = short.exchange(key, make_entry(key))
            assert before[victim.key] is victim
            assert victim.key not in short
            exchanged += 1
        returned += key in in_main(short) and len(short) == maxsize
        long[key] = make_entry(key)
        assert (in_small(short), in_main(short)) == (in_small(long), in_main(long))
        short._check()
    assert exchanged > maxsize
    assert returned > 20


def test_copies_of_entries_are_apart() -> None:
    """A copy, a deep copy and a pickled copy have entries of their own, and pickling does not nest by length."""
    cache: EntryS3FIFO[int] = EntryS3FIFO(5000)
    for i in range(5000):
        cache[i] = make_entry(i)
    cache.nodes[0].hits += 2
    for other in (copy.copy(cache), copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
        other._check()
        assert other.nodes[0] is not cache.nodes[0]
        assert (other.nodes[0].value, other.nodes[0].hits) == (0, 2)
        assert (in_small(other), in_main(other)) == (in_small(cache), in_main(cache))
        other.clear()
        cache._check()


def test_same_entry_again_keeps_its_hits() -> None:
    """Putting in the entry that is there already changes nothing."""
    cache: EntryS3FIFO[int] = EntryS3FIFO(20)
    for i in range(20):
        cache[i] = make_entry(i)
    entry = cache.nodes[0]
    entry.hits += 3
    cache[0] = entry
    assert (entry.hits, entry.hits - (entry.mark >> 1)) == (3, 3)
    cache._check()


def test_what_left_is_let_go_of_at_once() -> None:
    """Neither clearing nor holding on to one evicted entry keeps others alive until the next garbage collection."""
    cache: EntryS3FIFO[int] = EntryS3FIFO(100)
    gc.disable()
    try:
        held = make_entry(Key())
        cache[0] = held
        watched = []
        for i in range(1, 1000):
            value = Key()
            watched.append(weakref.ref(value))
            cache[i] = make_entry(value)
        del value
        assert 0 not in cache
        assert sum(ref() is not None for ref in watched) == 100
        cache.clear()
        assert sum(ref() is not None for ref in watched) == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("maxsize", [0, 0.5])
def test_less_than_one(maxsize: float) -> None:
    """A cache of less than 1 holds what weighs as little."""
    cache: S3FIFOCache[int, float] = S3FIFOCache(maxsize, lambda value: value)
    for key in range(3):
        cache[key] = maxsize / 2
    assert cache.popitem()[1] == maxsize / 2
    cache._check()
