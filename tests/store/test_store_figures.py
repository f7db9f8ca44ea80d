"""``len()``, ``stats()`` and ``cache_info()``: they agree, count each hit once, and look at no more than a part."""

import random
import threading
from typing import Any

import pytest
from kit.own_policies import POLICIES

import memo._store.figures
from memo import Registry, bounded
from memo._native import speed
from memo.testing import FakeClock

__all__ = ()

every_policy = pytest.mark.parametrize("policy", POLICIES)


@every_policy
def test_len_size_and_currsize_agree(policy: str) -> None:
    """They say what the store holds, with what is past its life and not removed; items() and entry() hide that."""
    clock = FakeClock()

    @bounded(max=5, ttl=10, policy=policy, clock=clock, registry=Registry())
    def fetch(x: int) -> int:
        return x

    def sizes() -> set[int]:
        return {len(fetch.cache), fetch.cache.stats().size, fetch.cache_info().currsize}

    for x in range(3):
        assert sizes() == {x}
        fetch(x)
    clock.advance(10)
    assert sizes() == {3}
    assert fetch.cache.items() == list(fetch.cache) == []
    assert fetch.cache.entry(1) is None
    assert "3 entries" in repr(fetch.cache)
    fetch(1)
    assert sizes() == {3}
    assert fetch.cache.cleanup() == 2
    assert sizes() == {1}
    assert fetch.cache.clear() == 1
    assert sizes() == {0}


def test_len_through_an_instance_is_that_instance_s() -> None:
    """Through an instance, len() is the number of its own entries, also of one that allows no weak reference."""

    class Stiff:
        __slots__ = ()

        @bounded(max=9, registry=Registry())
        def fetch(self, x: int) -> int:
            return x

    class Service:
        @bounded(max=9, registry=Registry())
        def fetch(self, x: int) -> int:
            return x

    for kind in (Stiff, Service):
        one: Any = kind()
        two: Any = kind()
        one.fetch(1), one.fetch(2), two.fetch(1)
        assert (len(one.fetch.cache), len(two.fetch.cache), len(kind.fetch.cache)) == (2, 1, 3)
        one.fetch.cache.clear()
        assert (len(one.fetch.cache), len(two.fetch.cache), len(kind.fetch.cache)) == (0, 1, 1)


