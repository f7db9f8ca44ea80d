"""Whatever a caller does later wins over a load that began earlier."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from kit.bounded import Gone, check
from kit.coroutines import until_async
from kit.threads import LIMIT_S, Gate, Running, until

from memo import bounded


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


@pytest.mark.parametrize("policy", ["adaptive", "s3fifo", "lru"])
@pytest.mark.parametrize("later", LATER)
def test_a_load_begun_earlier_does_not_store(policy: str, later: Callable[[Any], None]) -> None:
    """What was put or removed during a load stands, while leader and joiner share the load's result."""
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
    """What was put or removed while tasks wait for a load stands, and the tasks share its result."""

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
    """A call made after invalidate() runs the function itself, and its result outlives the older load's."""
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
    """Calls made during a refresh join the refresh, and the older load's end does not replace its result."""
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
    """Entries leaving for want of room do not keep a running load of another key from storing."""
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
    """A value put by the function for its own key wins over what the function then returns."""

    @bounded(max=8)
    def fetch(name: str) -> str:
        fetch.cache.put("put", name)
        return "loaded"

    assert fetch("a") == "loaded"
    assert fetch("a") == "put"
