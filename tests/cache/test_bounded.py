"""``@bounded``: what is remembered, for how long, within which bounds, and who is told when it goes."""

import asyncio
import collections
import functools
import gc
import io
import itertools
import logging
import math
import random
import signal
import threading
import weakref
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import cachetools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.coroutines import until_async
from kit.threads import LIMIT_S, Gate, Running, switching_often, until

from memo import EvictionReason, InflightTimeout, Registry, bounded, sizeof
from memo._store.weights import weight
from memo.testing import FakeClock

POLICIES = ("s3fifo", "lru", "lfu", "fifo", "random")

Gone = list[tuple[Any, Any, EvictionReason]]


def check(function: Any) -> None:
    function.cache._check()


def calls_of(stats: Any) -> int:
    return int(stats.hits + stats.misses + stats.joins + stats.stale_hits + stats.error_hits)


# -- ttl and idle


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("ttl", [90, 90.0, "1m30s", timedelta(seconds=90), "90s", "1.5 minutes"])
def test_fresh_until_ttl_and_stale_at_exactly_ttl(policy: str, ttl: Any) -> None:
    clock = FakeClock()

    @bounded(max=8, ttl=ttl, policy=policy, clock=clock)
    def fetch(name: str) -> list[str]:
        return [name]

    first = fetch("a")
    clock.advance(89.999)
    assert fetch("a") is first
    clock.advance(0.001)
    second = fetch("a")
    assert second is not first
    clock.advance(89.999)
    assert fetch("a") is second


def test_ttl_counts_from_the_end_of_the_load() -> None:
    clock = FakeClock()

    @bounded(max=8, ttl=10, clock=clock)
    def fetch(name: str) -> list[str]:
        clock.advance(7)
        return [name]

    first = fetch("a")
    clock.advance(9)
    assert fetch("a") is first
    clock.advance(1)
    assert fetch("a") is not first
    assert fetch.cache.stats().load_seconds == 14
    assert fetch.cache.stats().load_mean == 7


def test_ttl_of_coroutines() -> None:
    clock = FakeClock()

    @bounded(max=8, ttl="10s", clock=clock)
    async def fetch(name: str) -> list[str]:
        clock.advance(7)
        return [name]

    async def use() -> None:
        first = await fetch("a")
        clock.advance(9.5)
        assert await fetch("a") is first
        clock.advance(0.5)
        assert await fetch("a") is not first

    asyncio.run(use())


@pytest.mark.parametrize("policy", POLICIES)
def test_idle_is_counted_from_the_last_use(policy: str) -> None:
    clock = FakeClock()

    @bounded(max=8, idle="10s", policy=policy, clock=clock)
    def fetch(name: str) -> list[str]:
        return [name]

    first = fetch("a")
    for _ in range(5):
        clock.advance(9)
        assert fetch("a") is first
    clock.advance(9)
    assert fetch.cache.entry("a") is not None
    assert fetch.cache.items()
    clock.advance(1)  # looking on is no use of it
    assert fetch.cache.entry("a") is None
    assert fetch("a") is not first


def test_idle_and_ttl_whichever_comes_first() -> None:
    clock = FakeClock()

    @bounded(max=8, ttl=20, idle=10, clock=clock)
    def fetch(name: str) -> list[str]:
        return [name]

    first = fetch("a")
    clock.advance(9)
    assert fetch("a") is first
    clock.advance(9)
    assert fetch("a") is first
    clock.advance(2)
    second = fetch("a")
    assert second is not first
    clock.advance(10)
    assert fetch("a") is not second


@pytest.mark.parametrize("policy", POLICIES)
def test_an_expired_entry_is_never_shown(policy: str) -> None:
    clock = FakeClock()
    gone: Gone = []

    @bounded(max=8, ttl=10, policy=policy, clock=clock, on_evict=lambda *what: gone.append(what))
    def fetch(name: str) -> str:
        return name.upper()

    fetch("a")
    clock.advance(5)
    fetch("b")
    clock.advance(5)
    assert len(fetch.cache) == 2
    assert fetch.cache.items() == [("b", "B")]
    assert list(fetch.cache) == ["b"]
    assert fetch.cache.entry("a") is None
    assert fetch.cache.stats().size == 2
    assert gone == []
    assert fetch.cache.cleanup() == 1
    assert gone == [("a", "A", EvictionReason.EXPIRED)]
    assert fetch.cache.stats().size == fetch.cache_info().currsize == 1
    assert fetch.cache.cleanup() == 0
    check(fetch)


def test_what_is_past_its_life_leaves_as_expired_whoever_removes_it() -> None:
    clock = FakeClock()
    gone: Gone = []

    @bounded(max=2, ttl=10, policy="fifo", clock=clock, on_evict=lambda *what: gone.append(what))
    def fetch(name: str) -> object:
        return object()

    def take_reasons() -> list[str]:
        reasons = [reason.value for _, _, reason in gone]
        gone.clear()
        return reasons

    fetch("a")
    clock.advance(10)
    fetch("a")
    assert take_reasons() == ["expired"]
    clock.advance(10)
    assert fetch.cache.invalidate("a") is False
    assert take_reasons() == ["expired"]
    fetch("a")
    clock.advance(10)
    assert fetch.cache.clear() == 0
    assert take_reasons() == ["expired"]
    fetch("a")
    clock.advance(10)
    fetch.cache.put("new", "a")
    assert take_reasons() == ["expired"]
    clock.advance(10)
    fetch("b")
    fetch("c")
    assert take_reasons() == ["expired"]
    clock.advance(10)
    assert fetch.cache.invalidate_where(lambda key, value: True) == 0
    fetch.cache.resize(max=1)
    assert set(take_reasons()) == {"expired"}


def test_entry_tells_about_one_call_without_being_one() -> None:
    clock = FakeClock()

    @bounded(max=8, max_bytes="1kB", sizeof=len, ttl="1m", clock=clock)
    def fetch(name: str) -> str:
        return name * 3

    assert fetch.cache.entry("ab") is None
    fetch("ab")
    fetch("ab")
    clock.advance(20)
    before = fetch.cache.stats()
    entry = fetch.cache.entry("ab")
    assert entry is not None
    assert (entry.value, entry.age, entry.expires_in, entry.hits, entry.bytes, entry.stale) == (
        "ababab",
        20,
        40,
        1,
        weight("ab", ()) + 6,
        False,
    )
    assert fetch.cache.stats() == before
    with pytest.raises(FrozenInstanceError):
        entry.hits = 5  # type: ignore[misc]

    @bounded(max=8)
    def plain(name: str) -> str:
        return name

    plain("a")
    entry = plain.cache.entry("a")
    assert entry is not None
    assert entry.expires_in is None
    assert entry.bytes is None