@every_policy
@pytest.mark.parametrize("look", [3, 10, 1000])
def test_every_hit_is_counted_once(policy: str, look: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few entries a look takes in, no hit is counted twice or lost, and the figure never goes back."""
    monkeypatch.setattr(memo._store.figures, "LOOK", look)
    dice = random.Random(look)

    @bounded(max=20, policy=policy, registry=Registry())
    def fetch(x: int) -> int:
        return x

    last = 0
    for step in range(3000):
        x = int(dice.paretovariate(0.6)) % 60
        fetch(x)
        if step % 7 == 0:
            stats = fetch.cache.stats()
            assert last <= stats.hits <= step + 1 - stats.misses
            last = stats.hits
            if look >= 20:
                assert stats.hits + stats.misses == step + 1
        if step % 501 == 0:
            fetch.cache.invalidate(x)
        if step % 1201 == 0:
            fetch.cache.clear()
    for _ in range(20):
        stats = fetch.cache.stats()
    assert stats.hits + stats.misses == 3000
    assert sum(stats.evictions.values()) + stats.size == stats.misses


def test_a_clean_up_and_a_clear_add_up_all() -> None:
    """After cleanup(), and after clear(), no hit is missing, however large the store."""
    count = memo._store.figures.LOOK + 500

    @bounded(max=count, ttl=60, registry=Registry())
    def fetch(x: int) -> int:
        return x

    for _ in range(2):
        for x in range(count):
            fetch(x)
    first = fetch.cache.stats().hits
    assert 0 < first <= count
    fetch.cache.cleanup()
    assert fetch.cache.stats().hits == count
    for x in range(count):
        fetch(x)
    fetch.cache.clear()
    assert fetch.cache.stats().hits == 2 * count


def test_stats_look_at_no_more_than_a_part() -> None:
    """stats(), cache_info() and len() of a large store touch no more entries than LOOK."""
    count = 3 * memo._store.figures.LOOK

    @bounded(max=count, registry=Registry())
    def fetch(x: int) -> int:
        return x

    for x in range(count):
        fetch(x)
        fetch(x)
    entries = list(fetch.cache._cache.store.index.values())
    for round_ in range(1, 4):
        fetch.cache.stats()
        len(fetch.cache)
        assert sum(entry.counted for entry in entries) == round_ * memo._store.figures.LOOK
    assert fetch.cache.stats().hits == count


def test_stale_and_error_hits_are_counted_once() -> None:
    """What answered stale, or with a remembered failure, is counted as such, and as such still when it has left."""
    clock = FakeClock()

    @bounded(max=5, ttl=10, stale_if_error=100, cache_errors=KeyError, error_ttl=50, clock=clock, registry=Registry())
    def fetch(x: int) -> int:
        if x < 0 or failing:
            raise KeyError(x)
        return x

    failing = False
    fetch(1), fetch(1)
    failing = True
    clock.advance(20)
    for _ in range(3):
        assert fetch(1) == 1
    for _ in range(4):
        with pytest.raises(KeyError):
            fetch(-1)
    for _ in range(3):
        stats = fetch.cache.stats()
        assert (stats.hits, stats.stale_hits, stats.error_hits) == (1, 3, 3)
        assert stats.requests == 9
    fetch.cache.clear()
    after = fetch.cache.stats()
    assert (after.hits, after.stale_hits, after.error_hits) == (1, 3, 3)


@every_policy
def test_hits_of_many_threads_are_counted(policy: str) -> None:
    """Under several threads, with somebody asking for figures all the time, hits and misses make up the calls."""

    @bounded(max=30, policy=policy, registry=Registry())
    def fetch(x: int) -> int:
        return x

    done = threading.Event()

    def ask() -> None:
        last = 0
        while not done.is_set():
            hits = fetch.cache.stats().hits
            assert hits >= last
            last = hits

    def work(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(4000):
            assert fetch(dice.randrange(45)) is not None

    asking = threading.Thread(target=ask)
    working = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    asking.start()
    for thread in working:
        thread.start()
    for thread in working:
        thread.join(60)
    done.set()
    asking.join(60)
    stats = fetch.cache.stats()
    assert stats.hits + stats.misses + stats.joins == 16_000
    fetch.cache._check()


@pytest.mark.skipif(speed is None, reason="there is no C here")
def test_c_adds_up_what_it_is_meant_for() -> None:
    """It takes the figures of a store and a list of entries; of anything else nothing has been counted."""

    @bounded(max=9, registry=Registry())
    def fetch(x: int) -> int:
        return x

    fetch(1), fetch(1)
    store = fetch.cache._cache.store
    figures, entries = store._shelf.figures, store.snapshot()
    for wrong in ((), (figures,), (figures, tuple(entries)), (object(), entries), (figures, [*entries, 3])):
        with pytest.raises(TypeError):
            speed.add_up(*wrong)
    assert figures.seen_hits == 0
    speed.add_up(figures, entries)
    speed.add_up(figures, entries)
    assert figures.seen_hits == 1
    assert fetch.cache.stats().hits == 1


def test_a_look_at_a_large_store_lets_others_run_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large store a part of what one look comes to is added up in one hold of the lock; of a small one all."""
    monkeypatch.setattr(memo._store.figures, "LOOK", 40)
    monkeypatch.setattr(memo._store.figures, "_STEP", 15)
    together: list[int] = []

    real = memo._store.figures.Figures._add_up_all

    def noted(figures: Any, entries: list[Any]) -> None:
        together.append(len(entries))
        real(figures, entries)

    monkeypatch.setattr(memo._store.figures.Figures, "_add_up_all", noted)
    fetch = bounded(max=200, registry=Registry())(lambda x: x)
    for x in range(40):
        fetch(x)
    fetch.cache.stats()
    assert together == [40]
    for x in range(40, 150):
        fetch(x)
    fetch.cache.stats()
    assert together[1:] == [15, 15, 10]
