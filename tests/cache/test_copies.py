"""``copy=``: nobody can alter a stored value, neither those who get it nor those who made it."""

import asyncio
import threading
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from memo import Registry, bounded
from memo.testing import FakeClock

OPTIONS: list[dict[str, Any]] = [
    {}, {"policy": "lru"}, {"policy": "lfu", "ttl": 60}, {"max_bytes": "1MB"}, {"idle": 60}, {"dedupe": False},
    {"ttl": 60, "stale_while_revalidate": 60}, {"tags": lambda name: name},
    {"cache_errors": ValueError, "error_ttl": 5},
]  # fmt: skip


class Made:
    """What a function returned, and keeps for itself; counts copies."""

    def __init__(self) -> None:
        self.values: list[list[str]] = []
        self.copies = 0

    def make(self, name: str) -> list[str]:
        self.values.append([name])
        return self.values[-1]

    def copy(self, value: list[str]) -> list[str]:
        self.copies += 1
        return [*value]


def decorated(kind: str, made: Made, **options: Any) -> tuple[Callable[[str], Any], Any]:
    """A function of that kind that calls ``made.make``, and its cache."""
    decorate = bounded(**{"max": 8, "copy": made.copy, "registry": Registry(), **options})
    if kind == "function":
        plain = decorate(lambda name: made.make(name))
        return plain, plain.cache
    if kind == "coroutine function":

        @decorate
        async def awaited(name: str) -> list[str]:
            return made.make(name)

        return lambda name: asyncio.run(awaited(name)), awaited.cache

    class Service:
        @decorate
        def method(self, name: str) -> list[str]:
            return made.make(name)

    service = Service()
    return lambda name: service.method(name), service.method.cache


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options) or "plain")
@pytest.mark.parametrize("kind", ["function", "coroutine function", "method"])
def test_whoever_made_it_cannot_alter_it(kind: str, options: dict[str, Any]) -> None:
    """What the function does later to the object that it returned does not reach the store."""
    made = Made()
    call, cache = decorated(kind, made, **options)
    first = call("a")
    made.values[0].append("altered by the function")
    first.append("altered by the leader")
    assert call("a") == ["a"]
    given = ["put"]
    cache.put(given, "b")
    given.append("altered by who put it")
    assert call("b") == ["put"]
    assert cache.put_many({"c": given}) == 1
    given.append("once more")
    assert call("c") == ["put", "altered by who put it"]
    refreshed = cache.refresh("a")
    if kind == "coroutine function":
        refreshed = asyncio.run(refreshed)
    made.values[-1].append("altered by the function")
    refreshed.append("altered by the leader")
    assert call("a") == ["a"]
    cache._check()


@pytest.mark.parametrize("kind", ["function", "coroutine function", "method"])
def test_a_hit_costs_one_copy(kind: str) -> None:
    """A load copies what it stores and what it hands out, a hit only the latter, a put only the former."""
    made = Made()
    call, cache = decorated(kind, made)
    call("a")
    assert made.copies == 2
    call("a"), call("a")
    assert made.copies == 4
    cache.put(["b"], "b")
    assert made.copies == 5


def test_those_who_waited_share_nothing() -> None:
    """Leader and joiners get copies of their own, of what the function returned."""
    made, reached, gate = Made(), threading.Event(), threading.Event()

    @bounded(max=8, copy="shallow", registry=Registry())
    def plain(name: str) -> list[str]:
        reached.set()
        gate.wait(60)
        return made.make(name)

    results: list[list[str]] = []
    threads = [threading.Thread(target=lambda: results.append(plain("a"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    reached.wait(60)
    gate.set()
    for thread in threads:
        thread.join(60)
    assert results == [["a"]] * 3
    assert len({id(one) for one in (*results, *made.values)}) == 3 + len(made.values)

    @bounded(max=8, copy="shallow", registry=Registry())
    async def awaited(name: str) -> list[str]:
        await asyncio.sleep(0)
        return made.make(name)

    async def main() -> None:
        found = await asyncio.gather(*(awaited("a") for _ in range(3)))
        made.values[-1].append("altered")
        found[0].append("altered")
        assert found[1:] == [["a"], ["a"]]
        assert await awaited("a") == ["a"]

    asyncio.run(main())


def test_every_caller_gets_the_same_kind() -> None:
    """Where ``copy=`` makes something else of a result, the leader gets that, too."""
    own = bounded(max=8, copy=lambda value: MappingProxyType(dict(value)), registry=Registry())
    fetch = own(lambda name: {1: name})
    assert type(fetch("a")) is type(fetch("a")) is MappingProxyType


def test_a_stale_value_is_copied_as_well() -> None:
    """A stale value, and the one that a background load brings, are out of reach like any other."""
    made, clock = Made(), FakeClock()
    own = bounded(max=8, copy=made.copy, ttl=5, stale_if_error=60, clock=clock, registry=Registry())
    fetch = own(lambda name: made.make(name))
    fetch("a").append("altered")
    made.values[0].append("altered")
    clock.advance(6)
    made.make = lambda name: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    assert fetch("a") == ["a"]
    assert fetch.cache.stats().stale_hits == 1


@pytest.mark.parametrize("kind", ["function", "coroutine function", "method"])
def test_a_copy_that_fails_fails_the_load(kind: str) -> None:
    """What ``copy=`` raises reaches the caller, nothing is stored, and a later call may go well."""
    made = Made()
    fail = [True, False, False]

    def copy(value: Any) -> Any:
        if fail.pop(0):
            raise LookupError("no copy")
        return value

    call, cache = decorated(kind, made, copy=copy)
    with pytest.raises(LookupError, match="no copy"):
        call("a")
    assert (len(cache), cache.stats().load_errors, len(cache.inflight)) == (0, 1, 0)
    assert call("a") == ["a"]
    fail[:] = [True]
    with pytest.raises(LookupError, match="no copy"):
        cache.put(["b"], "b")
    assert len(cache) == 1
