"""S3-FIFO against a slow model written from the paper, and as a cachetools cache."""

import copy
import gc
import pickle
import random
import sys
import weakref
from collections.abc import Hashable, Iterable
from typing import Any

import cachetools
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from memo._store.entries import Entry
from memo._store.entry_s3fifo import EntryS3FIFO
from memo.policies.s3fifo import Ghost, S3FIFOCache

__all__ = ()

KEYS = st.integers(0, 11)
SIZES = st.integers(0, 5)


def weight(value: Any) -> int:
    """What ``getsizeof`` says of the values here: (name, weight)."""
    return value[1]  # type: ignore[no-any-return]


class WeighedEntry(Entry):
    """An entry with a weight of its own."""

    __slots__ = ("size",)


def entry_weight(entry: Any) -> int:
    return entry.size  # type: ignore[no-any-return]


def make_entry(value: Any, size: int | None = None) -> Any:
    entry: Any = Entry() if size is None else WeighedEntry()
    entry.value, entry.deadline, entry.stored, entry.hits = value, 10.5, 0.5, 0
    if size is not None:
        entry.size = size
    return entry


class ExactGhost:
    """A ghost that forgets in order and exactly, to compare the rest of the policy with the model.

    ``limit`` stands for the capacity, which a test of its own looks at.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.keys: list[Hashable] = []

    def add(self, key: Hashable, capacity: int) -> None:
        self.keys = [*(k for k in self.keys if k != key), key][-self.limit :]

    def take(self, key: Hashable) -> bool:
        found = key in self.keys
        if found:
            self.keys.remove(key)
        return found

    def clear(self) -> None:
        self.keys.clear()


class Model:
    """S3-FIFO on plain lists, after the algorithm in the paper and the filling of its simulator.

    A row of a queue is [key, value, size, frequency], the oldest row first.
    """

    def __init__(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.small_share = max(1, maxsize // 10)
        self.small: list[list[Any]] = []
        self.main: list[list[Any]] = []
        self.ghost = ExactGhost(maxsize)
        self.evicted_once = False

    def rows(self) -> list[list[Any]]:
        return self.small + self.main

    def find(self, key: Hashable) -> list[Any] | None:
        return next((row for row in self.rows() if row[0] == key), None)

    def size(self) -> int:
        return sum(row[2] for row in self.rows())

    def use(self, key: Hashable) -> Any:
        row = self.find(key)
        if row is None:
            return None
        row[3] = min(3, row[3] + 1)
        return row[1]

    def remove(self, key: Hashable) -> None:
        self.small = [row for row in self.small if row[0] != key]
        self.main = [row for row in self.main if row[0] != key]

    def evict(self) -> tuple[Hashable, Any]:
        self.evicted_once = True
        while True:
            main_size = sum(row[2] for row in self.main)
            if not self.small or main_size > self.maxsize - self.small_share:
                row = self.main.pop(0)
                if row[3] == 0:
                    return row[0], row[1]
                row[3] -= 1
                self.main.append(row)
            else:
                row = self.small.pop(0)
                if row[3] < 2:
                    self.ghost.add(row[0], 1)
                    return row[0], row[1]
                row[3] = 0
                self.main.append(row)

    def put(self, key: Hashable, value: Any, size: int) -> None:
        row = self.find(key)
        back = row is None and self.ghost.take(key)
        while self.size() - (row[2] if row else 0) + size > self.maxsize:
            self.evict()
            row = self.find(key)  # one that grows may have to leave for it
        if row is not None:
            row[1:3] = value, size
        elif back or (not self.evicted_once and sum(row[2] for row in self.small) >= self.small_share):
            self.main.append([key, value, size, 0])
        else:
            self.small.append([key, value, size, 0])


class Comparison(RuleBasedStateMachine):
    """Drives a cache and the model alike; subclasses say what kind of cache."""

    weighed = False
    cache: Any
    model: Model

    def make(self, maxsize: int) -> Any:
        return S3FIFOCache(maxsize, weight if self.weighed else None)

    def value(self, size: int) -> Any:
        self.made += 1
        return (self.made, size)

    @initialize(maxsize=st.integers(1, 30))
    def start(self, maxsize: int) -> None:
        self.made = 0
        self.cache = self.make(maxsize)
        self.cache._ghost = ExactGhost(maxsize)
        self.model = Model(maxsize)

    @rule(key=KEYS, size=SIZES)
    def put(self, key: int, size: int) -> None:
        value = self.value(size)
        price = size if self.weighed else 1
        if price > self.model.maxsize:
            self.model.ghost.take(key)  # looked up before the weight is known
            with pytest.raises(ValueError, match="too large"):
                self.cache[key] = value
            return
        self.cache[key] = value
        self.model.put(key, value, price)
        assert key in self.cache

    @rule(start=st.integers(0, 40), count=st.integers(1, 12))
    def scan(self, start: int, count: int) -> None:
        for key in range(start, start + count):
            self.put(key, 1)

    @rule(key=KEYS, times=st.integers(1, 6))
    def get(self, key: int, times: int) -> None:
        for _ in range(times):
            expected = self.model.use(key)
            if expected is None:
                with pytest.raises(KeyError):
                    self.cache[key]
            else:
                assert self.cache[key] is expected

    @rule(key=KEYS, times=st.integers(1, 6))
    def use_without_the_cache(self, key: int, times: int) -> None:
        node = self.cache.nodes.get(key)
        for _ in range(times):
            assert (self.model.use(key) is None) == (node is None)
            if node is not None:
                node.hits += 1

    @rule(key=KEYS)
    def get_or_none(self, key: int) -> None:
        assert self.cache.get(key) is self.model.use(key)

    @rule(key=KEYS)
    def delete(self, key: int) -> None:
        if self.model.find(key) is None:
            with pytest.raises(KeyError):
                del self.cache[key]
        else:
            del self.cache[key]
            self.model.remove(key)

    @rule(key=KEYS)
    def pop(self, key: int) -> None:
        row = self.model.find(key)
        assert self.cache.pop(key, None) is (row[1] if row else None)
        self.model.remove(key)

    @rule(key=KEYS)
    def setdefault(self, key: int) -> None:
        expected = self.model.use(key)
        if expected is None:
            expected = self.value(1)
            self.model.put(key, expected, 1)
        assert self.cache.setdefault(key, expected) is expected

    @precondition(lambda self: self.model.rows())
    @rule()
    def popitem(self) -> None:
        assert self.cache.popitem() == self.model.evict()

    @precondition(lambda self: not self.model.rows())
    @rule()
    def popitem_of_none(self) -> None:
        with pytest.raises(KeyError):
            self.cache.popitem()

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        maxsize = self.model.maxsize
        self.model = Model(maxsize)

    @invariant()
    def same(self) -> None:
        self.cache._check()
        rows = self.model.rows()
        assert {row[0]: row[1] for row in rows} == {key: self.stored(key) for key in self.cache}
        assert [node.key for node in self.cache._small] == [row[0] for row in self.model.small]
        assert [node.key for node in self.cache._main] == [row[0] for row in self.model.main]
        assert self.cache._ghost.keys == self.model.ghost.keys
        assert len(self.cache) == len(rows)
        assert self.cache.currsize == self.model.size() <= self.cache.maxsize
        assert type(self.cache.nodes) is dict

    def stored(self, key: Hashable) -> Any:
        """The value, without using it."""
        return cachetools.Cache.__getitem__(self.cache, key)


class Copied(Comparison):
    """Also goes on with a copy of the cache from time to time."""

    def adopt(self, other: Any) -> None:
        assert type(other) is type(self.cache)
        assert dict(other.nodes).keys() == dict(self.cache.nodes).keys()
        self.cache._check()
        self.cache.clear()  # the copy must not notice
        self.cache = other
        other._ghost = ExactGhost(self.model.maxsize)  # a copy starts with an empty ghost
        self.model.ghost.clear()

    @rule()
    def copy(self) -> None:
        self.adopt(copy.copy(self.cache))

    @rule()
    def pickle(self) -> None:
        self.cache._ghost = Ghost()  # as it is outside of these tests
        self.adopt(pickle.loads(pickle.dumps(self.cache)))
        for row in self.model.rows():
            assert self.stored(row[0]) == row[1]
            row[1] = self.stored(row[0])


class Weighed(Copied):
    weighed = True


class Entries(Comparison):
    """The form in which the library stores: entries are the nodes."""

    def make(self, maxsize: int) -> Any:
        return EntryS3FIFO(maxsize, entry_weight if self.weighed else None)

    def value(self, size: int) -> Any:
        self.made += 1
        return make_entry(self.made, size if self.weighed else None)

    @invariant()
    def entries_are_the_nodes(self) -> None:
        for key, entry in self.cache.nodes.items():
            assert self.stored(key) is entry


class WeighedEntries(Entries):
    weighed = True


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


def test_as_cached() -> None:
    """``cachetools.cached`` works with it, its ``cache_info`` included."""
    calls: list[int] = []

    @cachetools.cached(S3FIFOCache(100), info=True)
    def square(n: int) -> int:
        calls.append(n)
        return n * n

    assert [square(n) for n in (3, 4, 3, 3)] == [9, 16, 9, 9]
    assert calls == [3, 4]
    assert square.cache_info() == (2, 2, 100, 2)
    for n in range(1000):
        square(n)
    assert square.cache_info().currsize == 100
    square.cache_clear()
    assert square.cache_info().currsize == 0


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


class Key:
    """A key that can be watched, and whose hash is its own."""


def test_ghost_keeps_no_key_alive() -> None:
    """An evicted key and its value are let go of at once, though the ghost knows the key."""
    cache: S3FIFOCache[Key, Key] = S3FIFOCache(4)
    gc.disable()
    try:
        watched = []
        for _ in range(12):
            key, value = Key(), Key()
            watched += [weakref.ref(key), weakref.ref(value)]
            cache[key] = value
        del key, value
        assert sum(ref() is not None for ref in watched) == 2 * 4
    finally:
        gc.enable()


def remembered(ghost: Ghost, keys: Iterable[int]) -> int:
    """How many of *keys* it remembers; each is forgotten by that."""
    return sum(ghost.take(key) for key in keys)


@pytest.mark.parametrize("capacity", [10, 100, 1000, 20_000])
def test_ghost_remembers_about_its_capacity(capacity: int) -> None:
    """Most of the latest half of its capacity is remembered; of what was long ago, hardly anything."""
    ghost = Ghost()
    total = 8 * capacity
    for key in range(total):
        ghost.add(key, capacity)
    assert remembered(ghost, range(total - capacity // 2, total)) >= 0.85 * (capacity // 2)
    assert remembered(ghost, range(total - 5 * capacity)) <= 0.02 * 3 * capacity + 1


def test_ghost_takes_once() -> None:
    """A key that was found is no longer remembered, and one that was never there is not found."""
    ghost = Ghost()
    ghost.add("a", 4)
    assert not ghost.take("b")
    assert ghost.take("a")
    assert not ghost.take("a")


def test_ghost_grows_and_keeps_what_it_knows() -> None:
    """Growing forgets only the few that share a neighbourhood with too many others."""
    ghost = Ghost()
    for key in range(4000):
        ghost.add(key, key + 1)
    assert remembered(ghost, range(4000)) >= 0.85 * 4000


def test_ghost_mistakes_no_strangers() -> None:
    """Keys that were never there are hardly ever found: a fingerprint has 32 bits."""
    ghost = Ghost()
    for key in range(5000):
        ghost.add(key, 5000)
    assert remembered(ghost, range(10**6, 10**6 + 20_000)) <= 2


@pytest.mark.parametrize("step", [1, 8, 1024, 2**32, 2**61 + 2])
def test_ghost_spreads_regular_keys(step: int) -> None:
    """Keys at regular distances are remembered as well as others."""
    ghost = Ghost()
    keys = range(0, 1000 * step, step)
    for key in keys:
        ghost.add(key, 1000)
    assert remembered(ghost, keys) >= 0.8 * 1000


def test_ghost_takes_zeros_for_keys() -> None:
    """A key whose hash is zero, or zero in its lower half, is one like any other."""
    ghost = Ghost()
    assert remembered(ghost, (0, 2**32, 2**40)) == 0
    ghost.add(0, 4)
    assert ghost.take(0)
    assert not ghost.take(0)


def test_ghost_tells_keys_apart_that_differ_in_high_bits() -> None:
    """Numbers made of a time and a few low bits, as services hand them out, are not taken for each other."""
    ghost = Ghost()
    first = 1_100_000_000_000_000_000 >> 22 << 22
    keys = [first + (i * 7919 << 22) for i in range(4000)]
    for key in keys[:2000]:
        ghost.add(key, 2000)
    assert remembered(ghost, keys[2000:]) <= 2
    assert remembered(ghost, keys[:2000]) >= 0.85 * 2000


def test_ghost_finds_a_key_behind_one_that_looks_like_it() -> None:
    """A key is found although the bytes of its fingerprint also lie across two others."""
    rng = random.Random(5)
    for _ in range(3000):
        ghost = Ghost()
        keys = rng.sample(range(1 << 10), 3) + [256 * rng.randrange(1 << 10) - 1 for _ in range(4)]
        for key in reversed(keys):
            ghost.add(key, 8)
        assert ghost.take(keys[0])


def ghost_bytes(cache: Any) -> int:
    """Bytes of what the cache's ghost refers to."""
    return sum(sys.getsizeof(getattr(cache._ghost, name)) for name in cache._ghost.__slots__)


def test_ghost_follows_the_number_of_entries() -> None:
    """A huge ``maxsize`` allocates nothing, and the ghost is as large as the few entries ask for."""
    cache: S3FIFOCache[int, tuple[str, int]] = S3FIFOCache(10**9, weight)
    assert ghost_bytes(cache) < 1000
    for key in range(3000):
        cache[key] = ("a", 10**6)
    assert len(cache) == 1000
    assert 1000 < ghost_bytes(cache) <= 16 * 1000


@pytest.mark.parametrize("maxsize", [10, 100, 1000])
def test_ghost_holds_as_many_as_main(maxsize: int) -> None:
    """The ghost is told to remember as many keys as the main queue holds entries."""
    told: set[int] = set()

    class Told(ExactGhost):
        def add(self, key: Hashable, capacity: int) -> None:
            told.add(capacity)
            super().add(key, capacity)

    cache: S3FIFOCache[int, int] = S3FIFOCache(maxsize)
    cache._ghost = Told(maxsize)  # type: ignore[assignment]
    for key in range(3 * maxsize):
        cache[key] = key
    assert told == {maxsize * 9 // 10}


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
