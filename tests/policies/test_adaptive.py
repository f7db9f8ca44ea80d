"""The adaptive policy: what its small queue's share follows, who passes the gate, and that no eviction is long."""

import copy
import itertools
import pickle
import random
from collections.abc import Iterable, Iterator
from typing import Any

import cachetools
import pytest
from kit.entry_policies import make_entry

from memo._rings import MOST_STEPS
from memo._store.entry_adaptive import EntryAdaptive
from memo.policies import AdaptiveCache, S3FIFOCache

__all__ = ()


def hits(cache: Any, keys: Iterable[int]) -> float:
    """The share of hits."""
    count = total = 0
    for key in keys:
        total += 1
        if cache.get(key) is None:
            cache[key] = (key, 1)
        else:
            count += 1
    if not isinstance(cache, cachetools.LRUCache):
        cache._check()
    return count / total


def loop(length: int, rounds: int) -> Iterator[int]:
    return itertools.chain.from_iterable(range(length) for _ in range(rounds))


def popular(seed: int, count: int) -> Iterator[int]:
    dice = random.Random(seed)
    return (int(dice.paretovariate(0.6)) for _ in range(count))


def recent(seed: int, count: int, span: int) -> Iterator[int]:
    """Each key is new, or one of the latest *span*: what LRU is best at."""
    dice = random.Random(seed)
    for now in range(count):
        yield now if dice.random() < 0.5 else max(0, now - int(dice.random() * span))


def keys_of(queue: Any) -> list[Any]:
    return [node.key for node in queue]


# -- what it adapts to


@pytest.mark.parametrize("longer", [1.2, 2, 4])
def test_a_loop_longer_than_the_cache(longer: float) -> None:
    """Of a loop it keeps a part, and nearly as large a part as it has places for; LRU keeps nothing."""
    length = int(200 * longer)
    cache: AdaptiveCache[int, Any] = AdaptiveCache(200)
    assert hits(cache, loop(length, 40)) > 0.75 / longer
    assert cache.small_share <= 0.3
    assert hits(cachetools.LRUCache(200), loop(length, 40)) == 0


def test_recency_makes_the_small_queue_large() -> None:
    """Where keys are used again soon or never, the small queue takes the larger part, and no hits are lost to LRU's."""
    cache: AdaptiveCache[int, Any] = AdaptiveCache(300)
    ours = hits(cache, recent(1, 60_000, 400))
    assert cache.small_share >= 0.45
    assert ours > hits(cachetools.LRUCache(300), recent(1, 60_000, 400)) - 0.02
    assert ours > hits(S3FIFOCache(300), recent(1, 60_000, 400)) + 0.02


def test_popular_keys_and_scans() -> None:
    """Among keys of very different popularity, and scans past them, it has more hits than LRU."""

    def mixed() -> Iterator[int]:
        scanned = itertools.count(-1, -1)
        for start in range(20):
            yield from popular(start, 3000)
            yield from itertools.islice(scanned, 300)

    assert hits(AdaptiveCache(300), mixed()) > hits(cachetools.LRUCache(300), mixed()) + 0.01


@pytest.mark.parametrize("weighed", [False, True])
def test_it_turns_with_the_workload(weighed: bool) -> None:
    """The share goes up and down with what is asked for, and hands its places over to the main queue."""
    cache: AdaptiveCache[int, Any] = AdaptiveCache(200, (lambda value: value[1]) if weighed else None)
    hits(cache, recent(1, 30_000, 260))
    wide = cache.small_share
    hits(cache, (10**6 + key for key in loop(300, 40)))
    narrow = cache.small_share
    assert wide >= 0.45 > 0.1 >= narrow
    assert len(keys_of(cache._main)) >= (165 if weighed else 180)  # by weight it may lack a tenth
    hits(cache, (10**7 + key for key in recent(2, 30_000, 260)))
    assert cache.small_share >= 0.3


# -- the gate


def filled(maxsize: int = 20) -> AdaptiveCache[Any, int]:
    """A cache that is full, and has evicted key 0 a moment ago."""
    cache: AdaptiveCache[Any, int] = AdaptiveCache(maxsize)
    for key in range(maxsize + 1):
        cache[key] = key
    assert 0 not in cache
    return cache


def test_who_returns_soon_enters_the_main_queue() -> None:
    """A key that comes back before the main queue's oldest would have gone enters the main queue."""
    cache = filled(40)
    for key in range(100, 110):
        cache[key] = key
    cache[109 - 3] = 0
    gone = next(key for key in range(109, 100, -1) if key not in cache)
    for key in range(200, 230):
        cache[key] = key  # the main queue's oldest is unused for longer and longer
    late = next(key for key in range(229, 200, -1) if key not in cache)
    cache[late] = 0
    assert late in keys_of(cache._main)
    assert gone not in keys_of(cache._main)


