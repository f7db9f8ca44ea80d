"""A store keeps within its bounds of number and bytes."""

import collections
import logging
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.bounded import POLICIES, Gone, check

from memo import EvictionReason, Registry, bounded, sizeof
from memo._store.weights import weight


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=25, deadline=None)
@given(bound=st.integers(1, 12), trace=st.lists(st.integers(0, 25), max_size=150))
def test_never_more_than_max(policy: str, bound: int, trace: list[int]) -> None:
    """After every call the cache holds at most `max` results, and each result that made room was told of as SIZE."""
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
    """A value over the whole byte bound reaches its caller, counts as rejected, and pushes nothing else out."""
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
    """With `max` and `max_bytes` given, neither is exceeded after any call or put, and what was stored adds up."""
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
    """When `sizeof` answers with no usable size, that answer is logged and the result is rejected."""

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
    """An error of `sizeof` is logged, the caller gets the result, and the result counts as rejected."""

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
    """Without `sizeof=` an entry weighs what memo.sizeof() says of the value, plus its own overhead."""

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
    """A smaller `max` evicts the surplus before resize() returns, a larger one is filled again, under every policy."""
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
    """resize() changes one bound at a time, of bytes or of number, and the other stays."""

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
    """A resize() with no bound, a bound that was never given, or no number raises and leaves `max` as it was."""

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
