"""Stores start empty, and are put back."""

import asyncio
import gc
import logging
from typing import Any

import cachetools
import pytest
from kit.coroutines import until_async
from kit.testing_kit import check, counted, through
from kit.threads import Gate, Running, until

from memo import EvictionReason, Registry, bounded, dedupe_inflight, sliding_window
from memo._store.weights import weight
from memo.testing import isolated

pytestmark = pytest.mark.usefixtures("_real_time_before_and_after")


class Heap(cachetools.LRUCache[Any, Any]):
    """A policy of the user's own."""


POLICIES = ["adaptive", "s3fifo", "sieve", "lru", "lfu", "fifo", "random", "lirs", Heap]

every_policy = pytest.mark.parametrize("policy", POLICIES, ids=str)


@every_policy
def test_starts_empty_and_is_put_back(policy: Any) -> None:
    """Inside there is nothing and nothing was counted; after it everything is as it was."""
    own = Registry()
    f, original = counted(bounded(max=10, policy=policy, registry=own, ttl="1h"), sliding_window("1h", registry=own))
    for x in (1, 2, 3, 1, 1, 2):
        f(x)
    items, stats, info, events = f.cache.items(), own.stats(), f.cache_info(), f.window.events()
    hits = [f.cache.entry(x).hits for x in (1, 2, 3)]
    with isolated(own):
        assert len(f.cache) == 0
        assert f.cache.items() == []
        assert f.cache_info() == (0, 0, 10, 0)
        assert f.window.count() == len(f.window) == 0
        assert f(1) == (1, 4)
        assert f(1) == (1, 4)
        assert f.cache_info() == (1, 1, 10, 1)
        assert f.window.stats().count == 2
    assert f.cache.items() == items
    assert own.stats() == stats
    assert f.cache_info() == info
    assert f.window.events() == events
    assert [f.cache.entry(x).hits for x in (1, 2, 3)] == hits
    f(1)
    assert original.calls == 4
    check(f)


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "random"], ids=str)
@pytest.mark.parametrize(
    "bound", [{"max": 8}, {"max_bytes": 8 * weight(1, ()), "sizeof": lambda value: 0}], ids=["max", "bytes"]
)
def test_order_and_frequencies_come_back(policy: Any, bound: dict[str, Any]) -> None:
    """A store that was set aside goes on evicting what it would have evicted otherwise."""
    f, _ = counted(bounded(**bound, policy=policy))
    twin, _ = counted(bounded(**bound, policy=policy))
    calls = [x * x % 23 for x in range(60)] + [1, 1, 2, 3, 1, 4, 5, 2]
    for x in calls:
        f(x), twin(x)
    with isolated(f):
        for x in range(100):
            f(x)
    check(f)
    for x in [x * 7 % 19 for x in range(60)]:
        f(x), twin(x)
        assert {key for key, _ in f.cache.items()} == {key for key, _ in twin.cache.items()}
    assert f.cache_info() == twin.cache_info()
    check(f, twin)


def test_on_evict_is_told_of_what_was_stored_inside_alone() -> None:
    """What is set aside has not left; what was stored inside leaves at the end, as cleared."""
    gone: list[Any] = []
    f, _ = counted(bounded(max=10, on_evict=lambda *what: gone.append(what)))
    f(1)
    with isolated(f):
        assert gone == []
        f(2)
        f(3)
        f.cache.invalidate(3)
    assert gone == [(3, (3, 3), EvictionReason.INVALIDATED), (2, (2, 2), EvictionReason.CLEARED)]
    f.cache.clear()
    assert gone[2:] == [(1, (1, 1), EvictionReason.CLEARED)]


def test_on_evict_at_the_end_runs_inside() -> None:
    """What on_evict calls for the last values of a test reaches no store that is put back."""
    own = Registry()

    def call_other(key: Any, value: Any, reason: Any) -> None:
        other(key)

    before, _ = counted(bounded(max=10, registry=own, name="a", on_evict=call_other))
    other, calls = counted(bounded(max=10, registry=own, name="b"))
    behind, _ = counted(bounded(max=10, registry=own, name="c", on_evict=call_other))
    with isolated(own):
        before(1), behind(2)
    assert calls.calls == 2
    assert other.cache_info() == (0, 0, 10, 0)


def test_on_evict_that_raises_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """An on_evict that raises is logged, and everything is put back all the same."""

    def fail(key: Any, value: Any, reason: Any) -> None:
        raise RuntimeError("no")

    own = Registry()
    f, _ = counted(bounded(max=10, registry=own, on_evict=fail))
    other, _ = counted(bounded(max=10, registry=own))
    f(1), other(1)
    with caplog.at_level(logging.CRITICAL, "memo"), isolated(own):
        f(2), other(2)
    assert [key for key, _ in f.cache.items()] == [key for key, _ in other.cache.items()] == [1]


def test_resize_is_undone() -> None:
    """Bounds that were changed inside are afterwards what they were."""
    f, _ = counted(bounded(max=3))
    for x in range(3):
        f(x)
    with isolated(f):
        f.cache.resize(max=1)
        f(7), f(8)
        assert f.cache.stats().max == 1
    assert f.cache.stats().max == 3
    assert len(f.cache) == 3
    f(3)
    assert len(f.cache) == 3
    assert f.cache_info().maxsize == 3
    check(f)


