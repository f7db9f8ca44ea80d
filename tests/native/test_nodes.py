"""Nodes and entries made in C: attributes as in Python, and what the garbage collector is told of them."""

import copy
import gc
import io
import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.own_policies import POLICIES

from memo import bounded
from memo._native import speed
from memo._rings import StoreMark, StoreNode, StoreQueue
from memo._store import Entry, TrackedEntry
from memo._store.entries import IdleEntry, LoopEntry, RichEntry, WeighedEntry

__all__ = ()

pytestmark = pytest.mark.skipif(speed is None, reason="these are about the nodes made in C")

KINDS = (Entry, TrackedEntry, IdleEntry, WeighedEntry, RichEntry, LoopEntry)


class Value:
    """Something that can be watched."""

    held: Any


def entry_of(function: Any, key: Any = 1) -> Any:
    return function.cache._cache.store.index[key]


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_are_read_as_they_were_written(kind: type[Any]) -> None:
    """Each attribute is missing, or zero, until it is written, and then what was written."""
    entry = kind()
    for name in ("key", "value", "mark", "time", "older", "newer"):
        with pytest.raises(AttributeError, match=name):
            getattr(entry, name)
    assert (entry.hits, entry.counted, entry.deadline, entry.stored) == (0, 0, 0.0, 0.0)
    other = StoreNode()
    written = {"key": "k", "value": [1], "hits": 7, "counted": 5, "mark": -9, "time": 12, "older": other}
    written |= {"newer": other, "deadline": 1.25, "stored": 3, "hits": 1 << 40, "mark": (1 << 53) - 1}
    for name, value in written.items():
        setattr(entry, name, value)
    assert {name: getattr(entry, name) for name in written} == written
    entry.mark = mark = [1]
    assert entry.mark is mark
    for name in ("older", "newer", "mark", "key", "value"):
        delattr(entry, name)
        with pytest.raises(AttributeError, match=name):
            delattr(entry, name)


def test_counts_are_exact_beyond_what_their_fields_hold_apart() -> None:
    """What was counted is told from 48 bits of hits, however few bits of it are kept."""
    entry: Any = Entry()
    for hits, counted in ((1 << 47, (1 << 47) - 5), ((1 << 41) + 3, 1 << 41), (0, 0), ((1 << 48) - 1, (1 << 48) - 1)):
        entry.hits, entry.counted = hits, counted
        assert (entry.hits, entry.counted) == (hits, counted)


def test_what_does_not_fit_is_refused() -> None:
    """A wrong kind of link or count is an error, and changes nothing."""
    entry: Any = Entry()
    with pytest.raises(TypeError, match="linked to nodes, not to 'int'"):
        entry.newer = 3
    with pytest.raises(OverflowError, match="hits"):
        entry.hits = 1 << 48
    with pytest.raises(OverflowError, match="hits"):
        entry.hits = -1
    with pytest.raises(OverflowError, match="mark"):
        entry.mark = 1 << 53
    with pytest.raises(TypeError):
        entry.deadline = "soon"
    assert (entry.hits, hasattr(entry, "mark"), hasattr(entry, "newer")) == (0, False, False)


def test_a_node_that_dies_leaves_its_ring() -> None:
    """Links own nothing: what nobody holds is gone, and its neighbours are linked to each other."""
    queue = StoreQueue()
    nodes = [StoreNode() for _ in range(5)]
    for name, node in enumerate(nodes):
        node.key = name
        queue.append(node)
    del node, nodes[2]
    assert [one.key for one in queue] == [0, 1, 3, 4]
    del nodes[3], nodes[0]
    assert [one.key for one in queue] == [1, 3]
    del queue
    assert nodes[0].newer is nodes[1]
    nodes.clear()


def test_a_link_to_a_dead_node_is_no_danger() -> None:
    """What a torn ring still links to lives on, empty, until the last link goes."""
    held = Value()
    watch = weakref.ref(held)
    first, second, third = (StoreNode() for _ in range(3))
    first.newer = second
    third.older = second
    second.key = held
    del held, second
    assert watch() is None
    assert not hasattr(first.newer, "key")
    first.newer = third
    third.older = first
    assert first.newer is third
    ring = StoreQueue()
    last: Any = ring
    for _ in range(100_000):  # a chain of any length goes without recursion
        node = StoreNode()
        node.older = last
        last.newer = node
        last = node
    del node, last, ring


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("key", [1, "k", (1, 2)])
def test_a_closure_held_by_its_own_value_dies(policy: str, key: Any) -> None:
    """A cycle through a stored value is garbage like any other, under every policy."""

    def make() -> Any:
        @bounded(max=8, policy=policy)
        def fetch(key: Any) -> Value:
            value = Value()
            value.held = fetch
            return value

        for one in (key, *range(20)):
            fetch(one)
        return weakref.ref(fetch(key)), weakref.ref(fetch.cache._cache.store)

    watches = make()
    gc.collect()
    assert [watch() for watch in watches] == [None, None]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_class_held_by_the_values_of_its_method_dies(policy: str) -> None:
    """Entries that an instance's table holds too are visited as well."""

    def make() -> Any:
        class Service:
            @bounded(max=8, policy=policy)
            def fetch(self, key: int) -> Value:
                value = Value()
                value.held = self
                return value

        service = Service()
        return weakref.ref(service.fetch(1)), weakref.ref(Service), weakref.ref(service)

    watches = make()
    gc.collect()
    gc.collect()  # the instance's table goes with the instance
    assert [watch() for watch in watches] == [None, None, None]


