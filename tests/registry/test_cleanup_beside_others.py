"""Clean-ups while others change the store, and beside locks, user code and the interpreter."""

import random
import sys
import threading
import weakref
from collections.abc import Hashable, Iterator
from typing import Any

import cachetools
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from kit.cleanups import TTL, Value, every_policy, store_of
from kit.own_policies import POLICIES

from memo import EvictionReason, Registry, bounded
from memo._store.entries import Entry
from memo._store.entry_adaptive import EntryAdaptive
from memo._store.entry_s3fifo import EntryS3FIFO
from memo._store.shelf import SLICE
from memo._store.store import Store
from memo._store.walks import QueueWalk, RingWalk
from memo.testing import FakeClock


def make_entry(deadline: float) -> Any:
    entry: Any = Entry()
    entry.value, entry.hits, entry.stored, entry.deadline = object(), 0, 0.0, deadline
    return entry


def fill(store: Store, keys: Any, deadline: float) -> None:
    for key in keys:
        store.change(store.put, key, make_entry(deadline), 0.0)


def expired(slices: Iterator[Any]) -> set[Hashable]:
    return {key for gone in slices for key, _, _ in gone}


# -- while others change the store


@every_policy
def test_what_stays_is_met_whatever_else_comes_and_goes(policy: Any) -> None:
    """Entries that are there from beginning to end are all met, though between slices others leave and come."""
    dice = random.Random(7)
    for seed in range(10):
        dice.seed(seed)
        size = dice.choice([SLICE, 3 * SLICE, 10 * SLICE])
        store = Store("test", 2 * size, None, POLICIES.get(policy, policy))
        fill(store, range(size), 1.0)
        must_go = set(store.index)
        came = size
        met: set[Hashable] = set()
        left: set[Hashable] = set()
        for gone in store.expire(1.0):
            met |= {key for key, _, _ in gone}
            for key in dice.sample(sorted(must_go - met - left), min(8, len(must_go - met - left))):
                if dice.random() < 0.5:
                    store.change(store.drop, key, EvictionReason.INVALIDATED, 0.0)
                else:
                    store.change(store.put, key, make_entry(9.0), 0.0)  # loaded again
                left.add(key)
            fill(store, range(came, came + 5), 9.0)
            came += 5
            store._check()
        assert must_go - left <= met
        assert met & left == set()


def test_s3_fifo_may_promote_and_turn_its_queues_meanwhile() -> None:
    """Evictions move entries on and around between slices; what is past its life and stays is met all the same."""
    for seed in range(20):
        dice = random.Random(seed)
        size = 6 * SLICE
        store = Store("test", size, None, EntryS3FIFO)
        fill(store, range(size), 1.0)
        fill(store, range(size, 2 * size), 1.0)
        for entry in store.index.values():
            entry.hits += dice.randrange(4)  # so that most get another round, or move to the main queue
        must_go = set(store.index)
        came = 3 * size
        evicted: set[Hashable] = set()
        met: set[Hashable] = set()
        for gone in store.expire(1.0):
            met |= {key for key, _, _ in gone}
            before = set(store.index)
            most = max(1, len(store.index))  # so that each one that comes evicts one
            store.change(store.resize, most, None, 0.0)
            fill(store, range(came, came + dice.randrange(60)), 9.0)
            came += 60
            evicted |= before - set(store.index)
            store._check()
        assert must_go - evicted <= met
        assert not {key for key in store.index if store.past_life(store.index[key], 1.0)}


@every_policy
def test_a_walk_ends_under_changes_without_end(policy: Any) -> None:
    """For each slice that is looked at more entries come than it holds, and the clean-up ends nonetheless."""
    store = Store("test", 1_000_000, None, POLICIES.get(policy, policy))
    fill(store, range(3 * SLICE), 9.0)
    came = 3 * SLICE
    for slices, gone in enumerate(store.expire(1.0)):
        assert gone == []
        assert slices < 20
        fill(store, range(came, came + 2 * SLICE), 9.0)
        came += 2 * SLICE
    store._check()


@every_policy
def test_clearing_and_resizing_meanwhile(policy: Any) -> None:
    """A store that is cleared or made smaller between two slices is cleaned up no further than it goes."""
    for change in (
        lambda store: store.change(store.clear, EvictionReason.CLEARED, 0.0),
        lambda store: store.change(store.resize, 3, None, 0.0),
    ):
        store = Store("test", 10 * SLICE, None, POLICIES.get(policy, policy))
        fill(store, range(5 * SLICE), 1.0)
        slices = store.expire(1.0)
        first = expired(iter([next(slices)]))
        assert len(first) == SLICE
        change(store)
        held = set(store.index)
        assert expired(slices) == held
        store._check()
        fill(store, range(1, 7), 1.0)
        held = set(store.index)
        assert len(held) >= 3
        assert expired(store.expire(1.0)) == held


