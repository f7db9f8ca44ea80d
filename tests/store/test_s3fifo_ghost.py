"""The ghost of S3-FIFO remembers keys without keeping them."""

import gc
import random
import sys
import weakref
from collections.abc import Hashable, Iterable
from typing import Any

import pytest
from kit.s3fifo import ExactGhost, Key, weight

from memo._rings import Ghost
from memo.policies import S3FIFOCache


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
    _, segments = cache._ghost.table
    parts = [part for segment in segments if segment[1] is not None for part in segment if part is not None]
    return sys.getsizeof(segments) + sum(map(sys.getsizeof, parts))


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


@pytest.mark.parametrize("stamped", [False, True])
@pytest.mark.parametrize(("before", "after"), [(30_000, 50_000), (50_000, 20_000), (9, 40_000)])
def test_ghost_changes_its_size_in_small_steps(stamped: bool, before: int, after: int) -> None:
    """A table of another size takes over a few buckets with each key that is added, and all are known meanwhile."""
    ghost = Ghost(stamped)
    known = before // 3
    for key in range(known):
        ghost.add(key, before, key)
    moved = 0
    for key in range(known, known + before):
        ghost.add(key, after, key)
        if ghost.old is None:
            break
        assert 0 <= ghost._moved - moved <= 2
        if key % 100 == 0:
            stamp = ghost.recall(key % known)
            if stamp >= 0:
                assert stamp == (key % known if stamped else 0)
                ghost.add(key % known, after, key % known)
        moved = ghost._moved
    assert ghost.old is None
    assert after - 8 <= ghost.places <= after + 100
    assert remembered(ghost, range(known)) >= 0.9 * known


def test_ghost_allocates_a_segment_at_a_time() -> None:
    """What many keys are going to take is made as it is written to, not at once."""
    ghost = Ghost(stamped=True)
    ghost.add("a", 10**8)
    assert len({id(segment) for segment in ghost.table[1]}) <= 2
    assert ghost.take("a")
