"""A clean-up removes what is over, and nothing else."""

import gc
import random
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from kit.cleanups import TTL, Value, every_policy, store_of
from kit.own_policies import POLICIES

from memo import EvictionReason, Registry, bounded, sliding_window
from memo._base.pacing import Pace, in_slices
from memo._store.shelf import SLICE
from memo._store.weights import weight
from memo._window.events import EXPIRE
from memo.testing import FakeClock

# -- what goes


@every_policy
@pytest.mark.parametrize("count", [0, 1, SLICE - 1, SLICE, SLICE + 1, 5 * SLICE + 3])
def test_exactly_what_is_past_its_life_goes(policy: Any, count: int) -> None:
    """However many slices it takes, what is past its life goes, the rest stays, and the number is told."""
    clock = FakeClock()
    gone: list[tuple[int, EvictionReason]] = []

    @bounded(
        max=3 * count + 8, ttl=TTL, policy=policy, clock=clock, on_evict=lambda k, v, reason: gone.append((k, reason))
    )
    def fetch(x: int) -> int:
        return x

    for x in range(count):
        fetch(x)
    clock.advance(TTL - 1)
    for x in range(count, 2 * count):
        fetch(x)
    was = {key for key, _ in fetch.cache.items()}
    gone.clear()
    assert fetch.cache.cleanup() == 0
    clock.advance(1)
    old = {key for key in was if key < count}
    assert fetch.cache.cleanup() == len(old)
    assert sorted(gone) == [(key, EvictionReason.EXPIRED) for key in sorted(old)]
    assert {key for key, _ in fetch.cache.items()} == was - old
    assert fetch.cache.cleanup() == 0
    store_of(fetch)._check()


@every_policy
def test_used_entries_go_when_they_are_idle(policy: Any) -> None:
    """An idle time is looked at entry by entry, in whatever order the policy has them."""
    clock = FakeClock()

    @bounded(max=8 * SLICE, idle=TTL, policy=policy, clock=clock)
    def fetch(x: int) -> int:
        return x

    for x in range(3 * SLICE):
        fetch(x)
    held = {key for key, _ in fetch.cache.items()}
    clock.advance(TTL - 1)
    used = set(random.Random(5).sample(sorted(held), SLICE))
    for x in used:
        fetch(x)
    clock.advance(1)
    assert fetch.cache.cleanup() == len(held - used)
    assert {key for key, _ in fetch.cache.items()} == used


@every_policy
def test_the_entries_of_one_instance(policy: Any) -> None:
    """Through an instance only its own entries are cleaned up."""
    clock = FakeClock()

    class Service:
        @bounded(max=8 * SLICE, ttl=TTL, policy=policy, clock=clock)
        def fetch(self, x: int) -> int:
            return x

    one, two = Service(), Service()
    for x in range(1, 2 * SLICE):
        one.fetch(x)
        two.fetch(x)
    held = len(one.fetch.cache)
    clock.advance(TTL)
    assert one.fetch.cache.cleanup() == held
    assert one.fetch.cache.cleanup() == 0
    assert two.fetch.cache.cleanup() == held
    assert Service.fetch.cache.cleanup() == 0


def test_weighed_entries_give_their_bytes_back() -> None:
    """What a clean-up takes out no longer counts against ``max_bytes``."""
    clock = FakeClock()

    @bounded(max_bytes=1_000_000, sizeof=lambda value: 10, ttl=TTL, clock=clock)
    def fetch(x: int) -> int:
        return x

    for x in range(500):
        fetch(x)
    assert fetch.cache.stats().bytes == sum(10 + weight(x, ()) for x in range(500))
    clock.advance(TTL)
    assert fetch.cache.cleanup() == 500
    assert fetch.cache.stats().bytes == 0


# -- windows


def test_a_window_is_cleaned_up_in_slices() -> None:
    """Old events go a thousand at a time; the sum is what ``cleanup()`` returns and the registry reports."""
    clock = FakeClock()
    own = Registry()

    @sliding_window(TTL, max=10 * EXPIRE, registry=own, name="window", clock=clock)
    def fetch(x: int) -> int:
        return x

    for x in range(3 * EXPIRE + 5):
        fetch(x)
    clock.advance(TTL)
    slices = [swept.events for swept in own["window"].parts[0].sweep()]
    assert slices == [EXPIRE, EXPIRE, EXPIRE, 5]
    for x in range(EXPIRE):
        fetch(x)
    clock.advance(TTL)
    report = own.cleanup()
    assert (report.events, dict(report.functions)) == (EXPIRE, {"window": EXPIRE})


# -- the registry


def test_one_that_fails_does_not_keep_the_others_dirty(caplog: pytest.LogCaptureFixture) -> None:
    """A clock that raises is logged with the function's name, and the other functions are cleaned up."""
    own = Registry()
    clock = FakeClock()
    broken = False

    def tick() -> float:
        if broken:
            raise OSError("no clock")
        return clock()

    one = bounded(max=8, ttl=TTL, registry=own, name="a-broken", clock=tick)(abs)
    two = bounded(max=8, ttl=TTL, registry=own, name="b-good", clock=clock)(abs)
    one(-1)
    two(-1)
    clock.advance(TTL)
    broken = True
    report = own.cleanup()
    assert dict(report.functions) == {"b-good": 1}
    assert [record.name for record in caplog.records] == ["memo"]
    assert "a-broken" in caplog.text
    assert "no clock" in caplog.text
    broken = False
    assert own.cleanup().functions == {"a-broken": 1}


def test_work_rests_when_others_have_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a quarter of a millisecond of work there is a rest, before that none."""
    now = 0.0
    rests: list[float] = []
    monkeypatch.setattr("memo._base.real_time.real.fine", lambda: now)
    monkeypatch.setattr("memo._base.pacing.time.sleep", rests.append)
    pace = Pace()
    pace.rest()
    now = 0.0002
    pace.rest()
    assert rests == []
    now = 0.00025
    pace.rest()
    pace.rest()
    assert len(rests) == 1
    assert rests[0] > 0, "a sleep of 0 is over before a waiting thread has woken up"

    def work() -> Iterator[int]:
        nonlocal now
        for number in range(5):
            now += 0.001
            yield number

    assert in_slices(work()) == 10
    assert len(rests) == 6


def test_nothing_is_left_behind() -> None:
    """A store that was filled, cleaned up and dropped leaves no entry, no key and no value to the collector."""
    clock = FakeClock()
    for policy in POLICIES:
        values: list[weakref.ref[Value]] = []

        def make(x: int, values: list[weakref.ref[Value]] = values) -> Value:
            value = Value()
            values.append(weakref.ref(value))
            return value

        fetch = bounded(max=8 * SLICE, ttl=TTL, policy=policy, clock=clock, ignore=("values",))(make)
        gc.collect()
        gc.disable()
        try:
            for x in range(2 * SLICE):
                fetch(x)
            clock.advance(TTL)
            fetch.cache.cleanup()
            assert [ref() for ref in values if ref() is not None] == []
        finally:
            gc.enable()