@pytest.mark.parametrize("kind", [list, dict, lambda: ([1],), Value])
def test_an_entry_in_a_hand_keeps_its_value(kind: Callable[[], Any]) -> None:
    """A collection of its store leaves alone what somebody holds by the entry."""

    def make() -> Any:
        held: list[Any] = []

        @bounded(max=8)
        def fetch(key: int) -> Any:
            return kind(), held  # a cycle

        held.append(fetch)
        for x in range(5):
            fetch(x)
        return entry_of(fetch), weakref.ref(fetch.cache._cache.store)

    entry, store = make()
    value = repr(entry.value[0])
    gc.collect()
    assert repr(entry.value[0]) == value
    assert entry.value[1][0](1) is entry.value, "the function has lost something that it needs"
    assert store() is not None
    del entry
    gc.collect()
    assert store() is None


def test_values_in_use_survive_collections() -> None:
    """What a living store holds is not garbage, however often it is looked for."""

    @bounded(max=50)
    def fetch(key: int) -> list[Any]:
        return [[key], Value()]

    for x in range(200):
        fetch(x)
        if not x % 40:
            gc.collect()
    for entry in fetch.cache._cache.store.snapshot():
        assert entry.value[0] == [entry.key]


def test_what_holds_nothing_is_not_visited() -> None:
    """Of entries with keys and values that the collector does not know none is counted, once tuples were looked at."""
    before = speed.visited_for()

    @bounded(max=50)
    def fetch(a: int, b: int) -> tuple[int, str]:
        return a, str(b)

    for x in range(50):
        fetch(x, x)
    assert speed.visited_for() == before + 50
    gc.collect()
    gc.collect()  # the first one finds that the tuples hold nothing
    assert speed.visited_for() == before


@pytest.mark.parametrize("kind", KINDS)
def test_copies_and_pickles_have_what_is_set(kind: type[Any]) -> None:
    """All but links, places and loops; what is not set is not set in the copy."""
    entry = kind()
    entry.key, entry.value, entry.hits, entry.mark, entry.time = "k", ["v"], 3, 5, 7
    entry.newer = entry.older = other = StoreNode()
    for copied in (copy.copy(entry), pickle.loads(pickle.dumps(entry)), copy.deepcopy(entry)):
        assert type(copied) is kind
        assert (copied.key, copied.value, copied.hits, copied.mark, copied.time) == ("k", ["v"], 3, 5, 7)
        assert not hasattr(copied, "newer")
    entry.mark = StoreMark()
    assert not hasattr(copy.copy(entry), "mark")
    del other


FILL = """
import pickle, sys
from kit.own_policies import POLICIES
from memo._store.entries import Entry
for name, kind in POLICIES.items():
    cache = kind(20)
    for x in range(100):
        entry = Entry()
        entry.value, entry.deadline, entry.stored, entry.hits, entry.counted = str(x), 10.5, 0.5, 0, 0
        cache[x] = entry
        cache[x // 2] if x // 2 in cache else None
    pickle.dump(cache, sys.stdout.buffer)
"""


def written(pure: str) -> io.BytesIO:
    """Pickles of a cache of every policy, from a process of its own."""
    env = {**os.environ, "MEMO_PURE": pure, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "1"}
    return io.BytesIO(subprocess.run([sys.executable, "-c", FILL], check=True, env=env, capture_output=True).stdout)


def order_of(cache: Any) -> list[Any]:
    """All that says what goes next; the mark of LFU is a place, which its rank tells."""
    return [
        (rank, e.key, e.value, e.hits, e.deadline, str(getattr(e, "mark", 0)).partition(" object")[0])
        for rank, lot in cache._order()
        for e in lot
    ]


def test_a_pickle_of_one_path_is_read_by_the_other() -> None:
    """Entries in their order, with what they were hit, whichever path wrote them."""
    in_python, in_c = written("1"), written("0")
    for name in POLICIES:
        one, other = pickle.load(in_python), pickle.load(in_c)
        one._check()
        assert name == "random" or order_of(one) == order_of(other)
