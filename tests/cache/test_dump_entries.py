"""Entries come back with their times and their keys, in every placement."""

import asyncio
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kit.dumps import (
    Name,
    Placed,
    dump,
    load,
    make,
    several,
    work,
)

from memo import Registry
from memo.testing import FakeClock

# -- entries and their times


def test_results_come_back(path: Path) -> None:
    """What one process dumped is a hit in the next, without a call of the function."""
    function = make(ttl="1h")
    assert [function(name) for name in "abc"] == [work(name) for name in "abc"]
    assert function.cache.dump(path) == 3
    calls: list[str] = []
    again = make(lambda name: calls.append(name), ttl="1h")
    assert again.cache.load(path) == 3
    assert [again(name) for name in "abc"] == [work(name) for name in "abc"]
    assert calls == []
    assert again.cache.stats().hits == 3
    assert again.cache.stats().misses == again.cache.stats().loads == 0
    again.cache._check()


def test_an_empty_store_is_dumped(path: Path) -> None:
    """A dump of nothing loads as nothing."""
    assert dump(make(), path) == 0
    assert load(make(), path) == 0


def test_remaining_life_is_kept(path: Path) -> None:
    """An entry ages by the wall clock while no process runs, and lives on for what is left."""
    clock = FakeClock()
    function = make(ttl=60, clock=clock)
    function("a")
    clock.advance(20)
    dump(function, path, wall=5000.0)
    later = FakeClock(7.0)
    again = make(ttl=60, clock=later)
    assert load(again, path, wall=5030.0) == 1
    entry = again.cache.entry("a")
    assert (entry.age, entry.expires_in, entry.hits, entry.stale) == (50.0, 10.0, 0, False)
    later.advance(10)
    assert again.cache.entry("a") is None


@pytest.mark.parametrize(("passed", "count"), [(39.5, 1), (40.0, 0), (1e9, 0), (-1e9, 1)])
def test_what_expired_meanwhile_stays_away(path: Path, passed: float, count: int) -> None:
    """What expired between the processes is not restored; a wall clock that was put back expires nothing."""
    clock = FakeClock()
    function = make(ttl=60, clock=clock)
    function("a")
    clock.advance(20)
    dump(function, path, wall=5000.0)
    again = make(ttl=60)
    assert load(again, path, wall=5000.0 + passed) == count
    assert len(again.cache) == count
    if passed < 0:
        assert again.cache.entry("a").expires_in == 40.0


def test_expired_entries_are_not_dumped(path: Path) -> None:
    """What is past its life, though still in the store, is not written."""
    clock = FakeClock()
    function = make(ttl=60, clock=clock)
    function("a")
    clock.advance(30)
    function("b")
    clock.advance(30)
    assert dump(function, path) == 1
    again = make(ttl=60)
    load(again, path)
    assert list(again.cache) == ["b"]


def test_stale_entries_keep_their_window(path: Path) -> None:
    """An entry inside its stale window comes back stale, and not at all once the window is over."""
    clock = FakeClock()
    function = make(ttl=60, stale_if_error=100, clock=clock)
    function("a")
    clock.advance(80)
    assert dump(function, path, wall=0.0) == 1
    again = make(ttl=60, stale_if_error=100)
    assert load(again, path, wall=79.5) == 1
    entry = again.cache.entry("a")
    assert (entry.stale, entry.expires_in, entry.age) == (True, -99.5, 159.5)
    assert load(make(ttl=60, stale_if_error=100), path, wall=80.0) == 0
    assert load(make(ttl=60), path, wall=0.0) == 0


def test_idle_time_goes_on(path: Path) -> None:
    """The time since the last use counts on between the processes."""
    clock = FakeClock()
    function = make(idle=60, clock=clock)
    function("a")
    clock.advance(50)
    function("a")
    clock.advance(20)
    dump(function, path, wall=0.0)
    assert load(make(idle=60), path, wall=40.0) == 0
    later = FakeClock()
    again = make(idle=60, clock=later)
    assert load(again, path, wall=30.0) == 1
    later.advance(9)
    assert again.cache.entry("a") is not None
    later.advance(1)
    assert again.cache.entry("a") is None


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ({"ttl": 60}, {"ttl": 30}, 10.0),
        ({"ttl": 60}, {"ttl": 90}, 40.0),
        ({"ttl": 60}, {}, None),
        ({}, {"ttl": 60}, 40.0),
        ({"ttl": lambda value: 50}, {"ttl": lambda value: 60}, 30.0),
        ({"ttl": lambda value: 50}, {"ttl": lambda value: None}, None),
    ],
    ids=["shorter", "longer", "gone", "new", "by value", "by value, gone"],
)
def test_the_present_ttl_bounds(path: Path, before: Any, after: Any, left: float | None) -> None:
    """An entry lives for what it had left, but never longer than the present ttl allows."""
    clock = FakeClock()
    function = make(clock=clock, **before)
    function("a")
    clock.advance(20)
    dump(function, path)
    again = make(**after)
    assert load(again, path) == 1
    assert again.cache.entry("a").expires_in == left
    again("a")
    assert again.cache.stats().hits == 1


