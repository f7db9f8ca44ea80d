"""``@bounded`` and its clock, driven at random against a plain dictionary."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import cachetools
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from memo import EvictionReason, Registry, bounded
from memo._store.weights import weight
from memo.testing import FakeClock

KEYS = st.integers(0, 6)
SIZES = st.integers(0, 12)


@dataclass
class Item:
    """What the model knows of an entry."""

    value: tuple[int, int, int]  # key, version, size
    stored: float
    used: float
    hits: int = 0


def bytes_of(value: tuple[int, int, int]) -> int:
    """What the entry of *value* weighs: its key is the first item."""
    return weight(value[0], ()) + value[2] * 100


class Model(RuleBasedStateMachine):
    """Any policy: bounds hold, no value is wrong or stale, every value that leaves is told once, counters add up."""

    policy: Any = "adaptive"

    @initialize(
        bound=st.integers(1, 6),
        most_bytes=st.none() | st.integers(2, 8),
        ttl=st.none() | st.sampled_from([5, 20]),
        idle=st.none() | st.sampled_from([4, 10]),
    )
    def decorate(self, bound: int, most_bytes: int | None, ttl: float | None, idle: float | None) -> None:
        self.clock = FakeClock(0.0)
        self.now = 0.0
        self.bound, self.ttl, self.idle = bound, ttl, idle
        self.most_bytes = None if most_bytes is None else most_bytes * weight(1, ())
        self.model: OrderedDict[int, Item] = OrderedDict()  # what may be in the store, oldest first
        self.versions = dict.fromkeys(range(7), 0)
        self.sizes = dict.fromkeys(range(7), 1)
        self.failing = False
        self.told: list[tuple[int, Any, EvictionReason]] = []
        self.expected = {"hits": 0, "misses": 0, "loads": 0, "load_errors": 0, "refreshes": 0, "rejected": 0}
        self.stored = 0  # values that entered
        self.left = 0  # values that left, as on_evict was told
        options: dict[str, Any] = {}
        if most_bytes is not None:
            options.update(max_bytes=self.most_bytes, sizeof=lambda value: value[2] * 100)

        @bounded(
            max=bound,
            ttl=ttl,
            idle=idle,
            policy=self.policy,
            clock=self.clock,
            registry=Registry(),
            on_evict=lambda *what: self.told.append(what),
            **options,
        )
        def fetch(x: int) -> tuple[int, int, int]:
            if self.failing:
                raise LookupError(x)
            self.versions[x] += 1
            return (x, self.versions[x], self.sizes[x])

        self.fetch = fetch

    # -- the model

    def fresh(self, x: int) -> Item | None:
        """The entry that must answer, if the policy did not evict it."""
        item = self.model.get(x)
        if item is None:
            return None
        if self.ttl is not None and self.now >= item.stored + self.ttl:
            return None
        if self.idle is not None and self.now >= item.used + self.idle:
            return None
        return item

    def past_life(self, item: Item) -> bool:
        return (self.ttl is not None and self.now >= item.stored + self.ttl) or (
            self.idle is not None and self.now >= item.used + self.idle
        )

    def take_told(self, after: dict[EvictionReason, set[int]]) -> None:
        """Check what ``on_evict`` was told since, and take it out of the model.

        Args:
            after: The keys that may have left, by reason, besides those evicted for size and those expired.
        """
        told, self.told = self.told, []
        self.left += len(told)
        for key, value, reason in told:
            item = self.model.pop(key)
            assert value == item.value, "another value left than the one stored"
            if self.past_life(item):
                assert reason is EvictionReason.EXPIRED
            elif reason is not EvictionReason.SIZE:
                assert key in after.get(reason, set()), f"{key} left as {reason}"

    def fits(self, value: tuple[int, int, int]) -> bool:
        return self.most_bytes is None or bytes_of(value) <= self.most_bytes

    def enter(self, x: int, value: tuple[int, int, int]) -> None:
        """A value was loaded or put: it is in the store now, or was rejected and any older one is gone."""
        self.take_told({EvictionReason.REPLACED: {x}})
        assert x not in self.model, "an older value outlived a newer one"
        if self.fits(value):
            self.model[x] = Item(value, self.now, self.now)
            self.stored += 1
        else:
            self.expected["rejected"] += 1
        self.entered(x)

    def entered(self, x: int) -> None:
        """For models of a policy: check what was evicted."""

    def hit(self, x: int) -> None:
        """For models of a policy: note the use."""

    # -- rules

    @rule(x=KEYS, by_keyword=st.booleans())
    def call(self, x: int, by_keyword: bool) -> None:
        before, version = self.fresh(x), self.versions[x]
        self.now = self.clock()
        value = self.fetch(x=x) if by_keyword else self.fetch(x)
        if self.versions[x] == version:
            assert before is not None, "an expired or missing value was served"
            assert value == before.value
            before.used = self.now
            before.hits += 1
            self.expected["hits"] += 1
            self.hit(x)
        else:
            assert before is None, "a fresh entry was not served"
            assert value == (x, version + 1, self.sizes[x])
            self.expected["misses"] += 1
            self.expected["loads"] += 1
            self.enter(x, value)

    @rule(x=KEYS)
    def fail(self, x: int) -> None:
        before = self.fresh(x)
        self.failing = True
        try:
            value = self.fetch(x)
        except LookupError:
            assert before is None
            self.expected["misses"] += 1
            self.expected["load_errors"] += 1
        else:
            assert before is not None
            assert value == before.value
            before.used = self.now
            before.hits += 1
            self.expected["hits"] += 1
            self.hit(x)
        finally:
            self.failing = False

    @rule(x=KEYS)
    def refresh(self, x: int) -> None:
        value = self.fetch.cache.refresh(x)
        assert value == (x, self.versions[x], self.sizes[x])
        self.expected["loads"] += 1
        self.expected["refreshes"] += 1
        self.enter(x, value)

    @rule(x=KEYS)
    def put(self, x: int) -> None:
        self.versions[x] += 1
        value = (x, self.versions[x], self.sizes[x])
        self.fetch.cache.put(value, x)
        self.enter(x, value)

    @rule(x=KEYS, size=SIZES)
    def change_size(self, x: int, size: int) -> None:
        self.sizes[x] = size

    @rule(x=KEYS)
    def invalidate(self, x: int) -> None:
        alive = self.fresh(x) is not None
        assert self.fetch.cache.invalidate(x) is alive
        self.take_told({EvictionReason.INVALIDATED: {x}})
        assert x not in self.model

    @rule(chosen=st.sets(KEYS))
    def invalidate_where(self, chosen: set[int]) -> None:
        alive = {x for x in chosen if self.fresh(x) is not None}
        assert self.fetch.cache.invalidate_where(lambda key, value: key in chosen) == len(alive)
        self.take_told({EvictionReason.INVALIDATED: alive})
        assert not alive & set(self.model)

    @rule()
    def clear(self) -> None:
        alive = {x for x in self.model if self.fresh(x) is not None}
        assert self.fetch.cache.clear() == len(alive)
        self.take_told({EvictionReason.CLEARED: alive})
        assert not self.model

    @rule()
    def cleanup(self) -> None:
        dead = {x for x, item in self.model.items() if self.past_life(item)}
        assert self.fetch.cache.cleanup() == len(dead)
        self.take_told({})
        assert not dead & set(self.model)

    @rule(bound=st.integers(1, 8))
    def resize(self, bound: int) -> None:
        self.bound = bound
        self.fetch.cache.resize(max=bound)
        self.take_told({})

    @rule(span=st.sampled_from([0.5, 1, 3, 4, 5, 20]))
    def advance(self, span: float) -> None:
        self.clock.advance(span)
        self.now = self.clock()

    @rule(x=KEYS, short_by=st.sampled_from([0, 0, 0.25]), by_use=st.booleans())
    def call_at_the_end_of(self, x: int, short_by: float, by_use: bool) -> None:
        item = self.model.get(x)
        begin, span = (None, None) if item is None else (item.used, self.idle) if by_use else (item.stored, self.ttl)
        if begin is not None and span is not None and begin + span - short_by > self.now:
            self.advance(begin + span - short_by - self.now)
            self.call(x, False)

    # -- what holds after every rule

    @invariant()
    def the_store_is_whole(self) -> None:
        if hasattr(self, "fetch"):
            self.fetch.cache._check()

    @invariant()
    def bounds_hold(self) -> None:
        if not hasattr(self, "fetch"):
            return
        store = self.fetch.cache.store
        assert len(store) <= self.bound
        assert len(self.model) <= self.bound
        assert store.currsize <= store.maxsize
        if self.most_bytes is not None:
            assert store.currsize == sum(bytes_of(item.value) for item in self.model.values()) <= self.most_bytes

    @invariant()
    def it_shows_what_the_model_has(self) -> None:
        if not hasattr(self, "fetch"):
            return
        assert self.told == []
        assert set(self.fetch.cache.store) == set(self.model)
        alive = {x: item for x, item in self.model.items() if self.fresh(x) is not None}
        assert dict(self.fetch.cache.items()) == {x: item.value for x, item in alive.items()}
        assert len(self.fetch.cache) == self.fetch.cache.stats().size == len(self.model)
        for x in range(7):
            entry = self.fetch.cache.entry(x)
            if x not in alive:
                assert entry is None
            else:
                assert entry is not None
                assert (entry.value, entry.age, entry.hits) == (
                    alive[x].value,
                    self.now - alive[x].stored,
                    alive[x].hits,
                )

    @invariant()
    def counters_add_up(self) -> None:
        if not hasattr(self, "fetch"):
            return
        stats = self.fetch.cache.stats()
        assert {name: getattr(stats, name) for name in self.expected} == self.expected
        assert stats.size == len(self.model) == self.stored - self.left
        assert sum(stats.evictions.values()) == self.left
        assert stats.joins == stats.stale_hits == stats.error_hits == 0
        assert len(self.fetch.inflight) == 0


class ExactModel(Model):
    """A policy whose order is known: what was evicted was the first in that order, and no more than needed."""

    def enter(self, x: int, value: tuple[int, int, int]) -> None:
        order = list(self.model)
        replaced = x in self.model
        evicted = [key for key, _, reason in self.told if key != x]
        room = self.bound
        if self.fits(value):
            expected = order[: self.needed(order, x, value, room)] if not replaced else None
            if expected is not None:
                assert evicted == expected
            else:
                assert set(evicted) <= set(order)
        else:
            assert evicted == []
        super().enter(x, value)

    def needed(self, order: list[int], x: int, value: tuple[int, int, int], room: int) -> int:
        """How many of *order* have to go, so that *value* has room."""
        count = max(0, len(order) + 1 - room)
        if self.most_bytes is not None:
            total = sum(bytes_of(self.model[key].value) for key in order[count:])
            while total + bytes_of(value) > self.most_bytes:
                total -= bytes_of(self.model[order[count]].value)
                count += 1
        return count


class LRUModel(ExactModel):
    """Evicts what was used longest ago."""

    policy = "lru"

    def hit(self, x: int) -> None:
        self.model.move_to_end(x)


class FIFOModel(ExactModel):
    """Evicts what came first; a new value of an old key comes anew, as in cachetools."""

    policy = "fifo"


class LFUModel(Model):
    """Bounds and truth under ``lfu``."""

    policy = "lfu"


class RandomModel(Model):
    """Bounds and truth under ``random``."""

    policy = "random"


class S3FIFOModel(Model):
    """Bounds and truth under ``s3fifo``."""

    policy = "s3fifo"


class OwnModel(Model):
    """Bounds and truth under a policy of the user's own."""

    policy = type("Own", (cachetools.LRUCache,), {})


STEPS = settings(max_examples=120, stateful_step_count=40, deadline=None)

TestS3FIFO = S3FIFOModel.TestCase
TestLRU = LRUModel.TestCase
TestFIFO = FIFOModel.TestCase
TestLFU = LFUModel.TestCase
TestRandom = RandomModel.TestCase
TestAdaptive = Model.TestCase
TestOwn = OwnModel.TestCase
TestS3FIFO.settings = TestLRU.settings = TestFIFO.settings = STEPS
TestLFU.settings = TestAdaptive.settings = TestRandom.settings = TestOwn.settings = STEPS
