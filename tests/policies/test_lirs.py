"""LIRS keeps hot what the algorithm in its paper keeps hot, and evicts what that evicts."""

import random
from typing import Any

import cachetools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.plain_policies import STEPS, step

from memo.policies import LIRSCache

__all__ = ()


class PlainLIRS:
    """The algorithm of the paper on lists, the oldest key first; slow.  Gone keys are at most twice the others."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.most_hot = capacity - max(1, capacity // 50)
        self.stack: list[int] = []
        self.hot: set[int] = set()
        self.cold: list[int] = []
        self.gone: list[int] = []

    def push(self, key: int) -> None:
        if key in self.stack:
            self.stack.remove(key)
        if self.stack or key in self.hot:
            self.stack.append(key)

    def prune(self) -> None:
        while self.stack and self.stack[0] not in self.hot:
            key = self.stack.pop(0)
            if key in self.gone:
                self.gone.remove(key)

    def heat(self, key: int) -> None:
        self.hot.add(key)
        self.push(key)
        if len(self.hot) > self.most_hot:
            self.cool()
        self.prune()

    def cool(self) -> None:
        key = self.stack.pop(0)
        self.hot.remove(key)
        self.cold.append(key)
        self.prune()

    def access(self, key: int) -> bool:
        if key in self.hot:
            self.push(key)
            self.prune()
            return True
        if key in self.cold:
            self.cold.remove(key)
            if key in self.stack:
                self.heat(key)
            else:
                self.cold.append(key)
                self.push(key)
            return True
        if len(self.hot) + len(self.cold) >= self.capacity:
            self.evict()
        if key in self.gone:
            self.gone.remove(key)
            self.heat(key)
        elif len(self.hot) < self.most_hot:
            self.heat(key)
        else:
            self.cold.append(key)
            self.push(key)
        return False

    def evict(self) -> int:
        if not self.cold:
            self.cool()
        key = self.cold.pop(0)
        if key in self.stack:
            self.gone.append(key)
            if len(self.gone) > 2 * (len(self.hot) + len(self.cold) + 1):
                self.stack.remove(self.gone.pop(0))
        return key

    def delete(self, key: int) -> None:
        self.hot.discard(key)
        if key in self.cold:
            self.cold.remove(key)
        if key in self.stack:
            self.stack.remove(key)
        self.prune()

    def copied(self) -> None:
        """A copy starts without the keys that are gone."""
        self.stack = [key for key in self.stack if key not in self.gone]
        self.gone.clear()


def stack_of(cache: Any) -> list[int]:
    """Keys are small numbers here, which are their own hashes."""
    return [node.key for node in cache._stack]


def hot(cache: Any) -> set[int]:
    return set(cache) - set(cache._cold)


def same(cache: Any, plain: PlainLIRS) -> None:
    assert hot(cache) == plain.hot
    assert list(cache._cold) == plain.cold
    assert stack_of(cache) == plain.stack
    assert list(cache._gone) == plain.gone


@settings(max_examples=300, deadline=None)
@given(capacity=st.integers(1, 200) | st.integers(1, 6), steps=STEPS)
def test_it_keeps_what_the_paper_keeps(capacity: int, steps: list[tuple[str, int]]) -> None:
    """Whatever is done to both, stack, hot, cold and gone keys and the victims are those of the plain algorithm."""
    cache: LIRSCache[int, tuple[int]] = LIRSCache(capacity)
    plain = PlainLIRS(capacity)
    for what, key in steps:
        cache = step(cache, plain, what, key)
        same(cache, plain)
        cache._check()


@pytest.mark.parametrize("seed", range(20))
def test_it_keeps_what_the_paper_keeps_in_the_long_run(seed: int) -> None:
    """On thousands of requests, for popular keys and in loops, hits and evictions are those of the plain algorithm."""
    dice = random.Random(seed)
    capacity = dice.choice((1, 2, 3, 7, 30, 120))
    cache: LIRSCache[int, tuple[int]] = LIRSCache(capacity)
    plain = PlainLIRS(capacity)
    for i in range(3000):
        key = dice.choice((int(dice.paretovariate(0.7)) % (5 * capacity), i % (2 * capacity)))
        cache = step(cache, plain, "delete" if dice.random() < 0.03 else "access", key)
        if i % 25 == 0:
            same(cache, plain)
    cache._check()


def test_a_loop_that_is_too_long_hits_for_the_part_that_fits() -> None:
    """Of a loop over twice as many keys as fit, nearly half are hits; under LRU none are."""
    cache: LIRSCache[int, int] = LIRSCache(100)
    lru: cachetools.LRUCache[int, int] = cachetools.LRUCache(100)
    hits = [0, 0]
    for _ in range(10):
        for key in range(200):
            for which, each in enumerate((cache, lru)):
                if key in each:
                    hits[which] += 1
                    each[key]
                else:
                    each[key] = key
    assert hits[0] >= 9 * 97
    assert hits[1] == 0


def test_fractions_as_weights() -> None:
    """Weights whose sums are not exact neither get it stuck nor leave more than the bound in it."""
    dice = random.Random(3)
    cache: LIRSCache[int, float] = LIRSCache(5, lambda value: value)
    for _ in range(5000):
        key = int(dice.paretovariate(0.8)) % 90
        if cache.get(key) is None:
            cache[key] = dice.choice((0.1, 0.2, 0.3, 0.7, 1.9, 4.1, 1e-9))
        elif dice.random() < 0.1:
            del cache[key]
        cache._check()


class Same:
    """A key of a hash that all share."""

    def __hash__(self) -> int:
        return 1


def test_keys_of_one_hash_are_only_remembered_as_one() -> None:
    """Keys of the same hash are kept apart in the cache; of gone ones the last is remembered."""
    cache: LIRSCache[Same, int] = LIRSCache(5)
    keys = [Same() for _ in range(30)]
    for key in keys * 3:
        if cache.get(key) is None:
            cache[key] = 1
        cache._check()
    assert len(cache) == 5
    assert len(cache._gone) <= 1