@every_policy
def test_a_walk_that_is_given_up_leaves_no_trace(policy: Any) -> None:
    """Closing a clean-up midway, or beginning another one inside it, keeps the store whole."""
    store = Store("test", 10 * SLICE, None, POLICIES.get(policy, policy))
    fill(store, range(5 * SLICE), 1.0)
    size = len(store.index)
    one, two = store.expire(1.0), store.expire(1.0)
    went = len(next(one)) + len(next(two))
    assert SLICE <= went <= 2 * SLICE
    assert len(store.index) == size - went
    one.close()
    store._check()
    assert len(expired(two)) == size - went
    assert len(store.index) == 0
    store._check()


class Walks(RuleBasedStateMachine):
    """Two walks at once through a ring that others change: everything that stays is met, once by each."""

    policy: Any = cachetools.LRUCache

    def __init__(self) -> None:
        super().__init__()
        self.store = Store("test", 1000, None, self.policy)
        self.walks: list[tuple[Any, set[Hashable], set[Hashable]]] = []
        self.came = 0

    @rule(count=st.integers(1, 6))
    def put(self, count: int) -> None:
        fill(self.store, range(self.came, self.came + count), 9.0)
        self.came += count

    @rule(data=st.data())
    @precondition(lambda self: self.store.index)
    def drop(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.store.index)))
        self.store.change(self.store.drop, key, EvictionReason.INVALIDATED, 0.0)
        for _, owed, _ in self.walks:
            owed.discard(key)

    @rule(data=st.data())
    @precondition(lambda self: self.store.index)
    def load_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.store.index)))
        fill(self.store, [key], 9.0)
        for _, owed, _ in self.walks:
            owed.discard(key)

    @rule()
    @precondition(lambda self: len(self.walks) < 2)
    def begin(self) -> None:
        self.walks.append((self.store._sweep(1.0).walk(), set(self.store.index), set()))

    @rule(data=st.data(), most=st.integers(1, 5))
    @precondition(lambda self: self.walks)
    def step(self, data: st.DataObject, most: int) -> None:
        one = data.draw(st.sampled_from(self.walks))
        walk, owed, met = one
        spent: list[Any] = []
        found = {entry.key for entry in walk.step(most, spent)}
        assert len(found) <= most
        assert found <= set(self.store.index)
        met |= found
        if walk.over:
            assert owed <= met
            self.walks.remove(one)

    @rule()
    @precondition(lambda self: self.walks)
    def close(self) -> None:
        self.walks.pop()[0].close()

    @invariant()
    def whole(self) -> None:
        self.store._check()


class QueueWalks(Walks):
    policy: Any = EntryS3FIFO

    @rule(data=st.data(), hits=st.integers(1, 4))
    @precondition(lambda self: self.store.index)
    def hit(self, data: st.DataObject, hits: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.store.index)))
        self.store.index[key].hits += hits


class AdaptiveWalks(QueueWalks):
    policy = EntryAdaptive


TestWalks = Walks.TestCase

TestQueueWalks = QueueWalks.TestCase

TestAdaptiveWalks = AdaptiveWalks.TestCase

for walks in (TestWalks, TestQueueWalks, TestAdaptiveWalks):
    walks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_which_walk_suits_which_store() -> None:
    """Of a policy with two queues these are walked; of other policies the ring."""
    for policy, kind in ((EntryAdaptive, QueueWalk), (EntryS3FIFO, QueueWalk), (cachetools.LRUCache, RingWalk)):
        store = Store("test", 10, None, policy)
        fill(store, range(3), 9.0)
        assert type(store._sweep(1.0).walk()) is kind


# -- locks, user code and the interpreter


@every_policy
def test_the_lock_is_free_between_slices(policy: Any) -> None:
    """While ``on_evict`` hears of a slice another thread can take the lock, and change the store."""
    clock = FakeClock()
    taken: list[bool] = []

    def elsewhere(key: int, value: int, reason: EvictionReason) -> None:
        def take() -> None:
            lock = store_of(fetch).lock
            taken.append(lock.acquire(blocking=False))
            if taken[-1]:
                lock.release()

        if reason is EvictionReason.EXPIRED and key % SLICE == 1:
            thread = threading.Thread(target=take)
            thread.start()
            thread.join(20)

    @bounded(max=8 * SLICE, ttl=TTL, policy=policy, clock=clock, on_evict=elsewhere)
    def fetch(x: int) -> int:
        return x

    for x in range(3 * SLICE):
        fetch(x)
    clock.advance(TTL)
    fetch.cache.cleanup()
    assert taken == [True] * 3


