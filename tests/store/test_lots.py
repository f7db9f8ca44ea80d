"""What goes through all entries of a large store does so lot by lot, whatever happens to the store in between."""

import random
import sys
from collections import Counter
from typing import Any

import pytest
from kit.large import all_large
from kit.own_policies import POLICIES

from memo import EvictionReason, Registry, bounded
from memo._store import lots as lots_module
from memo._store import parted
from memo._store.large_table import LargeTable
from memo._store.parted import Parted
from memo.testing import FakeClock, isolated

__all__ = ()


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores of more than four entries are large, and lots, parts and slices have four."""
    all_large(monkeypatch, 4)


def make(own: Registry, **options: Any) -> Any:
    @bounded(**{"max": 1_000, "registry": own, **options})
    def fetch(x: int) -> int:
        return -x

    return fetch


@pytest.mark.parametrize("seed", range(30))
def test_what_stays_is_met_once(seed: int) -> None:
    """Keys come, leave and come again between two lots, parts are divided, all are given away: what stays is met."""
    dice = random.Random(seed)
    table: Parted[int, object] = Parted({n: object() for n in range(40)})
    if seed % 2:
        table.divide()
    staying = dict(table.items())
    met: list[object] = []
    came = 1_000
    cleared = False
    for lot in table.lots():
        met += lot
        for _ in range(dice.randrange(8)):
            table[came] = object()
            came += 1
        for key in dice.sample(sorted(staying), min(2, len(staying))):
            del table[key], staying[key]
        if dice.random() < 0.1 and not cleared:
            cleared = True
            old = set(map(id, met))
            table.clear()
            staying = {}
            for n in range(-40, 0):
                table[n] = object()
        table._check()
    times = Counter(map(id, met))
    assert set(times.values()) <= {1}
    assert {id(item) for item in staying.values()} <= set(times)
    if cleared:
        assert old <= set(times)


def test_a_part_that_is_divided_while_it_is_listed_is_listed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread divides the part, and so empties it, between the look for it and the look into it."""

    class Slow(dict[int, int]):
        def values(self) -> Any:
            if self:
                table.divide()
            return super().values()

    table: Parted[int, int] = Parted(Slow({n: n for n in range(26)}))
    assert sorted(n for lot in table.lots() for n in lot) == list(range(26))


def test_a_table_that_the_collector_has_cleared_has_no_lots() -> None:
    """A finalizer may ask for them after that."""
    table: Parted[int, int] = Parted({1: 1})
    table._places.clear()
    assert list(table.lots()) == []


def test_few_entries_are_those_of_one_moment() -> None:
    """The first lot settles what the others have, where there are no more than are left whole."""
    fetch = make(Registry())
    for x in range(4):
        fetch(x)
    lots = fetch.cache._cache.store.lots()
    found = next(lots)
    fetch.cache.clear()
    found += [entry for lot in lots for entry in lot]
    assert sorted(entry.key for entry in found) == [0, 1, 2, 3]


@pytest.mark.parametrize("policy", POLICIES)
def test_everything_is_shown_lot_by_lot(policy: str) -> None:
    """items(), iteration and the report show each entry of a large store once, and no lot is larger than it may be."""
    own = Registry()
    fetch = make(own, policy=policy, ttl=60, clock=FakeClock())
    for x in range(100):
        fetch(x)
    assert sorted(fetch.cache.items()) == [(x, -x) for x in range(100)]
    assert sorted(fetch.cache) == list(range(100))
    lots = list(fetch.cache._cache.store.lots())
    assert max(map(len, lots)) <= lots_module.LOT
    assert len(lots) >= 100 // lots_module.LOT
    assert own.report().stores[0].entries == 100


def test_calls_go_on_while_somebody_iterates() -> None:
    """An iterator over a large store sees what stays, though each of its steps evicts and stores something."""
    fetch = make(Registry(), max=50, policy="fifo")
    for x in range(50):
        fetch(x)
    seen = []
    for came, key in enumerate(fetch.cache):
        seen.append(key)
        if came < 20:
            fetch(1_000 + came)  # so the oldest, 0 to 19, leave
    assert set(range(20, 50)) <= set(seen)
    assert len(seen) == len(set(seen))


def test_a_policy_of_the_user_s_own_is_gone_through_along_its_ring() -> None:
    """Its dictionary is in one piece, and is copied by nobody."""
    import cachetools

    fetch = make(Registry(), policy=cachetools.LRUCache)
    for x in range(30):
        fetch(x)
    lots = fetch.cache._cache.store.lots()
    first = next(lots)
    assert len(first) == lots_module.LOT
    fetch.cache.invalidate(29)
    assert sorted(e.key for lot in (first, *lots) for e in lot) == list(range(29))
    assert sorted(fetch.cache.items()) == [(x, -x) for x in range(29)]
    assert fetch.cache.clear() == 29


# -- what leaves


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("tags", [(), "all", lambda x: [f"tag{x % 3}", f"own{x}"]])
def test_clear_takes_all_at_once_and_tells_bit_by_bit(policy: str, tags: Any) -> None:
    """As the first value is told nothing is left; what is stored while others are told stays, and each is told once."""
    told: list[tuple[int, int, EvictionReason]] = []
    sizes: list[int] = []

    def on_evict(key: int, value: int, reason: EvictionReason) -> None:
        told.append((key, value, reason))
        sizes.append(len(fetch.cache))
        if len(told) % 10 == 1:
            fetch(500 + len(told))

    own = Registry()
    fetch = make(own, policy=policy, on_evict=on_evict, tags=tags)
    for x in range(100):
        fetch(x), fetch(x)
    assert fetch.cache.clear() == 100
    assert sizes[0] == 0
    assert sorted(told) == [(x, -x, EvictionReason.CLEARED) for x in range(100)]
    assert sorted(fetch.cache) == [501 + 10 * n for n in range(10)]
    stats = fetch.cache.stats()
    assert stats.evictions[EvictionReason.CLEARED] == 100
    assert (stats.hits, stats.size) == (100, 10)
    fetch.cache._check()
    assert own.invalidate(tag="own501") == (10 if tags == "own501" else callable(tags))
    fetch.cache._check()


