"""Results are fresh until their time to live is over, and go when they were not used for long."""

import asyncio
import math
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import pytest
from kit.bounded import POLICIES, Gone, check

from memo import EvictionReason, bounded
from memo._store.weights import weight
from memo.testing import FakeClock

# -- ttl and idle


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("ttl", [90, 90.0, "1m30s", timedelta(seconds=90), "90s", "1.5 minutes"])
def test_fresh_until_ttl_and_stale_at_exactly_ttl(policy: str, ttl: Any) -> None:
    """A result is hit for less than `ttl` after its load, and loaded anew at exactly that age."""
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
    """The time a load takes is no part of its result's life, and adds to `load_seconds`."""
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
    """A coroutine's result is fresh for `ttl` from the end of its load."""
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
    """Each hit starts `idle` anew, while entry() and items() do not."""
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
    """A result in use goes when `ttl` is over, and one unused when `idle` is over."""
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
    """What is past `ttl` is counted in the size until cleanup() removes it, but shown by no look."""
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
    """A call, invalidation, clear, put, eviction or resize reports an expired entry as EXPIRED."""
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
    """entry() gives value, age, rest of life, hits and bytes, or None, and changes no counter."""
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


@pytest.mark.pure_path("Entries in C have no number objects of their own to share.")
@pytest.mark.parametrize(
    "options",
    [{}, {"idle": 60}, {"cache_if": bool}, {"error_ttl": 5, "cache_errors": ValueError}, {"max_bytes": "1MB"}],
)
def test_entries_without_a_ttl_share_one_deadline(options: dict[str, Any]) -> None:
    """None of them keeps a number of its own for "never", loaded or put, by whatever rules it is stored."""

    @bounded(max=8, **options)
    def plain(name: str) -> str:
        return name

    @bounded(max=8, **options)
    async def awaited(name: str) -> str:
        return name

    plain("a")
    plain.cache.put("b", "b")
    asyncio.run(awaited("a"))
    deadlines = [entry.deadline for f in (plain, awaited) for entry in f.cache._cache.store.index.values()]
    assert len(deadlines) == 3
    assert all(deadline is math.inf for deadline in deadlines)
