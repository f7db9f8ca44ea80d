"""Bounds are changed, and what dead instances had leaves, a slice at a time, whatever others do in between."""

import itertools
import threading
import weakref
from collections import Counter
from typing import Any

import pytest
from kit.large import all_large
from kit.own_policies import POLICIES

from memo import EvictionReason, Registry, bounded
from memo._base import pacing
from memo._store.shelf import Shelf
from memo.testing import isolated

__all__ = ()

SIZE = 4

every_policy = pytest.mark.parametrize("policy", POLICIES)


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of more than four entries are large, and slices have four."""
    all_large(monkeypatch, SIZE)


class Resting:
    """Does something at each rest of what goes on in slices."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.rests = 0
        self.act: Any = None
        patch.setattr(pacing.Pace, "rest", self.rest)

    def rest(self, *pace: object) -> None:
        self.rests += 1
        act, self.act = self.act, None  # what it does may rest, too
        if act is not None:
            act(self.rests)
            self.act = act


@pytest.fixture
def resting(monkeypatch: pytest.MonkeyPatch, nothing_collected: None) -> Resting:
    """Rests are those of the test: stores that others left are not collected, and freed bit by bit, meanwhile."""
    return Resting(monkeypatch)


def make(**options: Any) -> Any:
    @bounded(**{"max": 100, "registry": Registry(), **options})
    def fetch(x: int) -> int:
        return -x

    return fetch


# -- bounds


@every_policy
def test_a_store_shrinks_in_slices(policy: str, resting: Resting) -> None:
    """Between slices the bound is what is there, calls store and evict, and at the end it is what was asked for."""
    told: Counter[EvictionReason] = Counter()
    fetch = make(policy=policy, on_evict=lambda key, value, reason: told.update([reason]))
    for x in range(100):
        fetch(x)
    sizes = []

    def look(rests: int) -> None:
        fetch(1_000 + rests)
        stats = fetch.cache.stats()
        assert stats.size == stats.max == len(fetch.cache)
        sizes.append(stats.size)
        fetch.cache._check()

    resting.act = look
    fetch.cache.resize(max=30)
    resting.act = None
    assert sizes == list(range(96, 30, -SIZE))
    assert (len(fetch.cache), fetch.cache.stats().max) == (30, 30)
    assert told == {EvictionReason.SIZE: 70 + len(sizes)}
    fetch.cache._check()
    fetch.cache.resize(max=200)
    for x in range(300):
        fetch(x)
    assert len(fetch.cache) == 200


def test_a_store_that_counts_bytes_shrinks_in_slices(resting: Resting) -> None:
    """Its bound in bytes is what is there as long as it is being lowered, and nothing that comes exceeds it."""
    fetch = make(max=None, max_bytes=1_000_000, sizeof=lambda value: 1_000)
    for x in range(100):
        fetch(x)
    half = fetch.cache.stats().bytes // 2
    most = []

    def look(rests: int) -> None:
        fetch(1_000 + rests)
        stats = fetch.cache.stats()
        assert stats.bytes <= stats.max_bytes
        most.append(stats.max_bytes)
        fetch.cache._check()

    resting.act = look
    fetch.cache.resize(max_bytes=half)
    assert most == sorted(most, reverse=True)
    assert len(most) > 10
    assert fetch.cache.stats().max_bytes == half
    assert fetch.cache.stats().bytes <= half


def test_the_last_change_of_the_bounds_wins(resting: Resting) -> None:
    """One that others make between two slices ends the one that is under way."""
    fetch = make()
    for x in range(100):
        fetch(x)

    def grow(rests: int) -> None:
        if rests == 5:
            fetch.cache.resize(max=500)

    resting.act = grow
    fetch.cache.resize(max=10)
    assert fetch.cache.stats().max == 500
    assert len(fetch.cache) == 80
    fetch.cache._check()


def test_cut_short_it_leaves_the_bounds_of_before(resting: Resting) -> None:
    """An exception that strikes between two slices leaves out what was evicted, and the bounds as they were."""
    for bounds in ({"max": 100}, {"max": None, "max_bytes": 10_000_000}):
        fetch = make(**bounds)
        for x in range(100):
            fetch(x)
        before = fetch.cache.stats()

        def strike(rests: int) -> None:
            raise KeyboardInterrupt

        resting.act = strike
        with pytest.raises(KeyboardInterrupt):
            fetch.cache.resize(max=10)
        resting.act = None
        after = fetch.cache.stats()
        assert (after.max, after.max_bytes, after.size) == (before.max, before.max_bytes, 96)
        for x in range(200, 300):
            fetch(x)
        assert len(fetch.cache) == (100 if before.max else 196)
        fetch.cache._check()


def test_an_isolation_in_between_ends_it(resting: Resting) -> None:
    """What is held instead keeps its bounds, and what comes back is whole."""
    fetch = make()
    for x in range(100):
        fetch(x)
    isolation = isolated(fetch)

    def set_aside(rests: int) -> None:
        isolation.__enter__()

    resting.act = set_aside
    fetch.cache.resize(max=10)
    resting.act = None
    assert len(fetch.cache) == 0
    assert fetch.cache.stats().max != 10
    isolation.__exit__(None, None, None)
    assert len(fetch.cache) == 96
    fetch.cache._check()