# -- bounds


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=25, deadline=None)
@given(bound=st.integers(1, 12), trace=st.lists(st.integers(0, 25), max_size=150))
def test_never_more_than_max(policy: str, bound: int, trace: list[int]) -> None:
    gone: Gone = []

    @bounded(max=bound, policy=policy, registry=Registry(), on_evict=lambda *what: gone.append(what))
    def fetch(x: int) -> tuple[int]:
        return (x,)

    for x in trace:
        assert fetch(x) == (x,)
        assert len(fetch.cache) <= bound
        assert len(fetch.cache.store) <= bound
        assert fetch.cache.entry(x) is not None
    check(fetch)
    stats = fetch.cache.stats()
    assert stats.hits + stats.misses == len(trace)
    assert stats.misses == stats.size + len(gone)
    assert all(reason is EvictionReason.SIZE for _, _, reason in gone)
    assert stats.evictions[EvictionReason.SIZE] == len(gone)
    assert stats.size == min(bound, len(set(trace)))


def test_max_bytes_bounds_the_sum_of_what_sizeof_says() -> None:
    """Beside what ``sizeof`` says of the value an entry weighs its key and itself, also where the value is free."""
    gone: Gone = []
    entry = weight(1, ())

    @bounded(max_bytes=10 + 2 * entry, sizeof=len, policy="lru", on_evict=lambda *what: gone.append(what))
    def fetch(size: int) -> str:
        return "x" * size

    fetch(4)
    fetch(6)
    assert (fetch.cache.stats().bytes, fetch.cache.stats().size) == (10 + 2 * entry, 2)
    fetch(1)
    assert [value for _, value, _ in gone] == ["xxxx"]
    assert fetch.cache.stats().bytes == 7 + 2 * entry
    fetch(10)
    assert fetch.cache.stats().size == 1
    assert fetch.cache.stats().bytes == 10 + entry
    assert len(gone) == 3
    fetch.cache.put("", 1_000)
    assert fetch.cache.stats().bytes == 10 + 2 * entry
    fetch.cache.put("", 1_001)
    assert fetch.cache.stats().bytes == 2 * entry
    check(fetch)


def test_a_value_larger_than_everything_is_returned_and_rejected() -> None:
    gone: Gone = []

    @bounded(max_bytes=10 + weight(3, ()), sizeof=len, on_evict=lambda *what: gone.append(what))
    def fetch(size: int) -> str:
        return "x" * size

    fetch(3)
    for _ in range(2):
        assert fetch(11) == "x" * 11
    stats = fetch.cache.stats()
    assert (stats.rejected, stats.size, stats.misses, stats.loads) == (2, 1, 3, 3)
    assert gone == []
    fetch.cache.put("y" * 11, 3)
    assert gone == [(3, "xxx", EvictionReason.REPLACED)]
    assert len(fetch.cache) == 0
    check(fetch)


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=25, deadline=None)
@given(
    bound=st.integers(1, 8),
    most=st.none() | st.integers(1, 6),
    trace=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 12), st.booleans()), max_size=80),
)
def test_bytes_and_number_hold_together(policy: str, bound: int, most: int | None, trace: Any) -> None:
    gone: Gone = []

    @bounded(
        max=most,
        max_bytes=bound * weight(1, ()),
        sizeof=lambda value: len(value) * 100,
        policy=policy,
        registry=Registry(),
        on_evict=lambda *what: gone.append(what),
    )
    def fetch(x: int) -> bytearray:
        return bytearray(sizes[x])

    sizes: dict[int, int] = collections.defaultdict(int)
    stored = 0
    for x, size, put in trace:
        sizes[x] = size
        loads = fetch.cache.stats().loads
        rejected = fetch.cache.stats().rejected
        if put:
            fetch.cache.put(bytearray(size), x)
        else:
            fetch(x)
        stored += (put or fetch.cache.stats().loads > loads) and fetch.cache.stats().rejected == rejected
        stats = fetch.cache.stats()
        assert stats.bytes is not None
        assert stats.bytes <= bound * weight(1, ())
        assert most is None or stats.size <= most
        assert stats.bytes == sum(weight(key, ()) + 100 * len(value) for key, value in fetch.cache.items())
        check(fetch)
    assert stored == len(gone) + len(fetch.cache)
    assert {reason for _, _, reason in gone} <= {EvictionReason.SIZE, EvictionReason.REPLACED}