def test_who_was_away_for_long_has_to_earn_it() -> None:
    """A key that comes back later enters the small queue, and one use more takes it to the main queue."""
    for used in (False, True):
        cache = filled(20)
        for key in range(100, 130):
            cache[key] = key
            for main in keys_of(cache._main):
                cache[main]  # all of the main queue is in use
        away = next(key for key in range(100, 130) if key not in cache)
        cache[away] = 0
        assert away in keys_of(cache._small)
        for node in cache._main:
            node.mark = node.hits << 3 | 1  # its uses are seen and spent
        if used:
            cache[away]
        cache[200] = cache[201] = 0
        assert (away in keys_of(cache._main)) is used


def test_the_ghost_remembers_five_times_as_many() -> None:
    """Keys that left four capacities ago are known; of strangers nothing is."""
    cache: AdaptiveCache[int, int] = AdaptiveCache(100)
    for key in range(600):
        cache[key] = key
    ghost = cache._ghost
    assert sum(ghost.take(key) for key in range(150, 600)) > 350
    assert sum(ghost.take(key) for key in range(10_000, 11_000)) <= 1


# -- bounded work


@pytest.mark.parametrize("kind", [AdaptiveCache, S3FIFOCache])
def test_an_eviction_looks_at_few_although_all_were_used(kind: type[Any]) -> None:
    """However many were used, an eviction gives few of them their next round."""
    cache = kind(3000)
    for key in range(3000):
        cache[key] = key
        cache[key], cache[key], cache[key]
    before = {key: node.mark for key, node in cache.nodes.items()}
    for _ in range(5):
        cache.popitem()
        changed = sum(node.mark != before[key] for key, node in cache.nodes.items())
        assert changed <= MOST_STEPS
        before = {key: node.mark for key, node in cache.nodes.items()}
    assert len(cache) == 2995
    cache._check()


# -- in the store


@pytest.mark.parametrize("maxsize", [10, 50, 200])
@pytest.mark.parametrize("shape", ["popular", "recent", "loop"])
def test_exchange_does_what_popitem_and_setitem_do(maxsize: int, shape: str) -> None:
    """The way without detours leaves every queue, and what is known of the future, as the long way does."""
    short: EntryAdaptive[int] = EntryAdaptive(maxsize)
    long: EntryAdaptive[int] = EntryAdaptive(maxsize)
    plain: AdaptiveCache[int, int] = AdaptiveCache(maxsize)
    asked = {
        "popular": popular(maxsize, 6000),
        "recent": recent(maxsize, 6000, 2 * maxsize),
        "loop": itertools.islice(itertools.cycle(range(maxsize * 3 // 2)), 6000),
    }[shape]
    exchanged = 0
    dice = random.Random(maxsize)
    for key in asked:
        assert (key in short) == (key in plain)
        if key in short:
            if dice.random() < 0.1:  # a new value, which has the uses of the old one to its credit
                short[key], long[key], plain[key] = make_entry(key), make_entry(key), key
                continue
            for cache in (short, long, plain):
                cache.nodes[key].hits += 1
            continue
        if len(short) < maxsize:
            short[key] = make_entry(key)
        else:
            before = dict(short.nodes)
            victim = short.exchange(key, make_entry(key))
            assert before[victim.key] is victim
            exchanged += 1
        long[key] = make_entry(key)
        plain[key] = key
        assert keys_of(short._small) == keys_of(long._small) == keys_of(plain._small)
        assert keys_of(short._main) == keys_of(long._main) == keys_of(plain._main)
        assert short.small_share == long.small_share == plain.small_share
    for cache in (short, long, plain):
        cache._check()
    assert exchanged > maxsize


def test_copies_keep_time_and_share() -> None:
    """A copy goes on with the share of the original, and evicts in its order."""
    for cache in (AdaptiveCache[int, Any](100), EntryAdaptive[int](100)):
        for key in recent(3, 8000, 120):
            if cache.get(key) is None:
                cache[key] = make_entry(key) if isinstance(cache, EntryAdaptive) else (key, 1)
        assert cache.small_share > 0.1
        others: list[Any] = [copy.copy(cache), copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))]
        order = [cache.popitem()[0] for _ in range(100)]
        for other in others:
            other._check()
            assert other.small_share == cache.small_share
            assert [other.popitem()[0] for _ in range(100)] == order


@pytest.mark.parametrize("maxsize", [30, 300])
def test_a_bound_that_changes(maxsize: int) -> None:
    """After ``set_targets()`` queues, ages and ghost are those of the new bound, by and by."""
    cache: EntryAdaptive[int] = EntryAdaptive(100)
    for key in recent(5, 8000, 130):
        if cache.get(key) is None:
            cache[key] = make_entry(key)
    while len(cache) > maxsize:
        cache.popitem()
        cache._check()
    assert len(keys_of(cache._small)) > 0
    assert len(keys_of(cache._main)) > 0
    cache._Cache__maxsize = maxsize  # type: ignore[attr-defined]
    cache.set_targets()
    for key in recent(6, 20_000, maxsize):
        if cache.get(10**6 + key) is None:
            cache[10**6 + key] = make_entry(key)
    cache._check()
    assert len(cache) == maxsize
    assert cache._ghost.old is None
    assert 4.5 * maxsize <= cache._ghost.places <= 6 * maxsize
    assert abs(cache._small.size - cache._small_most) <= max(2, maxsize // 10)
