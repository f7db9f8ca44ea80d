"""Stores and what they hold go with their function and instances; the handle."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.bounded import POLICIES, check

from memo import Registry, bounded

# -- lifecycle


def test_a_decorated_closure_that_dies_takes_all_with_it() -> None:
    """A dropped function is freed with its results, and its registry forgets it."""

    class Value:
        pass

    own = Registry()
    dead: list[weakref.ref[Any]] = []

    def make(number: int) -> Callable[[int], Value]:
        @bounded(max=8, registry=own, ttl=60)
        def fetch(x: int) -> Value:
            return Value() if number >= 0 else fetch(x)

        @bounded(max=8, registry=own)
        async def later(x: int) -> Value:
            return Value()

        dead.append(weakref.ref(fetch(1)))
        dead.append(weakref.ref(asyncio.run(later(1))))
        dead.append(weakref.ref(fetch.__wrapped__))
        dead.append(weakref.ref(fetch))
        return fetch

    for number in range(3):
        make(number)(2)
    gc.collect()
    assert [ref() for ref in dead] == [None] * 12
    assert len(own) == 0


def test_a_result_is_let_go_when_it_leaves() -> None:
    """Under every policy an evicted or cleared result is freed at once, when nobody else holds it."""

    class Value:
        pass

    for policy in POLICIES:

        @bounded(max=1, policy=policy)
        def fetch(x: int) -> Value:
            return Value()

        first = weakref.ref(fetch(1))
        assert first() is not None
        fetch(2)
        assert first() is None, policy
        second = weakref.ref(fetch(2))
        fetch.cache.clear()
        assert second() is None, policy


def test_an_error_and_its_frames_are_let_go() -> None:
    """The locals of a failed load are freed without the collector once its caller dropped the error."""

    class Value:
        pass

    dead: list[weakref.ref[Value]] = []

    @bounded(max=8)
    def fetch(x: int) -> Value:
        value = Value()
        dead.append(weakref.ref(value))
        raise LookupError(x)

    gc.disable()
    try:
        with pytest.raises(LookupError):
            fetch(1)
        assert dead[0]() is None, "only the collector could free the error's frames"
    finally:
        gc.enable()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_finalizer_may_call_the_function_while_its_value_is_evicted(policy: str) -> None:
    """A `__del__` that loads, puts and invalidates in the same cache leaves it whole and within `max`."""
    finalized = []

    class Value:
        def __init__(self, x: int) -> None:
            self.x = x

        def __del__(self) -> None:
            finalized.append(self.x)
            if len(finalized) < 60:
                fetch(self.x + 1000)
                fetch.cache.invalidate(self.x + 1000)
                fetch.cache.put(None, self.x)

    @bounded(max=3, policy=policy)
    def fetch(x: int) -> Value:
        return Value(x)

    for x in range(20):
        fetch(x)
        assert len(fetch.cache.store) <= 3
        check(fetch)
    assert len(finalized) > 20
    fetch.cache.clear()
    check(fetch)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_collector_may_strike_anywhere(policy: str) -> None:
    """Instances whose finalizers use a cache may be collected at any allocation, and the caches stay whole."""

    class Service:
        me: "Service"

        def __del__(self) -> None:
            plain(-1)
            plain.cache.put([0], -2)
            plain.cache.invalidate(-1)

        @bounded(max=12, policy=policy)
        def fetch(self, x: int) -> list[int]:
            return [x]

    @bounded(max=4, policy=policy, ttl=60)
    def plain(x: int) -> list[Service]:
        if x < 0:
            return []
        service = Service()
        service.me = service
        service.fetch(x)
        service.fetch(x + 1)
        return [service]

    before = gc.get_threshold()
    gc.set_threshold(5, 2, 2)
    try:
        for x in range(300):
            plain(x % 17)
            assert len(Service.fetch.cache.store) <= 12
    finally:
        gc.set_threshold(*before)
    gc.collect()
    Service.fetch.cache.cleanup()
    check(plain)
    check(Service.fetch)
    plain.cache.clear()
    gc.collect()
    assert len(Service.fetch.cache) <= 2 * len(plain.cache)


def test_a_raising_eq_of_a_key_leaves_the_store_whole() -> None:
    """An error of a key's `__eq__` reaches the caller, and the cache works again when keys compare again."""

    class Key:
        broken = False

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            if Key.broken:
                raise RuntimeError("cannot compare")
            return self is other

    @bounded(max=4)
    def fetch(key: Any) -> int:
        return 1

    keys = [Key() for _ in range(6)]
    for key in keys[:3]:
        fetch(key)
    Key.broken = True
    with pytest.raises(RuntimeError, match="cannot compare"):
        fetch(keys[3])
    Key.broken = False
    assert len(fetch.inflight) == 0
    check(fetch)
    for key in keys:
        assert fetch(key) == 1
    check(fetch)


# -- the handle itself


def test_a_handle_is_true_and_shows_itself() -> None:
    """The handles of an empty cache are true, and their reprs name the function and the size."""

    @bounded(max=4, name="shown")
    def fetch(x: int) -> int:
        return x

    assert fetch.cache
    assert fetch.inflight
    assert len(fetch.cache) == 0
    fetch(1)
    assert "shown" in repr(fetch.cache)
    assert "1" in repr(fetch.cache)
    assert "shown" in repr(fetch.inflight)
    assert fetch.cache.stats().name == "shown"


def test_items_are_a_snapshot() -> None:
    """items() and an iterator already taken do not see what is stored afterwards."""

    @bounded(max=4)
    def fetch(x: int) -> int:
        return -x

    fetch(1)
    items = fetch.cache.items()
    iterator = iter(fetch.cache)
    fetch(2)
    assert items == [(1, -1)]
    assert list(iterator) == [1]


def test_one_operation_reads_the_clock_once() -> None:
    """A hit and a look by entry() read the clock one time each, even with `ttl` and `idle`."""
    reads = 0

    def clock() -> float:
        nonlocal reads
        reads += 1
        return 1000.0

    @bounded(max=4, ttl=10, idle=10, clock=clock)
    def fetch(x: int) -> int:
        return x

    fetch(1)
    reads = 0
    fetch(1)
    assert reads == 1
    fetch.cache.entry(1)
    assert reads == 2
