"""The stores' own policies evict what the models evict, and are caches like any."""

import asyncio
import collections
import copy
import functools
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import cachetools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.entry_policies import every_own, make_entry

from memo import Registry, bounded
from memo._store.entry_policy import EntryPolicy
from memo._store.entry_sieve import EntrySieve
from memo._store.frequency import EntryLFU
from memo._store.orders import EntryFIFO, EntryLRU, EntryRandom
from memo.policies import SieveCache

pytestmark = pytest.mark.usefixtures("meek")


__all__ = ()

TWINS = {
    EntryLRU: cachetools.LRUCache,
    EntryLFU: cachetools.LFUCache,
    EntryFIFO: cachetools.FIFOCache,
    EntrySieve: SieveCache,
}

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["get", "get", "put", "put", "del", "pop", "clear"]), st.integers(0, 9), st.integers(0, 4)
    ),
    max_size=120,
)


def size_of(entry: Any) -> int:
    return entry.size  # type: ignore[no-any-return]


# -- exactness


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("weighed", [False, True])
@settings(max_examples=150, deadline=None)
@given(bound=st.integers(1, 8), steps=STEPS)
def test_the_order_is_that_of_cachetools(
    kind: type[EntryPolicy[int]], weighed: bool, bound: int, steps: list[tuple[str, int, int]]
) -> None:
    """Driven alike, policy and the cache class of the same name hold the same keys and evict the same, ties too."""
    ours: Any = kind(bound, size_of if weighed else None)
    theirs: Any = TWINS[kind](bound, size_of if weighed else None)
    for step, key, size in steps:
        if step == "get":
            assert ours.get(key) is theirs.get(key)
        elif step == "put":
            entry = make_entry(key, min(size, bound) if weighed else None)
            ours[key] = theirs[key] = entry
        elif step == "del":
            assert (key in ours) == (key in theirs)
            if key in ours:
                del ours[key], theirs[key]
        elif step == "pop" and ours:
            assert ours.popitem() == theirs.popitem()
        elif step == "clear" and key == 0:
            ours.clear()
            theirs.clear()
        ours._check()
        assert dict(ours.nodes) == {key: cachetools.Cache.__getitem__(theirs, key) for key in theirs}
        assert ours.currsize == theirs.currsize
    assert [ours.popitem() for _ in range(len(ours))] == [theirs.popitem() for _ in range(len(theirs))]


def run(functions: list[Callable[[int], Any]], seed: int, keys: int) -> Iterator[None]:
    dice = random.Random(seed)
    for _ in range(3000):
        key = int(dice.paretovariate(0.8)) % keys
        for function in functions:
            function(key)
        yield


def test_lru_evicts_as_lru_cache() -> None:
    """Under a random load exactly the calls that miss in functools.lru_cache miss here."""
    for size in (1, 2, 5, 17):
        ran: list[int] = []
        ran_there: list[int] = []
        ours = bounded(max=size, policy="lru", registry=Registry())(ran.append)
        theirs = functools.lru_cache(maxsize=size)(ran_there.append)
        for _ in run([ours, theirs], size, 40):
            assert ran == ran_there
        ours.cache._check()


def test_lfu_evicts_as_lfu_cache() -> None:
    """Under a random load exactly the calls that miss in a cachetools.LFUCache miss here, ties included."""
    for size in (1, 2, 5, 17):
        ran: list[int] = []
        ran_there: list[int] = []
        ours = bounded(max=size, policy="lfu", registry=Registry())(ran.append)
        theirs = cachetools.cached(cachetools.LFUCache(size), key=lambda x: x)(ran_there.append)
        for _ in run([ours, theirs], size, 40):
            assert ran == ran_there
        ours.cache._check()