@pytest.mark.parametrize("size", [-1, "many", None, math.nan, math.inf, True, 1j])
def test_a_sizeof_that_cannot_tell_is_logged_and_the_value_not_stored(
    size: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @bounded(max_bytes=10_000, sizeof=lambda value: size)
    def fetch(name: str) -> str:
        return name

    with caplog.at_level(logging.ERROR, logger="memo"):
        assert fetch("a") == "a"
    assert [record.name for record in caplog.records] == ["memo"]
    assert repr(size) in caplog.text
    assert fetch.cache.stats().rejected == 1
    assert len(fetch.cache) == 0


def test_a_raising_sizeof_is_logged_and_the_value_not_stored(caplog: pytest.LogCaptureFixture) -> None:
    def weigh(value: str) -> int:
        raise LookupError("no scales")

    @bounded(max_bytes=10_000, sizeof=weigh)
    def fetch(name: str) -> str:
        return name

    assert fetch("a") == "a"
    assert "no scales" in caplog.text
    assert "sizeof" in caplog.text
    assert fetch.cache.stats().rejected == 1


def test_default_sizeof_is_the_deep_size() -> None:
    @bounded(max_bytes="10kB")
    def fetch(count: int) -> list[str]:
        return [f"{i:100}" for i in range(count)]

    fetch(10)
    entry = fetch.cache.entry(10)
    assert entry is not None
    assert entry.bytes == sizeof(entry.value) + weight(10, ())
    assert entry.bytes > 1000
    assert fetch.cache.stats().max_bytes == 10_000
    fetch(200)
    assert fetch.cache.stats().rejected == 1


def test_resize_evicts_at_once_what_no_longer_fits() -> None:
    for policy in POLICIES:
        gone: Gone = []

        @bounded(max=10, policy=policy, on_evict=lambda *what: gone.append(what))
        def fetch(x: int) -> int:
            return x

        for x in range(10):
            fetch(x)
        fetch.cache.resize(max=4)
        assert len(fetch.cache) == 4
        assert len(gone) == 6
        assert {reason for _, _, reason in gone} == {EvictionReason.SIZE}
        assert fetch.cache.stats().max == fetch.cache_info().maxsize == fetch.cache_parameters()["maxsize"] == 4
        check(fetch)
        for x in range(100, 130):
            fetch(x)
            assert len(fetch.cache.store) <= 4
        check(fetch)
        fetch.cache.resize(20)
        for x in range(200, 230):
            fetch(x)
        assert len(fetch.cache) == 20
        check(fetch)


def test_resize_of_bytes() -> None:
    @bounded(max=10, max_bytes=4_000, sizeof=lambda value: len(value) * 20)
    def fetch(size: int) -> str:
        return "x" * size

    for size in (20, 21, 22, 23):
        fetch(size)
    fetch.cache.resize(max_bytes="2kB")
    stats = fetch.cache.stats()
    assert stats.bytes is not None
    assert 0 < stats.bytes <= stats.max_bytes == 2_000  # type: ignore[operator]
    assert stats.max == 10
    fetch.cache.resize(max=1)
    assert len(fetch.cache) == 1
    check(fetch)


def test_resize_refuses_nonsense() -> None:
    @bounded(max=10)
    def fetch(x: int) -> int:
        return x

    with pytest.raises(TypeError, match="neither max= nor max_bytes="):
        fetch.cache.resize()
    with pytest.raises(TypeError, match=r"max_bytes='1MB'.*max_bytes="):
        fetch.cache.resize(max_bytes="1MB")
    with pytest.raises(ValueError, match="max=0"):
        fetch.cache.resize(0)
    with pytest.raises(TypeError, match="max=True"):
        fetch.cache.resize(max=True)
    assert fetch.cache.stats().max == 10


# -- policies


@settings(max_examples=60, deadline=None)
@given(
    bound=st.integers(1, 8),
    trace=st.lists(
        st.tuples(st.integers(0, 12), st.booleans()) | st.sampled_from(["clear", "info"]),
        max_size=200,
    ),
)
def test_lru_evicts_and_counts_exactly_as_functools(bound: int, trace: list[Any]) -> None:
    ours: list[int] = []
    theirs: list[int] = []

    @bounded(max=bound, policy="lru", registry=Registry())
    def fetch(x: int) -> int:
        ours.append(x)
        return x

    @functools.lru_cache(maxsize=bound)
    def reference(x: int) -> int:
        theirs.append(x)
        return x

    for step in trace:
        if step == "clear":
            assert fetch.cache_clear() is reference.cache_clear() is None
        elif step != "info":
            x, by_keyword = step
            # functools keeps both spellings apart, so it is always given one
            assert (fetch(x=x) if by_keyword else fetch(x)) == reference(x)
        assert tuple(fetch.cache_info()) == tuple(reference.cache_info())
    assert ours == theirs
    check(fetch)


@pytest.mark.parametrize("typed", [False, True])
@settings(max_examples=40, deadline=None)
@given(trace=st.lists(st.sampled_from([0, 0.0, False, 1, 1.0, True, 2, "clear", "fail"]), max_size=60))
def test_without_evictions_every_policy_counts_as_functools(typed: bool, trace: list[Any]) -> None:
    def function(x: Any) -> list[Any]:
        if x == "fail":
            raise LookupError("no")
        return [type(x)]

    reference = functools.lru_cache(maxsize=50, typed=typed)(function)
    for policy in POLICIES:
        fetch = bounded(max=50, typed=typed, policy=policy, registry=Registry())(function)
        reference.cache_clear()
        for x in trace:
            if x == "clear":
                fetch.cache_clear()
                reference.cache_clear()
            elif not typed and type(x) in (float, bool):
                continue  # functools keeps an int apart from an equal float even then
            elif x == "fail":
                for call in (fetch, reference):
                    with pytest.raises(LookupError):
                        call(x)
            else:
                assert fetch(x) == reference(x)
            assert tuple(fetch.cache_info()) == tuple(reference.cache_info())
        assert fetch.cache_parameters() == reference.cache_parameters()


def test_cache_info_reads_like_that_of_functools() -> None:
    @bounded(max=3)
    def fetch(x: int) -> int:
        return x

    fetch(1)
    fetch(1)
    info = fetch.cache_info()
    assert repr(info) == "CacheInfo(hits=1, misses=1, maxsize=3, currsize=1)"
    assert info._fields == ("hits", "misses", "maxsize", "currsize")

    @bounded(max_bytes=100)
    def weighed(x: int) -> int:
        return x

    assert weighed.cache_info().maxsize is None
    assert weighed.cache_parameters() == {"maxsize": None, "typed": False}


def test_cache_clear_resets_the_counters_and_clear_does_not() -> None:
    gone: Gone = []

    @bounded(max=3, on_evict=lambda *what: gone.append(what))
    def fetch(x: int) -> int:
        return x

    fetch(1)
    fetch(1)
    assert fetch.cache.clear() == 1
    assert fetch.cache_info() == (1, 1, 3, 0)
    fetch(2)
    fetch(2)
    fetch.cache_clear()
    assert fetch.cache_info() == (0, 0, 3, 0)
    assert fetch.cache.stats().requests == 0
    assert [reason for _, _, reason in gone] == [EvictionReason.CLEARED] * 2
    fetch(1)
    fetch(1)
    assert fetch.cache_info() == (1, 1, 3, 1)


def test_fifo_evicts_the_oldest_whatever_its_use() -> None:
    @bounded(max=2, policy="fifo")
    def fetch(x: int) -> int:
        return x

    fetch(1)
    fetch(2)
    fetch(1)
    fetch(3)
    assert list(fetch.cache) == [2, 3]


def test_lfu_evicts_the_least_used() -> None:
    @bounded(max=3, policy="lfu")
    def fetch(x: int) -> int:
        return x

    for x in (1, 1, 1, 2, 3, 3):
        fetch(x)
    fetch(4)
    assert sorted(fetch.cache) == [1, 3, 4]


def test_s3fifo_keeps_what_is_used_through_a_scan() -> None:
    @bounded(max=100)
    def fetch(x: int) -> int:
        return x

    for _ in range(4):
        for x in range(50):
            fetch(x)
    for x in range(1000, 3000):
        fetch(x)
    before = fetch.cache.stats()
    for x in range(50):
        fetch(x)
    assert (fetch.cache.stats() - before).hits >= 45, "a scan washed out what was in use"


def test_the_store_is_the_policy_s_cache() -> None:
    kinds = {"lru": cachetools.LRUCache, "lfu": cachetools.LFUCache, "fifo": cachetools.FIFOCache}
    for policy in POLICIES:
        function = bounded(max=3, policy=policy)(abs)
        assert isinstance(function.cache.store, kinds.get(policy, cachetools.Cache))
        function(-1)
        function(-2)
        assert function.cache.store.currsize == len(function.cache.store) == 2
        assert function.cache.store.maxsize == 3
        assert list(function.cache.store) == [-1, -2]


class Newest(cachetools.Cache[Any, Any]):
    """Evicts what came last."""

    def popitem(self) -> Any:
        key = next(reversed(list(self)))
        return key, self.pop(key)


class Watching(cachetools.LRUCache[Any, Any]):
    """Notes what it is shown."""

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self.shown: list[Any] = []

    def __getitem__(self, key: Any) -> Any:
        self.shown.append(key)
        return super().__getitem__(key)


class Dropping(cachetools.FIFOCache[Any, Any]):
    """Drops everything else, unasked, whenever a multiple of 5 comes."""

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        if key % 5 == 0:
            for other in [other for other in self if other != key]:
                del self[other]


class Declining(cachetools.LRUCache[Any, Any]):
    """Does not take odd keys."""

    def __setitem__(self, key: Any, value: Any) -> None:
        if key % 2 == 0:
            super().__setitem__(key, value)


class Forgetful(cachetools.LRUCache[Any, Any]):
    """Drops an entry unasked while it is looked up."""

    def __getitem__(self, key: Any) -> Any:
        if key % 3 == 0 and key in self:
            del self[key]
        return super().__getitem__(key)


def test_a_policy_of_the_user_decides_what_goes() -> None:
    @bounded(max=2, policy=Newest)
    def fetch(x: int) -> int:
        return x

    for x in (1, 2, 3, 4):
        fetch(x)
    assert sorted(fetch.cache) == [1, 4]
    assert type(fetch.cache.store) is Newest


def test_a_policy_of_the_user_sees_every_hit() -> None:
    @bounded(max=3, policy=Watching)
    def fetch(x: int) -> int:
        return x

    fetch(1)
    fetch(2)
    fetch(1)
    fetch(1)
    store = fetch.cache.store
    assert isinstance(store, Watching)
    assert [x for x in store.shown if x == 1] == [1, 1]


@pytest.mark.parametrize("policy", [Newest, Watching, Dropping, Declining, Forgetful])
@settings(max_examples=25, deadline=None)
@given(trace=st.lists(st.integers(0, 20), max_size=100))
def test_whatever_a_policy_of_the_user_does_values_are_right_and_bounds_hold(policy: Any, trace: list[int]) -> None:
    gone: Gone = []

    @bounded(max=6, policy=policy, registry=Registry(), on_evict=lambda *what: gone.append(what))
    def fetch(x: int) -> tuple[int]:
        return (x,)

    for x in trace:
        assert fetch(x) == (x,)
        assert len(fetch.cache) <= 6
        assert len(fetch.cache.store) <= 6
    fetch.cache.cleanup()
    stats = fetch.cache.stats()
    assert stats.requests == len(trace)
    assert stats.misses == len(gone) + stats.size
    assert {reason for _, _, reason in gone} <= {EvictionReason.SIZE, EvictionReason.REPLACED}
    check(fetch)


def test_a_policy_that_fails_leaves_nothing_half_done() -> None:
    class Failing(cachetools.LRUCache[Any, Any]):
        broken = False

        def popitem(self) -> Any:
            if Failing.broken:
                raise RuntimeError("out of order")
            return super().popitem()

    gone: Gone = []

    @bounded(max=2, policy=Failing, on_evict=lambda *what: gone.append(what))
    def fetch(x: int) -> int:
        return x

    fetch(1)
    fetch(2)
    Failing.broken = True
    with pytest.raises(RuntimeError, match="out of order"):
        fetch(3)
    Failing.broken = False
    assert len(fetch.inflight) == 0
    check(fetch)
    for x in range(10):
        assert fetch(x) == x
    assert len(fetch.cache) == 2
    check(fetch)


def test_a_policy_that_wants_more_than_a_size_is_refused_at_decoration() -> None:
    with pytest.raises(TypeError, match=r"policy=.*TTLCache.*ttl="):
        bounded(max=3, policy=cachetools.TTLCache)(abs)


# -- cache_if and copy


def test_cache_if_decides_what_is_stored() -> None:
    @bounded(max=8, cache_if=lambda value: value is not None)
    def fetch(name: str) -> str | None:
        return name or None

    assert fetch("") is None
    assert fetch("") is None
    assert fetch("a") == fetch("a") == "a"
    stats = fetch.cache.stats()
    assert (stats.misses, stats.hits, stats.rejected, stats.size) == (3, 1, 2, 1)


def test_a_raising_cache_if_is_logged_and_the_value_not_stored(caplog: pytest.LogCaptureFixture) -> None:
    def judge(value: str) -> bool:
        raise LookupError("no opinion")

    @bounded(max=8, cache_if=judge)
    def fetch(name: str) -> str:
        return name

    assert fetch("a") == "a"
    assert "no opinion" in caplog.text
    assert {record.name for record in caplog.records} == {"memo"}
    assert len(fetch.cache) == 0


def test_none_is_remembered_like_any_value() -> None:
    calls = []

    @bounded(max=8)
    def fetch(name: str) -> None:
        calls.append(name)

    fetch("a")
    fetch("a")
    assert calls == ["a"]


@pytest.mark.parametrize("how", ["shallow", "deep", lambda value: [list(part) for part in value]])
def test_a_copy_protects_the_stored_value(how: Any) -> None:
    @bounded(max=8, copy=how)
    def fetch(name: str) -> list[list[str]]:
        return [[name]]

    @bounded(max=8, copy=how, policy="lru", ttl=60)
    async def fetch_later(name: str) -> list[list[str]]:
        return [[name]]

    def spoil(value: list[Any]) -> None:
        assert value == [["a"]]
        value.append("spoiled")
        if how != "shallow":
            value[0].append("spoiled")

    for _ in range(3):
        spoil(fetch("a"))
    entry = fetch.cache.entry("a")
    assert entry is not None
    spoil(entry.value)
    spoil(fetch.cache.items()[0][1])
    spoil(fetch.cache.refresh("a"))
    spoil(fetch("a"))

    async def use() -> None:
        for value in await asyncio.gather(*(fetch_later("a") for _ in range(4))):
            spoil(value)
        spoil(await fetch_later("a"))

    asyncio.run(use())


# -- on_evict


def test_on_evict_is_told_each_reason_once_after_the_value_left() -> None:
    clock = FakeClock()
    gone: list[tuple[Any, Any, str]] = []

    def note(key: Any, value: Any, reason: EvictionReason) -> None:
        assert isinstance(reason, EvictionReason)
        assert not any(stored is value for _, stored in fetch.cache.items())
        gone.append((key, value, str(reason)))

    numbers = itertools.count()

    @bounded(max=2, ttl=10, policy="lru", on_evict=note, clock=clock)
    def fetch(name: str) -> tuple[int]:
        return (next(numbers),)

    a, b = fetch("a"), fetch("b")
    fetch("c")
    assert gone.pop() == ("a", a, "size")
    fetch.cache.put("new", "b")
    assert gone.pop() == ("b", b, "replaced")
    fetch.cache.invalidate("b")
    assert gone.pop() == ("b", "new", "invalidated")
    fetch.cache.clear()
    assert gone.pop()[2] == "cleared"
    d = fetch("d")
    fetch.cache.refresh("d")
    assert gone.pop() == ("d", d, "replaced")
    clock.advance(10)
    fetch.cache.cleanup()
    assert gone.pop()[2] == "expired"
    assert gone == []
    assert {str(reason): count for reason, count in fetch.cache.stats().evictions.items()} == {
        "size": 1,
        "replaced": 2,
        "invalidated": 1,
        "cleared": 1,
        "expired": 1,
        "collected": 0,
    }


def test_the_identical_object_put_again_has_not_left() -> None:
    gone: Gone = []
    value = ["the one"]

    @bounded(max=2, on_evict=lambda *what: gone.append(what))
    def fetch(name: str) -> list[str]:
        return value

    fetch("a")
    fetch.cache.put(value, "a")
    fetch.cache.refresh("a")
    assert gone == []
    assert sum(fetch.cache.stats().evictions.values()) == 0
    fetch.cache.put(list(value), "a")
    assert len(gone) == 1


def test_on_evict_runs_before_the_operation_returns_in_its_thread() -> None:
    threads: list[threading.Thread] = []

    @bounded(max=1, on_evict=lambda *what: threads.append(threading.current_thread()))
    def fetch(name: str) -> str:
        return name

    fetch("a")
    running = Running(lambda: (fetch("b"), len(threads)))
    assert running.result() == ("b", 1)
    assert threads == [running.thread]


def test_a_raising_on_evict_is_logged_and_dropped(caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    def fail(key: Any, value: Any, reason: EvictionReason) -> None:
        seen.append(key)
        raise LookupError(f"cannot close {key}")

    @bounded(max=1, on_evict=fail)
    def fetch(name: str) -> str:
        return name

    fetch("a")
    assert fetch("b") == "b"
    fetch.cache.put("c", "b")
    assert fetch.cache.clear() == 1
    assert seen == ["a", "b", "b"]
    assert [record.name for record in caplog.records] == ["memo"] * 3
    assert "cannot close a" in caplog.text
    check(fetch)


@pytest.mark.parametrize("policy", POLICIES)
def test_on_evict_may_use_the_cache(policy: str) -> None:
    seen: list[Any] = []

    def note(key: Any, value: Any, reason: EvictionReason) -> None:
        seen.append(key)
        if len(seen) < 20:
            assert fetch(key + 100) == key + 100
            fetch.cache.invalidate(key + 100)
            fetch.cache.put(1, -1)
            fetch.cache.resize(max=2)
            fetch.cache.stats()

    @bounded(max=2, policy=policy, on_evict=note)
    def fetch(x: int) -> int:
        return x

    for x in range(8):
        assert fetch(x) == x
    assert len(seen) >= 8
    check(fetch)


def test_on_evict_runs_outside_the_lock() -> None:
    answers = []

    def note(key: Any, value: Any, reason: EvictionReason) -> None:
        if not answers:
            answers.append(None)
            answers.append(Running(lambda: (fetch(7), fetch.cache.invalidate(7), len(fetch.cache))).result())

    @bounded(max=4, policy="lru", on_evict=note)
    def fetch(x: int) -> int:
        return x

    fetch(1)
    fetch(2)
    fetch.cache.invalidate(1)
    assert answers == [None, (7, True, 1)]


def test_user_functions_run_outside_the_lock() -> None:
    def elsewhere(*args: Any) -> Any:
        """Needs the cache's lock, in another thread."""
        Running(lambda: (fetch.cache.put("x", "other"), fetch.cache.stats())).result()
        return True

    @bounded(
        max=8,
        max_bytes=1000,
        sizeof=lambda value: elsewhere() and 1 if value != "x" else 1,
        cache_if=lambda value: elsewhere() if value != "x" else True,
        copy=lambda value: elsewhere() and value if value != "x" else value,
        key=lambda name: elsewhere() and name if name != "other" else name,
    )
    def fetch(name: str) -> str:
        elsewhere()
        return name

    assert fetch("a") == fetch("a") == "a"
    assert fetch.cache.invalidate_where(lambda key, value: key == "a" and elsewhere()) == 1


def test_a_value_never_stored_never_reaches_on_evict() -> None:
    gone: Gone = []

    @bounded(
        max=8, max_bytes=500, sizeof=len, cache_if=lambda value: value != "no", on_evict=lambda *what: gone.append(what)
    )
    def fetch(name: str) -> str:
        if name == "fenced":
            fetch.cache.invalidate("fenced")
        return name

    for name in ("no", "far too large for it" * 20, "fenced"):
        assert fetch(name) == name
    assert len(fetch.cache) == 0
    fetch.cache.clear()
    assert gone == []


# -- whatever a caller does later wins over a load begun earlier


def _invalidate(function: Any) -> None:
    function.cache.invalidate("a")


def _invalidate_where(function: Any) -> None:
    function.cache.invalidate_where(lambda key, value: False)


def _clear(function: Any) -> None:
    function.cache.clear()


def _cache_clear(function: Any) -> None:
    function.cache_clear()


def _put(function: Any) -> None:
    function.cache.put(["put"], "a")


def _forget(function: Any) -> None:
    function.inflight.forget("a")


LATER = [_invalidate, _invalidate_where, _clear, _cache_clear, _put, _forget]


@pytest.mark.parametrize("policy", ["s3fifo", "lru"])
@pytest.mark.parametrize("later", LATER)
def test_a_load_begun_earlier_does_not_store(policy: str, later: Callable[[Any], None]) -> None:
    gate = Gate()
    gone: Gone = []

    @bounded(max=8, policy=policy, on_evict=lambda *what: gone.append(what))
    def fetch(name: str) -> list[str]:
        gate.wait()
        return [name]

    leader = Running(lambda: fetch("a"))
    assert gate.entered.wait(LIMIT_S)
    joiner = Running(lambda: fetch("a"))
    until(lambda: [flight.waiters for flight in fetch.inflight.pending()] == [1])
    later(fetch)
    gate.opened.set()
    assert leader.result() == ["a"]
    assert joiner.result() is leader.result()
    expected = [("a", ["put"])] if later is _put else []
    assert fetch.cache.items() == expected
    assert gone == []
    assert fetch("a") == (["put"] if later is _put else ["a"])
    check(fetch)


@pytest.mark.parametrize("later", LATER)
def test_a_load_begun_earlier_does_not_store_with_coroutines(later: Callable[[Any], None]) -> None:
    async def use() -> None:
        opened = asyncio.Event()

        @bounded(max=8)
        async def fetch(name: str) -> list[str]:
            await opened.wait()
            return [name]

        tasks = [asyncio.create_task(fetch("a")) for _ in range(3)]
        await until_async(lambda: [flight.waiters for flight in fetch.inflight.pending()] == [2])
        later(fetch)
        opened.set()
        results = await asyncio.gather(*tasks)
        assert results == [["a"]] * 3
        assert results[0] is results[1] is results[2]
        assert fetch.cache.items() == ([("a", ["put"])] if later is _put else [])
        assert await fetch("a") == (["put"] if later is _put else ["a"])

    asyncio.run(use())


def test_a_call_after_an_invalidation_starts_anew() -> None:
    gates = [Gate(), Gate()]
    numbers = itertools.count()

    @bounded(max=8)
    def fetch(name: str) -> int:
        number = next(numbers)
        gates[number].wait()
        return number

    early = Running(lambda: fetch("a"))
    assert gates[0].entered.wait(LIMIT_S)
    fetch.cache.invalidate("a")
    late = Running(lambda: fetch("a"))
    assert gates[1].entered.wait(LIMIT_S)
    gates[1].opened.set()
    assert late.result() == 1
    gates[0].opened.set()
    assert early.result() == 0
    assert fetch("a") == 1
    assert fetch.cache.stats().misses == 2


def test_a_refresh_supersedes_a_running_load() -> None:
    gates = [Gate(), Gate()]
    numbers = itertools.count()

    @bounded(max=8)
    def fetch(name: str) -> int:
        number = next(numbers)
        gates[number].wait()
        return number

    load = Running(lambda: fetch("a"))
    assert gates[0].entered.wait(LIMIT_S)
    refresh = Running(lambda: fetch.cache.refresh("a"))
    assert gates[1].entered.wait(LIMIT_S)
    joiner = Running(lambda: fetch("a"))
    until(lambda: [flight.waiters for flight in fetch.inflight.pending()] == [1])
    gates[1].opened.set()
    assert refresh.result() == 1
    assert joiner.result() == 1
    gates[0].opened.set()
    assert load.result() == 0
    assert fetch("a") == 1
    stats = fetch.cache.stats()
    assert (stats.misses, stats.joins, stats.hits, stats.refreshes, stats.loads) == (1, 1, 1, 1, 2)


def test_eviction_during_a_load_does_not_fence_it() -> None:
    gate = Gate()

    @bounded(max=1)
    def fetch(name: str) -> str:
        if name == "a" and not gate.opened.is_set():
            gate.wait()
        return name

    load = Running(lambda: fetch("a"))
    assert gate.entered.wait(LIMIT_S)
    fetch("b")
    fetch("c")
    gate.opened.set()
    assert load.result() == "a"
    assert fetch.cache.items() == [("a", "a")]


def test_the_function_may_change_its_own_entry() -> None:
    @bounded(max=8)
    def fetch(name: str) -> str:
        fetch.cache.put("put", name)
        return "loaded"

    assert fetch("a") == "loaded"
    assert fetch("a") == "put"


# -- refresh and put


def test_a_refresh_loads_stores_and_is_no_call() -> None:
    numbers = itertools.count()

    @bounded(max=8)
    def fetch(name: str) -> int:
        return next(numbers)

    assert fetch.cache.refresh("a") == 0
    assert fetch("a") == 0
    assert fetch.cache.refresh(name="a") == 1
    assert fetch("a") == 1
    stats = fetch.cache.stats()
    assert (stats.hits, stats.misses, stats.refreshes, stats.loads, stats.requests) == (2, 0, 2, 2, 2)


def test_a_failing_refresh_raises_and_keeps_the_old_value() -> None:
    failing = False

    @bounded(max=8)
    def fetch(name: str) -> str:
        if failing:
            raise LookupError("down")
        return name

    @bounded(max=8)
    async def fetch_later(name: str) -> str:
        if failing:
            raise LookupError("down")
        return name

    async def use() -> None:
        assert await fetch_later.cache.refresh("a") == "a"
        nonlocal failing
        failing = True
        with pytest.raises(LookupError, match=r"^down$"):
            await fetch_later.cache.refresh("a")
        assert await fetch_later("a") == "a"
        failing = False

    asyncio.run(use())
    fetch("a")
    failing = True
    with pytest.raises(LookupError, match=r"^down$"):
        fetch.cache.refresh("a")
    assert fetch("a") == "a"
    stats = fetch.cache.stats()
    assert (stats.hits, stats.misses, stats.loads, stats.load_errors, stats.refreshes) == (1, 1, 1, 1, 1)


def test_put_stores_for_a_call_and_is_none() -> None:
    @bounded(max=8, ttl=60)
    async def fetch(name: str, lang: str = "en") -> str:
        raise AssertionError("nobody has to load")

    async def use() -> None:
        fetch.cache.put("put", "a")
        assert await fetch(name="a", lang="en") == "put"
        with pytest.raises(TypeError):
            fetch.cache.put("value")
        stats = fetch.cache.stats()
        assert (stats.hits, stats.misses, stats.loads) == (1, 0, 0)

    asyncio.run(use())


def test_invalidate_where_sees_live_keys_and_values() -> None:
    clock = FakeClock()
    seen: list[Any] = []

    @bounded(max=8, ttl=10, clock=clock)
    def fetch(a: int, b: int = 0) -> int:
        return a * 10 + b

    fetch(1)
    clock.advance(5)
    fetch(2)
    fetch(3, 4)
    clock.advance(5)
    assert fetch.cache.invalidate_where(lambda key, value: seen.append((key, value)) or key[0] == 3) == 1
    assert seen == [((2, 0), 20), ((3, 4), 34)]
    with pytest.raises(LookupError):
        fetch.cache.invalidate_where(lambda key, value: {}[key])
    assert len(fetch.cache) == 2
    with pytest.raises(TypeError, match="3 cannot be called"):
        fetch.cache.invalidate_where(3)  # type: ignore[arg-type]
    check(fetch)


# -- one-shot results


class Once:
    def __iter__(self) -> "Once":
        return self

    def __next__(self) -> int:
        raise StopIteration


async def _coroutine() -> int:
    return 1


async def _agenerator() -> Any:
    yield 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: (x for x in "ab"),
        lambda: iter([1]),
        lambda: map(str, [1]),
        lambda: zip([1], strict=True),
        Once,
        _coroutine,
        _agenerator,
        itertools.count,
    ],
)
def test_a_result_that_can_be_used_once_is_refused(make: Callable[[], Any]) -> None:
    @bounded(max=8)
    def fetch() -> Any:
        return make()

    @bounded(max=8)
    async def fetch_later() -> Any:
        return make()

    for _ in range(2):
        with pytest.raises(TypeError, match=r"fetch\(\) returned .*(return a list|async def)"):
            fetch()
        with pytest.raises(TypeError, match=r"fetch_later\(\) returned .*(return a list|async def)"):
            asyncio.run(fetch_later())
    assert len(fetch.cache) == len(fetch.inflight) == 0
    assert fetch.cache.stats().load_errors == 2
    assert fetch_later.cache.stats().load_errors == 2
    with pytest.raises(TypeError, match="returned"):
        fetch.cache.refresh()


