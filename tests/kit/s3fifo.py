"""A model of S3-FIFO, and what its tests share."""

import copy
import itertools
import pickle
from collections.abc import Hashable
from typing import Any

import cachetools
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from memo._rings import Ghost
from memo._store.entries import Entry
from memo._store.entry_s3fifo import EntryS3FIFO
from memo.policies import S3FIFOCache

__all__ = (
    "KEYS",
    "SIZES",
    "Comparison",
    "Copied",
    "Entries",
    "ExactGhost",
    "Key",
    "Model",
    "Weighed",
    "WeighedEntries",
    "WeighedEntry",
    "entry_weight",
    "make_entry",
    "weight",
)

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

    def add(self, key: Hashable, capacity: int, stamp: int = 0) -> None:
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
        for steps in itertools.count():
            main_size = sum(row[2] for row in self.main)
            if not self.small or main_size > self.maxsize - self.small_share:
                row = self.main.pop(0)
                if row[3] == 0 or steps >= 64:
                    return row[0], row[1]
                row[3] -= 1
                self.main.append(row)
            else:
                row = self.small.pop(0)
                if row[3] < 2 or steps >= 64:
                    self.ghost.add(row[0], 1)
                    return row[0], row[1]
                row[3] = 0
                self.main.append(row)
        raise AssertionError

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
        made: Any = EntryS3FIFO(maxsize, entry_weight if self.weighed else None)
        made.kind = 0  # an exact ghost is one of Python; what C decides is compared with Python elsewhere
        return made

    def value(self, size: int) -> Any:
        self.made += 1
        return make_entry(self.made, size if self.weighed else None)

    @invariant()
    def entries_are_the_nodes(self) -> None:
        for key, entry in self.cache.nodes.items():
            assert self.stored(key) is entry


class WeighedEntries(Entries):
    weighed = True


class Key:
    """A key that can be watched, and whose hash is its own."""