@every_policy
def test_values_die_slice_by_slice_and_outside_the_lock(policy: Any) -> None:
    """What leaves is let go of before the next slice, with the lock free, so that finalizers may do what they like."""
    clock = FakeClock()
    owned: list[bool] = []
    alive: list[int] = []
    values: weakref.WeakSet[Value] = weakref.WeakSet()

    @bounded(max=8 * SLICE, ttl=TTL, policy=policy, clock=clock)
    def fetch(x: int) -> Value:
        value = Value(lambda: owned.append(store_of(fetch).lock._is_owned()))  # type: ignore[attr-defined]
        values.add(value)
        return value

    for x in range(4 * SLICE):
        fetch(x)
    held = len(values)
    owned.clear()
    clock.advance(TTL)
    gone = 0
    for count in fetch.cache._cache.expire_entries():
        gone += count
        alive.append(len(values))
        assert alive[-1] == held - gone, "a slice's values outlive it"
    assert len(alive) >= 4
    assert gone == held
    assert owned == [False] * held


@every_policy
def test_what_others_take_out_does_not_die_under_the_lock(policy: Any) -> None:
    """A walk that remembers an entry which leaves meanwhile lets go of it outside the lock."""
    owned: list[bool] = []
    store = Store("test", 10 * SLICE, None, POLICIES.get(policy, policy))
    for key in range(4 * SLICE):
        entry = make_entry(9.0)
        entry.value = Value(lambda: owned.append(store.lock._is_owned()))  # type: ignore[attr-defined]
        store.change(store.put, key, entry, 0.0)
        del entry
    owned.clear()
    size = len(store.index)
    slices = store.expire(1.0)
    next(slices)
    store.change(store.clear, EvictionReason.CLEARED, 0.0)
    for gone in slices:
        assert gone == []
    assert owned == [False] * size


def test_a_clean_up_inside_a_change_does_nothing() -> None:
    """A finalizer that the collector runs in the middle of a change cannot clean up that store, and does not hang."""
    store = Store("test", 10 * SLICE, None, EntryS3FIFO)
    fill(store, range(3), 1.0)
    inner: list[set[Hashable]] = []
    store.change(lambda gone: inner.append(expired(store.expire(1.0))))
    assert inner == [set()]
    assert expired(store.expire(1.0)) == {0, 1, 2}


def test_a_callback_may_clean_up_and_clear() -> None:
    """``on_evict`` may call back into the store that is being cleaned up."""
    clock = FakeClock()
    told: list[int] = []

    def on_evict(key: int, value: int, reason: EvictionReason) -> None:
        told.append(key)
        if len(told) == 1:
            fetch.cache.cleanup()
            fetch.cache.clear()

    @bounded(max=8 * SLICE, ttl=TTL, clock=clock, on_evict=on_evict)
    def fetch(x: int) -> int:
        return x

    for x in range(3 * SLICE):
        fetch(x)
    clock.advance(TTL)
    fetch.cache.cleanup()
    assert sorted(told) == list(range(3 * SLICE))


def test_hits_and_loads_go_on_meanwhile() -> None:
    """Threads that hit and load while others clean up see right values, and the store stays whole."""
    clock = FakeClock()
    own = Registry()
    functions: list[Any] = []
    for policy in POLICIES:

        @bounded(max=20 * SLICE, ttl=TTL, policy=policy, clock=clock, registry=own, name=policy)
        def fetch(x: int) -> list[int]:
            return [x]

        functions.append(fetch)
    wrong: list[object] = []
    over = threading.Event()

    def use(seed: int) -> None:
        dice = random.Random(seed)
        try:
            while not over.is_set():
                for function in functions:
                    x = dice.randrange(15 * SLICE)
                    if function(x) != [x]:
                        wrong.append(x)
        except BaseException as error:
            wrong.append(error)

    interval = sys.getswitchinterval()
    threads = [threading.Thread(target=use, args=(seed,), daemon=True) for seed in range(2)]
    for function in functions:
        for x in range(10 * SLICE):
            function(x)
    try:
        sys.setswitchinterval(1e-5)
        for thread in threads:
            thread.start()
        for _ in range(6):
            clock.advance(TTL)
            own.cleanup()
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
        sys.setswitchinterval(interval)
    assert wrong == []
    clock.advance(TTL)
    own.cleanup()
    for function in functions:
        store_of(function)._check()
        assert len(store_of(function).index) == 0