def test_resize_before_is_kept() -> None:
    """A store that was resized is as large inside."""
    f, _ = counted(bounded(max=3))
    f.cache.resize(max=1)
    with isolated(f):
        f(1), f(2)
        assert len(f.cache) == 1


def test_cleared_counters_come_back() -> None:
    """Counters that cache_clear() reset count from there again afterwards, whatever was reset inside."""
    f, _ = counted(bounded(max=3))
    f(1), f(1)
    f.cache_clear()
    f(1), f(1)
    with isolated(f):
        f(1)
        assert f.cache_info()[:2] == (0, 1)
        f.cache_clear()
        assert f.cache_info()[:2] == (0, 0)
    assert f.cache_info()[:2] == (1, 1)


class Bot:
    """Its methods are decorated."""

    def __init__(self) -> None:
        self.calls = 0

    @bounded(max=10, policy="s3fifo")
    def fetch(self, x: int) -> int:
        self.calls += 1
        return x

    @bounded(max=10, policy="lru")
    def lookup(self, x: int, y: int = 0) -> int:
        self.calls += 1
        return x

    @property
    @bounded(max=10)
    def state(self) -> int:
        self.calls += 1
        return 1


def test_methods() -> None:
    """An instance finds its own entries again, through handles bound before and inside."""
    one, two = Bot(), Bot()
    before = one.fetch.cache
    for bot in (one, two):
        bot.fetch(1), bot.lookup(1, 2), bot.state
    with isolated(Bot.fetch, Bot.lookup, Bot.state):
        assert len(before) == len(one.lookup.cache) == 0
        one.fetch(1), one.fetch(2), one.lookup(1, 2), one.state
        assert one.calls == 7
        inside = one.fetch.cache
        assert len(before) == len(inside) == 2
        assert len(two.fetch.cache) == 0
    assert len(before) == len(inside) == len(two.fetch.cache) == 1
    for bot in (one, two):
        bot.fetch(1), bot.lookup(1, 2), bot.state
    assert (one.calls, two.calls) == (7, 3)
    check(Bot.fetch, Bot.lookup)


def test_entries_of_dead_instances_do_not_come_back() -> None:
    """Entries of an instance that died meanwhile leave as collected when the store is put back."""
    gone: list[Any] = []

    class Owner:
        @bounded(max=10, on_evict=lambda *what: gone.append(what))
        def load(self, x: int) -> int:
            return x

    alive, dying = Owner(), Owner()
    alive.load(1), dying.load(2)
    with isolated(Owner.load):
        dying.load(3)
        del dying
        gc.collect()
        assert gone == [(3, 3, EvictionReason.COLLECTED)]
    assert gone[1:] == [(2, 2, EvictionReason.COLLECTED)]
    assert Owner.load.cache.items() == [(1, 1)]
    assert Owner.load.cache.stats().evictions[EvictionReason.COLLECTED] == 1
    check(Owner.load)


def test_loads_store_on_their_own_side_alone() -> None:
    """A load that began outside stores nothing inside, and one that began inside stores nothing after."""
    gates = [Gate(), Gate()]
    entered = iter(gates)
    f, original = counted(lambda load: bounded(max=10)(lambda x: through(next(entered), load(x))))
    outside = Running(lambda: f(1))
    gates[0].reached()
    with isolated(f):
        assert len(f.inflight) == 0
        inside = Running(lambda: f(1))
        gates[1].reached()
        gates[0].open()
        assert outside.result() == (1, 1)
        assert len(f.cache) == 0
        assert len(f.inflight) == 1
    assert len(f.inflight) == 0
    gates[1].open()
    assert inside.result() == (1, 2)
    assert len(f.cache) == 0
    assert original.calls == 2


def test_load_that_outlasts_the_context_stores() -> None:
    """A load that was running before and still is afterwards is joined and stored as if nothing had been."""
    gate = Gate()
    f, _ = counted(lambda load: bounded(max=10)(lambda x: through(gate, load(x))))
    leader = Running(lambda: f(1))
    gate.reached()
    with isolated(f):
        assert f.inflight.stats().started == 0
    joiner = Running(lambda: f(1))
    until(lambda: f.inflight.stats().waiting == 1)
    gate.open()
    assert leader.result() == joiner.result() == (1, 1)
    assert [key for key, _ in f.cache.items()] == [1]
    stats = f.inflight.stats()
    assert (stats.started, stats.joined, stats.completed, stats.active) == (1, 1, 1, 0)


def test_coroutines() -> None:
    """Around await, running calls of coroutines are set aside and put back like those of threads."""

    async def main() -> None:
        over = asyncio.Event()
        calls = 0

        @bounded(max=10)
        @dedupe_inflight
        @sliding_window("1h")
        async def f(x: int) -> int:
            nonlocal calls
            calls += 1
            await over.wait()
            return x

        outside = asyncio.create_task(f(1))
        await until_async(lambda: calls == 1)
        with isolated(f):
            assert len(f.cache.inflight) == 0
            inside = asyncio.create_task(f(1))
            await until_async(lambda: calls == 2)
        joiner = asyncio.create_task(f(1))
        await until_async(lambda: f.cache.inflight.stats().waiting == 1)
        over.set()
        assert await asyncio.gather(outside, inside, joiner) == [1, 1, 1]
        assert calls == 2
        assert f.cache_info()[:2] == (1, 1)
        assert await f(1) == 1
        assert calls == 2

    asyncio.run(main())