def test_what_is_past_its_life_is_cleared_as_expired() -> None:
    """It is told, and counted, as what it is, in a large store as in a small one."""
    clock = FakeClock()
    told: Counter[EvictionReason] = Counter()
    fetch = make(Registry(), ttl=10, clock=clock, on_evict=lambda key, value, reason: told.update([reason]))
    for x in range(30):
        fetch(x)
    clock.advance(10)
    for x in range(100, 120):
        fetch(x)
    assert fetch.cache.clear() == 20
    assert told == {EvictionReason.CLEARED: 20, EvictionReason.EXPIRED: 30}


def test_clear_in_the_middle_of_a_change_is_told_by_that_change() -> None:
    """A finalizer clears a large store while it is changed: nobody waits for what it gives away, and all is told."""
    told: list[int] = []
    fetch = make(Registry(), on_evict=lambda key, value, reason: told.append(key))
    for x in range(30):
        fetch(x)
    cache = fetch.cache._cache
    assert cache.told.alter(lambda gone: fetch.cache.clear()) != []
    assert sorted(told) == list(range(30))
    assert len(fetch.cache) == 0
    fetch.cache._check()


def test_invalidations_in_the_middle_of_a_change_are_done_at_its_end() -> None:
    """A finalizer invalidates a tag, or much, while the store is changed: all of it leaves, though only then."""
    told: list[int] = []
    own = Registry()
    fetch = make(own, on_evict=lambda key, value, reason: told.append(key), tags=lambda x: [f"tag{x % 2}"])
    cache = fetch.cache._cache
    for x in range(30):
        fetch(x)
    cache.told.alter(lambda gone: own.invalidate(tag="tag1"))
    assert sorted(told) == list(range(1, 30, 2))
    cache.told.alter(lambda gone: fetch.cache.invalidate_where(lambda key, value: True))
    assert sorted(told) == list(range(30))
    assert len(fetch.cache) == 0
    fetch.cache._check()


def test_nothing_that_was_given_away_is_kept() -> None:
    """Once clear() has returned, the values of a large store are gone, by reference counts alone."""
    import weakref

    class Value:
        pass

    @bounded(max=1_000, registry=Registry(), tags=lambda x: ["all", str(x)])
    def fetch(x: int) -> Value:
        return Value()

    refs = [weakref.ref(fetch(x)) for x in range(50)]
    fetch.cache.clear()
    assert not [ref for ref in refs if ref() is not None]


def test_an_isolation_ends_with_what_was_stored_inside_told_bit_by_bit() -> None:
    """What came inside of isolated() leaves as cleared, though it is much; what was there before is back."""
    told: list[int] = []
    fetch = make(Registry(), on_evict=lambda key, value, reason: told.append(key))
    for x in range(20):
        fetch(x)
    with isolated(fetch):
        for x in range(100, 140):
            fetch(x)
    assert sorted(told) == list(range(100, 140))
    assert sorted(fetch.cache) == list(range(20))
    fetch.cache._check()


def test_an_instance_s_entries_leave_in_slices() -> None:
    """clear() through an instance, and of a whole method, hold the lock for a slice at a time."""

    class Service:
        @bounded(max=1_000, registry=Registry())
        def fetch(self, x: int) -> int:
            return x

    one, two = Service(), Service()
    for x in range(50):
        one.fetch(x), two.fetch(x)
    store = Service.fetch.cache._cache.store
    sizes: list[int] = []
    change = store.change

    def noted(operation: Any, *args: Any, **more: Any) -> Any:
        before = len(store.index)
        gone = change(operation, *args, **more)
        sizes.append(before - len(store.index))
        return gone

    store.change = noted
    assert one.fetch.cache.clear() == 50
    assert (len(one.fetch.cache), len(two.fetch.cache)) == (0, 50)
    assert Service.fetch.cache.clear() == 50
    assert max(sizes) <= 4
    assert sum(sizes) == 100
    Service.fetch.cache._check()


def test_a_large_part_of_a_store_is_invalidated_in_slices() -> None:
    """invalidate_where() asks about all, and drops then, a slice at a time; a predicate that raises drops none."""
    fetch = make(Registry())
    for x in range(60):
        fetch(x)

    def odd(key: int, value: int) -> bool:
        if key == bad:
            raise ValueError(key)
        return bool(key % 2)

    bad = 59
    with pytest.raises(ValueError, match="59"):
        fetch.cache.invalidate_where(odd)
    assert len(fetch.cache) == 60
    bad = -1
    assert fetch.cache.invalidate_where(odd) == 30
    assert sorted(fetch.cache) == list(range(0, 60, 2))


def test_the_index_is_in_parts_here() -> None:
    """These tests are about what they say."""
    fetch = make(Registry())
    for x in range(30):
        fetch(x)
    assert type(fetch.cache._cache.store.index) is LargeTable
    assert parted.MOST == 4


def test_the_list_of_items_is_made_with_room_for_all() -> None:
    """It is copied in one go by no growth, and takes no more than it has."""
    fetch = make(Registry())
    for x in range(700):
        fetch(x)
    found = fetch.cache.items()
    assert len(found) == 700
    assert sys.getsizeof(found) == sys.getsizeof([None] * 700)