def test_iterables_and_open_files_may_pass() -> None:
    with open(__file__, encoding="utf-8") as file:
        for value in (file, io.BytesIO(b"x"), range(3), {"a": 1}.items(), [1], "text", Awaitable()):

            @bounded(max=8)
            def fetch() -> Any:
                return value  # noqa: B023  # called in this round

            assert fetch() is fetch() is value


class Awaitable:
    def __await__(self) -> Any:
        yield


def _generator() -> Any:
    yield 1


class GeneratorMethod:
    @staticmethod
    def static() -> Any:
        yield 1

    @classmethod
    def of_class(cls) -> Any:
        yield 1


@pytest.mark.parametrize(
    "function",
    [
        _generator,
        _agenerator,
        staticmethod(_generator),
        classmethod(_generator),
        property(_generator),
        functools.partial(_generator),
        GeneratorMethod.static,
        GeneratorMethod.of_class,
    ],
)
def test_a_generator_function_is_refused_at_decoration(function: Any) -> None:
    with pytest.raises(TypeError, match=r"bounded: .*generator function.*return a list"):
        bounded(max=8)(function)


# -- recursion and failures


def test_recursion_with_other_keys() -> None:
    for policy in POLICIES:

        @bounded(max=200, policy=policy)
        def fibonacci(n: int) -> int:
            return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

        assert fibonacci(80) == 23416728348467685
        assert fibonacci.cache_info() == (78, 81, 200, 81)

    @bounded(max=200)
    async def later(n: int) -> int:
        return n if n < 2 else await later(n - 1) + await later(n - 2)

    assert asyncio.run(later(60)) == 1548008755920
    assert later.cache_info() == (58, 61, 200, 61)


