"""Hits move entries without a lock: whatever else goes on in the store meanwhile, its order stays whole and right."""

import collections
from collections.abc import Callable
from typing import Any

import cachetools
import pytest
from kit.calls_between import at_every_call, interrupted

from memo import Registry, bounded
from memo._store.frequency import _Count
from memo._store.walks import RingWalk

__all__ = ()

IN_STORES = ("/_store/frequency.py", "/_store/orders.py", "/_store/entry_policy.py", "/_store/own_shelf.py",
             "/_store/changes.py", "/_store/walks.py")  # fmt: skip
moving = pytest.mark.parametrize("policy", ["lru", "lfu"])


def make(policy: str, most: int = 6, **options: Any) -> Any:
    return bounded(max=most, policy=policy, registry=Registry(), **options)(lambda x: x)


def hits(f: Any, *keys: int) -> None:
    for key in keys:
        f(key)


USES = (*range(6), 3, 2, 2, *(4, 5) * 4)
"""Once: 0 and 1; twice: 3; three times: 2; five times: 4 and 5."""
OPERATIONS: dict[str, Callable[[Any], object]] = {
    "a miss that evicts": lambda f: f(100),
    "a put that evicts": lambda f: f.cache.put(1, 100),
    "a put over another": lambda f: f.cache.put(1, 5),
    "a hit on one that is not alone": lambda f: f(5),
    "a hit on the last of its count": lambda f: f(3),
    "invalidation": lambda f: f.cache.invalidate(4),
    "a clean-up": lambda f: f.cache.cleanup(),
    "a smaller bound": lambda f: f.cache.resize(max=3),
}


@moving
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize("after", [(3, 4, 5), (5, 5, 3, 2, 4, 4, 4, 0)], ids=str)
def test_hits_wherever_an_operation_calls_something(
    policy: str, operation: Callable[[Any], object], after: tuple[int, ...]
) -> None:
    """Hits of others between any two calls of an operation leave marks, ring and index whole."""

    def trial(at: int) -> bool:
        f = make(policy)
        hits(f, *USES)
        here = set(f.cache)
        got_there = interrupted(lambda: operation(f), at, lambda: hits(f, *filter(here.__contains__, after)), IN_STORES)
        f.cache._check()
        hits(f, *f.cache, 200, 201)
        f.cache._check()
        return got_there

    assert at_every_call(trial) > 5 or policy == "lru"


@pytest.mark.parametrize("used", [3, 5])
def test_each_use_counts_once(used: int) -> None:
    """However uses come together, an entry hangs behind the mark of as many as it had."""

    def trial(at: int) -> bool:
        f = make("lfu")
        hits(f, *USES)
        nodes = f.cache.store.nodes
        uses = collections.Counter(USES) + collections.Counter([used])

        def others() -> None:
            for key in range(6):
                before = nodes[key].mark.hits
                f(key)  # what cannot be done without the lock is not done: this thread has it
                uses[key] += nodes[key].mark.hits - before

        got_there = interrupted(lambda: f(used), at, others, IN_STORES)
        assert {key: entry.mark.hits for key, entry in nodes.items()} == uses
        f.cache._check()
        return got_there

    assert at_every_call(trial) > 5


@moving
@pytest.mark.parametrize("most", [1, 3, 100])
def test_a_walk_meets_what_stays_though_hits_move_it(policy: str, most: int) -> None:
    """Wherever a walk calls something, hits may take any entry to another place: each is met all the same."""

    def trial(at: int) -> bool:
        f = make(policy)
        hits(f, *range(6), 3, 4, 4)
        met: set[int] = set()

        def walk() -> None:
            walk = RingWalk(f.cache.store.ring, 6)
            while not walk.over:
                met.update(entry.key for entry in walk.step(most, []))

        got_there = interrupted(walk, at, lambda: hits(f, *range(6)), IN_STORES)
        assert met == set(range(6))
        f.cache._check()
        return got_there

    assert at_every_call(trial) > 3


@pytest.mark.parametrize("each", range(1, 40, 3))
def test_under_lfu_hits_among_walks_are_those_of_cachetools(each: int) -> None:
    """Markers of walks anywhere in the ring change nothing of what is evicted, and few marks are left behind."""
    ran: list[int] = []
    ran_there: list[int] = []
    ours: Any = bounded(max=5, policy="lfu", registry=Registry())(ran.append)
    theirs = cachetools.cached(cachetools.LFUCache(5), key=lambda x: x)(ran_there.append)
    walks: list[RingWalk] = []
    for step in range(400):
        if step % each == 0:
            walks.append(RingWalk(ours.cache.store.ring, 5))
        for walk in walks:
            walk.step(1, [])
        walks = [walk for walk in walks if not walk.over]
        for function in (ours, theirs):
            function(step * step % (7 + step % 3))
        assert ran == ran_there
    ours.cache._check()
    assert sum(type(node) is _Count for node in ours.cache.store.ring) <= 2 * 5 + 1


def test_marks_that_walks_left_behind_go() -> None:
    """Marks without entries, which hits leave where a walk has its marker, are taken out as new ones come in."""
    f = make("lfu", 4)
    hits(f, 0, 1, 2, 3, 1, 1)
    ring = f.cache.store.ring
    most = 0
    for _ in range(200):
        walk = RingWalk(ring, 4)
        for _ in range(4):
            walk.step(1, [])
            hits(f, 0, 1)
        walk.close()
        most = max(most, sum(type(node) is _Count for node in ring))
    assert most <= 12
    f.cache._check()