def test_asked_for_in_the_middle_of_a_change_it_is_done_at_its_end() -> None:
    """A finalizer resizes while the store is changed: that change has it all done."""
    fetch = make()
    for x in range(50):
        fetch(x)
    fetch.cache._cache.told.alter(lambda gone: fetch.cache.resize(max=10))
    assert (len(fetch.cache), fetch.cache.stats().max) == (10, 10)
    fetch.cache._check()


# -- instances that die


class Service:
    """Has a method with results."""


def make_service(**options: Any) -> type[Any]:
    class Served(Service):
        @bounded(**{"max": 1_000, "registry": Registry(), **options})
        def fetch(self, x: int) -> int:
            return x

    return Served


def note_slices(cache: Any, patch: pytest.MonkeyPatch) -> list[int]:
    """How many entries each drop of several took out, in its list."""
    taken: list[int] = []
    drop_all = Shelf.drop_all

    def noted(shelf: Shelf, gone: list[Any], entries: list[Any], *args: Any) -> None:
        taken.append(len(entries))
        drop_all(shelf, gone, entries, *args)

    patch.setattr(Shelf, "drop_all", noted)
    return taken


@every_policy
def test_a_dead_instance_s_entries_leave_in_slices(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have all left, and were told, when ``del`` is over, though no slice took many, and others' entries stay."""
    told: list[tuple[int, EvictionReason]] = []
    kind = make_service(policy=policy, on_evict=lambda key, value, reason: told.append((value, reason)))
    one, two = kind(), kind()
    for x in range(50):
        one.fetch(x), two.fetch(x)
    slices = note_slices(kind.fetch.cache, monkeypatch)
    del one
    assert sorted(told) == [(x, EvictionReason.COLLECTED) for x in range(50)]
    assert max(slices) <= SIZE
    assert len(kind.fetch.cache) == len(two.fetch.cache) == 50
    kind.fetch.cache._check()


def test_calls_get_their_turn_while_an_instance_s_entries_leave(resting: Resting) -> None:
    """Another thread stores and evicts between two slices."""
    kind = make_service(max=100)
    one, two = kind(), kind()
    for x in range(60):
        one.fetch(x)

    def call(rests: int) -> None:
        thread = threading.Thread(target=two.fetch, args=(rests,))
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), "the lock is held during a rest"
        kind.fetch.cache._check()

    resting.act = call
    del one
    resting.act = None
    assert resting.rests >= 5  # each call takes a slice out, too
    assert len(kind.fetch.cache) == len(two.fetch.cache) > 4


def test_where_the_lock_is_taken_each_change_takes_some_out() -> None:
    """An instance dies while another thread holds the lock: the changes after that take a slice each, cleanup() all."""
    kind = make_service()
    one, two, three = kind(), kind(), kind()
    for x in range(40):
        one.fetch(x), two.fetch(x)
    lock = kind.fetch.cache._cache.store.lock
    taken, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            over.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(20)
    try:
        del one
    finally:
        over.set()
        holder.join(20)
    assert len(kind.fetch.cache) == 80
    sizes = []
    for x in range(5):
        three.fetch(x)
        sizes.append(len(kind.fetch.cache) - len(three.fetch.cache))
    assert all(0 <= before - after <= SIZE for before, after in itertools.pairwise(sizes))
    assert 40 < sizes[-1] < 80
    kind.fetch.cache._check()
    assert kind.fetch.cache.cleanup() == 0
    assert len(kind.fetch.cache) == 45
    assert kind.fetch.cache.stats().evictions[EvictionReason.COLLECTED] == 40
    kind.fetch.cache._check()


def test_what_lingers_is_found_again_after_an_isolation() -> None:
    """An instance dies within isolated(), and had much outside: that leaves when it comes back."""
    told: list[int] = []
    kind = make_service(on_evict=lambda key, value, reason: told.append(value))
    one, two = kind(), kind()
    for x in range(30):
        one.fetch(x), two.fetch(x)
    with isolated(kind.fetch):
        one.fetch(100)
        del one
        told.clear()
    for x in range(30, 60):
        two.fetch(x)
    kind.fetch.cache.cleanup()
    assert sorted(told) == list(range(30))
    assert len(kind.fetch.cache) == 60
    kind.fetch.cache._check()


def test_a_weak_argument_s_entries_leave_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``weak=`` names has many entries, dies, and they all go."""

    class Client:
        pass

    @bounded(max=1_000, weak=("client",), registry=Registry())
    def fetch(client: Client, x: int) -> int:
        return x

    one, two = Client(), Client()
    for x in range(40):
        fetch(one, x), fetch(two, x)
    slices = note_slices(fetch.cache, monkeypatch)
    gone = weakref.ref(one)
    del one
    assert gone() is None
    assert max(slices) <= SIZE
    assert len(fetch.cache) == 40
    fetch.cache._check()