def test_recursion_with_the_same_key_runs_straight_through() -> None:
    depth = 0

    @bounded(max=8)
    def fetch(name: str) -> int:
        nonlocal depth
        depth += 1
        return 0 if depth == 3 else fetch(name) + 1

    assert fetch("a") == 2
    assert fetch("a") == fetch.cache.items()[0][1]
    assert len(fetch.inflight) == 0
    assert fetch.cache.stats().misses == 3

    @bounded(max=8)
    async def later(name: str) -> int:
        nonlocal depth
        depth += 1
        return 0 if depth == 3 else await later(name) + 1

    async def use() -> None:
        nonlocal depth
        depth = 0
        assert await later("a") == 2
        assert len(later.inflight) == 0
        assert later.cache.stats().misses == 3

    asyncio.run(use())


def test_a_recursion_too_deep_leaves_nothing_behind() -> None:
    @bounded(max=8)
    def fetch(n: int) -> int:
        return fetch(n + 1)

    with pytest.raises(RecursionError):
        fetch(0)
    assert len(fetch.inflight) == 0
    assert len(fetch.cache) == 0
    check(fetch)

    @bounded(max=5000)
    def down(n: int) -> int:
        return 0 if n == 0 else down(n - 1) + 1

    assert down(100) == 100


def test_a_failure_is_not_remembered() -> None:
    calls = []

    @bounded(max=8)
    def fetch(name: str) -> str:
        calls.append(name)
        raise LookupError(name)

    for _ in range(3):
        with pytest.raises(LookupError, match=r"^'a'$|^a$"):
            fetch("a")
    assert len(calls) == 3
    stats = fetch.cache.stats()
    assert (stats.misses, stats.hits, stats.loads, stats.load_errors, stats.size) == (3, 0, 0, 3, 0)