def test_methods_and_coroutines_move_their_entries_too() -> None:
    """A hit through an instance, and one that is awaited, keeps its entry from being evicted next."""
    for policy in ("lru", "lfu"):

        class Service:
            @bounded(max=3, policy=policy, registry=Registry())
            def fetch(self, x: int) -> int:
                return x

            @bounded(max=3, policy=policy, registry=Registry())
            async def fetch_later(self, x: int) -> int:
                return x

        service = Service()

        async def play(service: Service) -> None:
            for x in (1, 2, 3, 1, 4):
                service.fetch(x)
                await service.fetch_later(x)

        asyncio.run(play(service))
        assert sorted(service.fetch.cache) == sorted(service.fetch_later.cache) == [1, 3, 4]


def test_random_evicts_each_alike() -> None:
    """Of ten entries each is evicted about as often as the others."""
    counts: collections.Counter[int] = collections.Counter()
    for _ in range(3000):
        cache: EntryRandom[int] = EntryRandom(10)
        for key in range(10):
            cache[key] = make_entry(key)
        counts[cache.popitem()[0]] += 1
    assert min(counts.values()) > 200
    assert max(counts.values()) < 400


# -- as caches


@every_own
@pytest.mark.parametrize("weighed", [False, True])
@settings(max_examples=60, deadline=None)
@given(bound=st.integers(1, 8), steps=STEPS)
def test_it_is_a_cache_and_its_copies_are_apart(
    kind: type[EntryPolicy[int]], weighed: bool, bound: int, steps: list[tuple[str, int, int]]
) -> None:
    """Whatever is done, the invariants hold; copies, deep copies and pickles evict in the same order."""
    cache: Any = kind(bound, size_of if weighed else None)
    for step, key, size in steps:
        if step == "get":
            assert (cache.get(key) is None) == (key not in cache)
        elif step == "put":
            cache[key] = make_entry(key, min(size, bound) if weighed else None)
            assert key in cache
        elif step == "del":
            assert (cache.pop(key, None) is None) or key not in cache
        elif step == "pop" and cache:
            cache.popitem()
        elif step == "clear" and key == 0:
            cache.clear()
        cache._check()
        assert len(cache) == len(cache.nodes)
    others = [copy.copy(cache), copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))]
    orders = []
    for other in others:
        other._check()
        assert {entry.value for entry in other.nodes.values()} == {entry.value for entry in cache.nodes.values()}
        assert not {id(entry) for entry in other.nodes.values()} & {id(entry) for entry in cache.nodes.values()}
        if kind is not EntryRandom:
            orders.append([other.popitem()[0] for _ in range(len(other))])
    cache._check()
    if orders:
        assert orders == [[cache.popitem()[0] for _ in range(len(cache))]] * 3


@every_own
def test_what_does_not_fit_is_refused(kind: type[EntryPolicy[int]]) -> None:
    """A value larger than the whole, or smaller than nothing, is an error, and changes nothing."""
    cache = kind(5, size_of)
    cache[1] = make_entry(1, 3)
    for size in (6, -1):
        with pytest.raises(ValueError, match=r"too large|non-negative"):
            cache[2] = make_entry(2, size)
    assert list(cache) == [1]
    with pytest.raises(KeyError):
        cache[2]
    with pytest.raises(KeyError):
        del cache[2]
    cache.popitem()
    with pytest.raises(KeyError, match="is empty"):
        cache.popitem()
    cache._check()


@every_own
@pytest.mark.parametrize("seed", range(20))
def test_mending_keeps_every_entry(kind: type[EntryPolicy[int]], seed: int) -> None:
    """However the links of the rings were torn, afterwards each entry hangs in one, and the torn ones in some order."""
    dice = random.Random(seed)
    cache: Any = kind(20)
    for _ in range(60):
        key = dice.randrange(30)
        if cache.get(key) is None:
            cache[key] = make_entry(key)
    before = dict(cache.nodes)
    for entry in dice.sample(list(before.values()), seed // 2):
        for way in ("newer", "older"):
            if dice.random() < 0.3:
                delattr(entry, way)
            elif dice.random() < 0.5:
                setattr(entry, way, dice.choice([*before.values(), cache.ring]))
    cache.mend()
    cache._check()
    assert dict(cache.nodes) == before
    for _ in range(100):
        cache[dice.randrange(40)] = make_entry(0)
        cache._check()