def test_jitter_shortens_once(path: Path) -> None:
    """A life that jitter has shortened is not shortened again by loading it."""
    function = make(ttl=100, jitter=0.5)
    function("a")
    left = function.cache.entry("a").expires_in
    dump(function, path)
    for _ in range(10):
        again = make(ttl=100, jitter=0.5)
        load(again, path)
        assert again.cache.entry("a").expires_in == pytest.approx(left)


def test_remembered_errors_are_not_dumped(path: Path) -> None:
    """A failure that is remembered stays in its process."""

    def fail(name: str) -> str:
        if name == "bad":
            raise KeyError(name)
        return name

    function = make(fail, cache_errors=(KeyError,), error_ttl=60)
    function("good")
    with pytest.raises(KeyError):
        function("bad")
    assert dump(function, path) == 1
    again = make(fail, cache_errors=(KeyError,), error_ttl=60)
    assert load(again, path) == 1
    assert list(again.cache) == ["good"]


def test_tags_come_back(path: Path) -> None:
    """Entries bear the tags of their calls again; without known tags, where a function gives them, none is stored."""
    registry = Registry()
    function = make(tags=lambda name: f"user:{name}")
    function("a")
    function("b")
    dump(function, path)
    again = make(tags=lambda name: f"user:{name}", registry=registry)
    assert load(again, path) == 2
    again.cache._check()
    registry.invalidate(tag="user:a")
    assert list(again.cache) == ["b"]
    assert load(make(), path) == 2

    untagged = make()
    untagged("a")
    dump(untagged, path)
    assert load(make(tags=lambda name: f"user:{name}"), path) == 0


# -- keys and placements


def test_keys_of_all_parameters_come_back(path: Path) -> None:
    """A key of many parameters means the same call again, however that is spelled."""
    function = make(several)
    function("a", "de", 1, 2, flag=True, b=2, a=1)
    dump(function, path)
    again = make(several)
    assert load(again, path) == 1
    again("a", "de", 1, 2, a=1, b=2, flag=True)
    assert again.cache.stats().hits == 1


def test_typed_keys_come_back(path: Path) -> None:
    """The types in the keys of typed=True come back, so that 1, 1.0 and True stay apart."""
    function = make(typed=True)
    for value in (1, 1.0, True, None, "a", b"a", (1,), date(2024, 1, 1), Decimal(1)):
        function(value)
    assert dump(function, path) == 9
    again = make(typed=True)
    assert load(again, path) == 9
    for value in (1, 1.0, True, None):
        again(value)
    assert again.cache.stats().hits == 4
    again.cache.put("own", Name("a"))
    with pytest.raises(TypeError, match="the key 'a' is or contains"):
        dump(again, path)


def test_made_keys_come_back(path: Path) -> None:
    """What key= returned is the key in the next process too."""

    def lower(name: str) -> str:
        return name.lower()

    function = make(key=lower)
    function("ALICE")
    dump(function, path)
    again = make(key=lower)
    assert load(again, path) == 1
    again("Alice")
    assert again.cache.stats().hits == 1


def test_coroutine_functions_are_dumped_too(path: Path) -> None:
    """The results of a coroutine function come back, dumped and loaded in another thread."""

    async def fetch(name: str) -> str:
        return f"fetched {name}"

    async def main() -> None:
        function = make(fetch)
        await function("a")
        assert await asyncio.to_thread(function.cache.dump, path) == 1
        again = make(fetch)
        assert await asyncio.to_thread(again.cache.load, path) == 1
        assert await again("a") == "fetched a"
        assert again.cache.stats().hits == 1

    asyncio.run(main())


@pytest.mark.parametrize("method", ["own", "of_class"])
def test_entries_of_instances_are_refused(method: str, path: Path) -> None:
    """Entries that belong to instances are neither dumped nor loaded, and the message names the remedy."""
    handle = getattr(Placed(), method).cache
    for call in (handle.dump, handle.load):
        with pytest.raises(TypeError, match=rf"{method}\(\) belong to instances.*ignore=\('self',\)"):
            call(path)
    assert not path.exists()


def test_shared_entries_are_dumped_through_an_instance(path: Path) -> None:
    """A method that shares its entries between instances is dumped whole, through any of them."""
    placed = Placed()
    placed.shared("a")
    Placed().shared("b")
    assert placed.shared.cache.dump(path) == 2
    placed.shared.cache.clear()
    assert Placed.shared.cache.load(path) == 2
    other = Placed()
    assert other.shared("a") == "a"
    assert other.calls == 0
    Placed.static("a")
    assert Placed.static.cache.dump(path) == 1
    Placed.static.cache.clear()
    assert placed.static.cache.load(path) == 1