def test_joiners_see_the_failure_of_the_load() -> None:
    gate = Gate()

    @bounded(max=8)
    def fetch(name: str) -> str:
        gate.wait()
        raise LookupError(name)

    running = [Running(lambda: fetch("a"))]
    assert gate.entered.wait(LIMIT_S)
    running += [Running(lambda: fetch("a")) for _ in range(3)]
    until(lambda: [flight.waiters for flight in fetch.inflight.pending()] == [3])
    gate.opened.set()
    for call in running:
        with pytest.raises(LookupError) as raised:
            call.result()
        assert raised.value.args == ("a",)
    stats = fetch.cache.stats()
    assert (stats.misses, stats.joins, stats.load_errors) == (1, 3, 1)


def test_a_call_that_finds_a_load_just_before_it_fails_gets_its_error_or_loads_anew() -> None:
    gate = Gate()
    calls, reads = [], []
    threads: list[threading.Thread] = []

    def clock() -> float:
        if threading.current_thread() not in threads[:1]:
            reads.append(None)
            if len(reads) == 2:  # it has found the load, and asks how old it is: let it fail now
                gate.opened.set()
                until(lambda: not threads[0].is_alive())
        return 1000.0

    @bounded(max=8, timeout=30, clock=clock)
    def fetch(name: str) -> str:
        calls.append(name)
        if len(calls) == 1:
            threads.append(threading.current_thread())
            gate.wait()
        raise LookupError(name)

    leader = Running(lambda: fetch("a"))
    assert gate.entered.wait(LIMIT_S)
    reads.clear()
    late = Running(lambda: fetch("a"))
    for call in (late, leader):
        with pytest.raises(LookupError):
            call.result()
    stats = fetch.cache.stats()
    assert stats.requests == 2
    assert stats.misses == stats.load_errors == len(calls)
    assert len(fetch.inflight) == 0


