"""SIEVE evicts what the algorithm in its paper evicts."""

import random
from typing import Any

import cachetools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.plain_policies import STEPS, step

from memo.policies import SieveCache

__all__ = ()


class PlainSieve:
    """The algorithm of the paper on a list, the oldest key first; slow.

    ``hand`` is the key to look at next; None: the oldest.  Where that key is deleted, the hand is at the next one.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.queue: list[int] = []
        self.visited: set[int] = set()
        self.hand: int | None = None

    def newer(self, key: int) -> int | None:
        place = self.queue.index(key) + 1
        return self.queue[place] if place < len(self.queue) else None

    def access(self, key: int) -> bool:
        if key in self.queue:
            self.visited.add(key)
            return True
        while len(self.queue) >= self.capacity:
            self.evict()
        self.queue.append(key)
        return False

    def evict(self) -> int:
        key = self.queue[0] if self.hand is None else self.hand
        while key in self.visited:
            self.visited.remove(key)
            following = self.newer(key)
            key = self.queue[0] if following is None else following
        self.hand = key
        self.delete(key)
        return key

    def delete(self, key: int) -> None:
        if key == self.hand:
            self.hand = self.newer(key)
        self.queue.remove(key)
        self.visited.discard(key)

    def copied(self) -> None:
        """A copy goes on where the original stands."""


def queue_of(cache: Any) -> list[int]:
    return [node.key for node in cache._ring if node is not cache._hand]


def visited(cache: Any) -> set[int]:
    return {key for key, node in cache.nodes.items() if node.hits > node.mark}


@settings(max_examples=300, deadline=None)
@given(capacity=st.integers(1, 200) | st.integers(1, 6), steps=STEPS)
def test_it_evicts_what_the_paper_evicts(capacity: int, steps: list[tuple[str, int]]) -> None:
    """Whatever is done to both, the queue, the visited keys and the victims are those of the plain algorithm."""
    cache: SieveCache[int, tuple[int]] = SieveCache(capacity)
    plain = PlainSieve(capacity)
    for what, key in steps:
        cache = step(cache, plain, what, key)
        assert queue_of(cache) == plain.queue
        assert visited(cache) == plain.visited
        cache._check()
    assert [cache.popitem()[0] for _ in range(len(cache))] == [plain.evict() for _ in range(len(plain.queue))]


@pytest.mark.parametrize("seed", range(20))
def test_it_evicts_what_the_paper_evicts_in_the_long_run(seed: int) -> None:
    """On thousands of requests, for popular keys and in loops, hits and evictions are those of the plain algorithm."""
    dice = random.Random(seed)
    capacity = dice.choice((1, 2, 3, 7, 30, 200))
    cache: SieveCache[int, tuple[int]] = SieveCache(capacity)
    plain = PlainSieve(capacity)
    for i in range(3000):
        key = dice.choice((int(dice.paretovariate(0.7)) % (5 * capacity), i % (2 * capacity)))
        cache = step(cache, plain, "delete" if dice.random() < 0.03 else "access", key)
        if i % 10 == 0:
            assert queue_of(cache) == plain.queue
            assert visited(cache) == plain.visited
    cache._check()


def test_figure_of_the_paper() -> None:
    """In the paper's example the hand spares what was used, evicts the first that was not, and goes on from there."""
    cache: SieveCache[str, str] = SieveCache(7)
    for key in "ABCDEFG":
        cache[key] = key
    for key in "ABG":
        cache[key]
    cache["H"] = "H"
    assert "".join(map(str, queue_of(cache))) == "ABDEFGH"  # A and B were spared, C went
    for key in "AD":
        cache[key]
    cache["I"] = "I"
    assert "".join(map(str, queue_of(cache))) == "ABDFGHI"  # D was spared, E went
    cache["B"]
    cache["J"] = "J"
    assert "".join(map(str, queue_of(cache))) == "ABDGHIJ"  # F went: the hand did not begin anew
    cache._check()


def test_a_newcomer_after_the_hand_wrapped_is_not_what_it_meets_next() -> None:
    """Where the newest was evicted the hand begins at the oldest, though newer ones have come since."""
    cache: SieveCache[int, int] = SieveCache(3)
    for key in (1, 2, 3):
        cache[key] = key
    cache[1], cache[2]
    cache[4] = 4  # 3 goes, the newest
    cache[5] = 5
    assert queue_of(cache) == [2, 4, 5]


def test_uses_of_the_nodes_count() -> None:
    """``Node.hits`` may be raised without the cache, as often as one likes, and spares the key once."""
    cache: SieveCache[int, int] = SieveCache(2)
    cache[1] = cache[2] = 0
    cache.nodes[1].hits += 100
    cache[3] = 0
    assert queue_of(cache) == [1, 3]
    cache[4] = 0
    assert queue_of(cache) == [3, 4]
    cache._check()


def test_one_eviction_passes_a_bounded_number() -> None:
    """Where everything was used, the hand spares 4,096 and takes the next, and goes on from there."""
    cache: SieveCache[int, int] = SieveCache(10_000)
    for key in range(10_000):
        cache[key] = key
        cache[key]
    assert [cache.popitem()[0] for _ in range(3)] == [4096, 8193, 0]
    assert sum(node.hits > node.mark for node in cache.nodes.values()) == 0
    cache._check()


def test_weights_make_it_evict_more() -> None:
    """A heavy newcomer takes as many unused ones along as it needs; what was used stays if that will do."""
    cache: SieveCache[str, int] = SieveCache(10, lambda value: value)
    for key in "abcde":
        cache[key] = 2
    cache["b"]
    cache["f"] = 6
    assert queue_of(cache) == ["b", "e", "f"]
    assert cache.currsize == 10
    cache["b"] = 1  # a new value keeps its place
    assert queue_of(cache) == ["b", "e", "f"]
    assert cache.currsize == 9
    cache._check()


def test_popular_keys_survive_a_scan() -> None:
    """Keys that were used stay while ten times as many are asked for once, where LRU would lose them all."""
    cache: SieveCache[int, int] = SieveCache(100)
    lru: cachetools.LRUCache[int, int] = cachetools.LRUCache(100)
    for each in (cache, lru):
        for key in range(50):
            each[key] = key
            each[key]
        for key in range(1000, 1100):
            each[key] = key
    assert all(key in cache for key in range(50))
    assert not any(key in lru for key in range(50))
