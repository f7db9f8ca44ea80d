"""Hits under ``policy="lfu"`` for which Python puts a mark into the ring: C has looked up and counted."""

import asyncio
import functools
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.calls_between import at_every_call, interrupted
from kit.strikes import Struck, held_locks, locks_of, strike
from kit.testing_kit import check
from kit.wrappers import wrappers_entered

from memo import Registry, bounded
from memo._native import speed, why

__all__ = ()

IN_STORES = "store.py", "changes.py", "own_shelf.py", "frequency.py"
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "key": {"key": lambda x: x},
    "copied": {"copy": list},
    "idle": {"idle": 60, "key": lambda x: (x, 1)},
    "stale": {"ttl": 60, "stale_while_revalidate": 60},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def made(own: Registry, **options: Any) -> Any:
    """A function with three entries that were never used: the next hit of each needs a mark."""

    @bounded(max=3, policy="lfu", registry=own, **options)
    def fetch(x: Any) -> list[Any]:
        return [x]

    for x in range(3):
        fetch(x)
    return fetch


def uses(fetch: Any) -> list[int]:
    return sorted(entry.mark.hits for entry in fetch.cache.store.nodes.values())


@pytest.mark.skipif(speed is None, reason=why)
@every_option
def test_such_a_hit_enters_no_wrapper(options: dict[str, Any], own: Registry) -> None:
    """C calls what moves the entry, and not the wrapper, which would look the key up again."""
    fetch = made(own, **options)
    with wrappers_entered() as entered:
        assert [fetch(0), fetch(0), fetch(x=1), fetch(2)] == [[0], [0], [1], [2]]
    assert not entered
    assert uses(fetch) == [2, 2, 3]
    assert fetch.cache.stats().hits == 4
    check(fetch)


@every_option
def test_a_strike_loses_no_hit(options: dict[str, Any], own: Registry) -> None:
    """Wherever such a hit is struck, it has counted once or not begun to, and the store is whole thereafter."""
    at, where = 0, ""
    while where is not None:
        fetch = made(own, **options)
        where, raised = strike(lambda fetch=fetch: fetch(0), at)
        assert (where is None) == (raised is None)
        if where is not None:
            assert type(raised) is Struck
        hits = fetch.cache.stats().hits
        assert hits == 1 or (hits == 0 and where is not None and not where.startswith(IN_STORES))
        assert held_locks(locks_of(fetch)) == []
        assert [fetch(0), fetch(1), fetch(7)] == [[0], [1], [7]]
        assert fetch.cache.stats().hits == hits + 2
        assert len(fetch.cache) == 3
        check(fetch)
        at += 1
    assert at > 5


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No collection: what other trials left would die by code of the stores before the hit has begun."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@every_option
@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "coroutine"])
def test_whatever_happens_meanwhile(options: dict[str, Any], is_async: bool, own: Registry) -> None:
    """A hit returns what it found, whatever is done to store and function as its entry is moved."""

    def restore(fetch: Any) -> None:
        fetch.cache.clear()
        with own.disabled():
            fetch.cache.put([9], 9)

    def replace(fetch: Any) -> None:
        fetch.cache.put([0, 0], 0)
        fetch.cache.resize(max=1)

    loop = asyncio.new_event_loop()

    def trial(act: Callable[[Any], object], at: int) -> bool:
        fetch = made(own, **options)
        if is_async:

            @bounded(max=3, policy="lfu", registry=own, **options)
            async def fetch(x: Any) -> list[Any]:
                return [x]

            for x in range(3):
                loop.run_until_complete(fetch(x))
        found: list[Any] = []

        def hit() -> None:
            if is_async:
                with pytest.raises(StopIteration) as ended:
                    fetch(0).send(None)
                found.append(ended.value.value)
            else:
                found.append(fetch(0))

        got_there = interrupted(hit, at, lambda: act(fetch), IN_STORES)
        assert found == [[0]]
        stats = fetch.cache.stats()
        assert (stats.hits, stats.misses) == (1, 3)
        check(fetch)
        return got_there

    try:
        for act in (restore, replace, lambda fetch: fetch.cache.invalidate(0)):
            assert at_every_call(functools.partial(trial, act)) > 5
    finally:
        loop.close()