def test_a_call_that_comes_while_a_load_is_failing_takes_nothing_from_those_who_wait() -> None:
    gate = Gate()
    calls = []

    @bounded(max=8)
    def fetch(name: str) -> str:
        if name == "first":
            return name
        calls.append(name)
        if len(calls) == 1:
            gate.wait()
        raise LookupError(name)

    # the moment between the end of the work and the end of its flight has no code of the user's in it
    fetch("first")  # which makes the wrapper
    cache_before, flights_before = fetch.cache.stats(), fetch.inflight.stats()
    generated = fetch._self_layer.generated
    failed = generated.read("failed")
    newcomers: list[Running] = []

    def failing(flight: Any, error: BaseException) -> None:
        if not newcomers:
            newcomers.append(Running(lambda: fetch("a")))
            until(lambda: flight.joined == 2 or len(calls) > 1 or not newcomers[0].thread.is_alive())
        failed(flight, error)

    generated.assign("failed", failing)
    leader = Running(lambda: fetch("a"))
    assert gate.entered.wait(LIMIT_S)
    joiner = Running(lambda: fetch("a"))
    until(lambda: [flight.waiters for flight in fetch.inflight.pending()] == [1])
    gate.opened.set()
    for call in (leader, joiner):
        with pytest.raises(LookupError):
            call.result()
    with pytest.raises(LookupError):
        newcomers[0].result()
    stats, flights = fetch.cache.stats() - cache_before, fetch.inflight.stats() - flights_before
    assert stats.joins >= 1, "who waited for the failing load was sent to load by himself"
    assert stats.requests == 3
    assert stats.misses == stats.load_errors == len(calls)
    assert (flights.failed, flights.cancelled) == (len(calls), 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupted_load_leaves_nothing_stuck(error: type[BaseException]) -> None:
    failing = True

    @bounded(max=8)
    def fetch(name: str) -> str:
        if failing:
            raise error
        return name

    with pytest.raises(error):
        fetch("a")
    with pytest.raises(error):
        fetch.cache.refresh("a")
    assert len(fetch.inflight) == 0
    failing = False
    assert fetch("a") == fetch("a") == "a"
    assert fetch.cache.stats().load_errors == 2


def test_ctrl_c_during_a_load_leaves_nothing_stuck() -> None:
    failing = True

    @bounded(max=8)
    def fetch(name: str) -> str:
        if failing:
            signal.raise_signal(signal.SIGINT)
        return name

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        fetch("a")
    assert len(fetch.inflight) == 0
    failing = False
    assert fetch("a") == "a"


def test_a_joiner_takes_over_from_an_interrupted_leader() -> None:
    gate = Gate()
    leaders: list[threading.Thread] = []

    @bounded(max=8)
    def fetch(name: str) -> str:
        leaders.append(threading.current_thread())
        if len(leaders) == 1:
            gate.wait()
            raise KeyboardInterrupt
        return name

    leader = Running(lambda: fetch("a"))
    assert gate.entered.wait(LIMIT_S)
    joiner = Running(lambda: fetch("a"))
    until(lambda: [flight.waiters for flight in fetch.inflight.pending()] == [1])
    gate.opened.set()
    with pytest.raises(KeyboardInterrupt):
        leader.result()
    assert joiner.result() == "a"
    assert leaders == [leader.thread, joiner.thread]
    stats = fetch.cache.stats()
    assert (stats.misses, stats.joins) == (2, 0)


def test_a_cancelled_load_is_not_stored_and_leaves_no_task() -> None:
    async def use() -> None:
        started = asyncio.Event()

        @bounded(max=8)
        async def fetch(name: str) -> str:
            started.set()
            await asyncio.Event().wait()
            return name

        task = asyncio.create_task(fetch("a"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(fetch.inflight) == 0
        assert fetch.cache.stats().load_errors == 0
        assert fetch.inflight.stats().cancelled == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(use())


def test_a_load_older_than_timeout_is_given_up() -> None:
    clock = FakeClock()
    gate = Gate()

    @bounded(max=8, timeout="30s", clock=clock)
    def fetch(name: str) -> str:
        gate.wait()
        return name

    leader = Running(lambda: fetch("a"))
    assert gate.entered.wait(LIMIT_S)
    joiner = Running(lambda: fetch("a"))
    until(lambda: [flight.waiters for flight in fetch.inflight.pending()] == [1] and clock.waiting() == 1)
    clock.advance(30)
    with pytest.raises(InflightTimeout, match="30 s") as raised:
        joiner.result()
    assert isinstance(raised.value, TimeoutError)
    assert len(fetch.inflight) == 0
    gate.opened.set()
    assert leader.result() == "a"
    assert len(fetch.cache) == 0


def test_without_dedupe_every_call_leads_and_the_last_begun_is_stored() -> None:
    gates = [Gate(), Gate()]
    numbers = itertools.count()

    @bounded(max=8, dedupe=False)
    def fetch(name: str) -> int:
        number = next(numbers)
        gates[number].wait()
        return number

    first = Running(lambda: fetch("a"))
    assert gates[0].entered.wait(LIMIT_S)
    second = Running(lambda: fetch("a"))
    assert gates[1].entered.wait(LIMIT_S)
    gates[1].opened.set()
    assert second.result() == 1
    gates[0].opened.set()
    assert first.result() == 0
    assert fetch("a") == 1
    assert fetch.cache_info() == (1, 2, 8, 1)


# -- counters


def test_concurrent_coroutines_share_one_load() -> None:
    async def use() -> None:
        loads = 0

        @bounded(max=8)
        async def fetch(name: str) -> list[str]:
            nonlocal loads
            loads += 1
            await asyncio.sleep(0)
            return [name]

        results = await asyncio.gather(*(fetch("a") for _ in range(50)), *(fetch("b") for _ in range(5)))
        assert loads == 2
        assert len({id(result) for result in results}) == 2
        stats = fetch.cache.stats()
        assert (stats.misses, stats.joins, stats.hits, stats.requests) == (2, 53, 0, 55)
        assert fetch.cache_info() == (53, 2, 8, 2)

    asyncio.run(use())


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("options", [{}, {"ttl": 0.0005}, {"dedupe": False}], ids=["plain", "ttl", "undeduped"])
def test_every_call_of_eight_threads_raises_exactly_one_counter(policy: str, options: dict[str, Any]) -> None:
    calls, threads = 1200, 8
    gone = collections.Counter[str]()
    lock = threading.Lock()

    def note(key: Any, value: Any, reason: EvictionReason) -> None:
        with lock:
            gone[str(reason)] += 1

    loads = itertools.count()

    @bounded(max=16, policy=policy, on_evict=note, **options)
    def fetch(x: int) -> tuple[int]:
        next(loads)
        if x == 2:
            raise LookupError(x)
        return (x,)

    barrier = threading.Barrier(threads)

    def work(seed: int) -> int:
        chance = random.Random(seed)
        barrier.wait(LIMIT_S)
        failed = 0
        for _ in range(calls):
            x = int(chance.triangular(0, 40, 0))
            try:
                assert fetch(x) == (x,)
            except LookupError:
                failed += 1
                assert x == 2
        return failed

    with switching_often():
        running = [Running(functools.partial(work, seed)) for seed in range(threads)]
        for call in running:
            call.result()
    stats = fetch.cache.stats()
    assert calls_of(stats) == stats.requests == calls * threads
    assert stats.misses == stats.loads + stats.load_errors == next(loads)
    flights = fetch.inflight.stats()
    assert (flights.started, flights.joined, flights.cancelled) == (stats.misses, stats.joins, 0)
    assert (flights.completed, flights.failed) == (stats.loads, stats.load_errors)
    assert stats.size == len(fetch.cache.store) <= 16
    assert sum(stats.evictions.values()) == sum(gone.values())
    assert stats.loads >= sum(gone.values()) + stats.size
    assert len(fetch.inflight) == 0
    check(fetch)


@pytest.mark.parametrize("policy", POLICIES)
def test_max_is_never_exceeded_seen_from_another_thread(policy: str) -> None:
    bound, finished = 5, threading.Event()

    @bounded(max=bound, policy=policy)
    def fetch(x: int) -> int:
        return x

    index, store = fetch.cache._cache.store.index, fetch.cache.store

    def watch() -> int:
        most = 0
        while not finished.is_set():
            most = max(most, len(index), len(store), fetch.cache.stats().size)
        return most

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(1500):
            x = chance.randrange(20)
            fetch(x)
            if x == 0:
                fetch.cache.invalidate(chance.randrange(20))
            elif x == 1:
                fetch.cache.put(chance.randrange(20), 1)

    with switching_often():
        watcher = Running(watch)
        for call in [Running(functools.partial(work, seed)) for seed in range(4)]:
            call.result()
        finished.set()
        assert watcher.result() <= bound
    check(fetch)


def test_stats_are_frozen_and_subtract() -> None:
    @bounded(max=3, max_bytes="1kB", name="statistics")
    def fetch(x: int) -> int:
        return x

    @bounded(max=3)
    def other(x: int) -> int:
        return x

    fetch(1)
    before = fetch.cache.stats()
    fetch(1)
    fetch(2)
    fetch.cache.invalidate(1)
    after = fetch.cache.stats()
    change = after - before
    assert (change.hits, change.misses, change.loads, change.requests) == (1, 1, 1, 2)
    assert change.evictions[EvictionReason.INVALIDATED] == 1
    assert (change.size, change.max, change.max_bytes) == (1, 3, 1000)
    assert change.hit_ratio == 0.5
    assert (before.hit_ratio, after.hit_ratio) == (0.0, 1 / 3)
    with pytest.raises(FrozenInstanceError):
        after.hits = 5  # type: ignore[misc]
    with pytest.raises((TypeError, AttributeError)):
        after.evictions[EvictionReason.SIZE] = 5  # type: ignore[index]
    with pytest.raises(ValueError, match=r"other.*statistics"):
        _ = other.cache.stats() - after
    assert other.cache.stats().hit_ratio == 0.0
    assert other.cache.stats().load_mean == 0.0


# -- lifecycle


def test_a_decorated_closure_that_dies_takes_all_with_it() -> None:
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
