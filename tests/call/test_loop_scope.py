"""``scope="loop"``: each event loop has results of its own, which go with it."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memo import Registry, bounded, dedupe_inflight, sliding_window


@pytest.fixture
def loops() -> Iterator[Callable[[], asyncio.AbstractEventLoop]]:
    """Makes loops, which are closed at the end."""
    made: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    def make() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        made.append(weakref.ref(loop))
        return loop

    yield make
    for ref in made:
        loop = ref()
        if loop is not None:
            loop.close()


async def calling(function: Callable[..., Any], *args: Any) -> Any:
    """What a call returns within a loop, of either colour."""
    result = function(*args)
    return await result if asyncio.iscoroutine(result) else result


def plain(registry: Registry, **options: Any) -> Any:
    @bounded(max=8, scope="loop", registry=registry, **options)
    def load(name: str) -> list[str]:
        return [name]

    return load


def awaited(registry: Registry, **options: Any) -> Any:
    @bounded(max=8, scope="loop", registry=registry, **options)
    async def load(name: str) -> list[str]:
        return [name]

    return load


colours = pytest.mark.parametrize("make", [plain, awaited])


@colours
@pytest.mark.parametrize("options", [{}, {"policy": "lru", "typed": True}, {"ttl": 60, "key": str.lower}], ids=str)
def test_loops_are_kept_apart(make: Any, options: dict[str, Any], own: Registry, loops: Any) -> None:
    """Each loop has its own result of equal calls, and comes back to it; keys are shown without the loop."""
    load = make(own, **options)
    one, two = loops(), loops()
    first = one.run_until_complete(calling(load, "a"))
    assert one.run_until_complete(calling(load, "a")) is first
    second = two.run_until_complete(calling(load, "a"))
    assert second is not first
    assert one.run_until_complete(calling(load, "a")) is first
    assert two.run_until_complete(calling(load, "a")) is second
    assert load.cache.items() == [("a", ["a"])] * 2
    assert load.cache_info() == (3, 2, 8, 2)
    load.cache._check()


def test_methods_and_several_parameters(own: Registry, loops: Any) -> None:
    """Instances are kept apart as well, and values are shown in the order of the parameters."""

    class Host:
        @bounded(max=8, scope="loop", typed=True, registry=own)
        async def load(self, name: str, lang: str = "en") -> list[str]:
            return [name, lang]

    host, one, two = Host(), loops(), loops()
    results = [loop.run_until_complete(host.load("a")) for loop in (one, two, one, two)]
    assert results[0] is results[2] is not results[1]
    assert results[1] is results[3]
    assert [key for key, _ in host.load.cache.items()] == [("a", "en")] * 2
    Host.load.cache._check()
    del host
    assert len(Host.load.cache) == 0


def test_outside_of_a_loop(own: Registry, loops: Any) -> None:
    """Calls where no loop runs have a result of their own, which stays when loops go."""
    load = plain(own)
    loop = loops()
    outside = load("a")
    assert load("a") is outside
    assert loop.run_until_complete(calling(load, "a")) is not outside
    assert loop.run_until_complete(asyncio.to_thread(load, "a")) is outside  # no loop runs in that thread
    loop.close()
    del loop
    gc.collect()
    assert load("a") is outside
    assert load.cache.items() == [("a", ["a"])]


@colours
def test_entries_go_with_the_loop(make: Any, own: Registry, loops: Any) -> None:
    """When a loop's object goes its entries go at once, as collected ones."""
    left: list[Any] = []
    load = make(own, on_evict=lambda key, value, reason: left.append((key, reason)))
    asyncio.run(calling(load, "a"))
    gc.collect()
    assert len(load.cache) == 0
    assert left == [("a", "collected")]


@colours
def test_entries_of_a_closed_loop_go_with_the_next_one(make: Any, own: Registry, loops: Any) -> None:
    """Though something holds a closed loop, its entries go when another loop calls, and at a clean-up."""
    load = make(own, ttl=60)
    one, two, three = loops(), loops(), loops()
    for loop in (one, two):
        loop.run_until_complete(calling(load, "a"))
    one.close()
    assert len(load.cache) == 2
    kept = two.run_until_complete(calling(load, "a"))
    assert len(load.cache) == 2  # which asked nobody
    three.run_until_complete(calling(load, "a"))
    assert len(load.cache) == 2
    assert two.run_until_complete(calling(load, "a")) is kept
    three.close()
    assert load.cache.cleanup() == 0  # nothing was past its life
    assert [value is kept for _, value in load.cache.items()] == [True]
    two.close()
    own.cleanup()
    assert len(load.cache) == 0
    load.cache._check()
    del one, two, three, loop, kept
    gc.collect()
    load.cache._check()


def test_handles_act_on_the_running_loop(own: Registry, loops: Any) -> None:
    """What a handle does with one call concerns the loop that runs, and what it does with all concerns all."""
    load = awaited(own, tags=lambda name: [f"name:{name}"])
    one, two = loops(), loops()
    for loop in (one, two):
        loop.run_until_complete(calling(load, "a"))
        loop.run_until_complete(calling(load, "b"))

    async def act() -> tuple[bool, bool]:
        there = load.cache.entry("a") is not None
        load.cache.put(["put"], "b")
        return there, load.cache.invalidate("a")

    assert one.run_until_complete(act()) == (True, True)
    assert load.cache.entry("b") is None
    assert load.cache.invalidate("b") is False
    assert one.run_until_complete(calling(load, "b")) == ["put"]
    assert two.run_until_complete(calling(load, "b")) == ["b"]
    assert own.invalidate(tag="name:b") == 2
    assert load.cache.clear() == 1


def test_running_calls_of_two_loops_do_not_join(own: Registry) -> None:
    """Each loop runs the function itself, and calls within one loop share."""
    both, runs = threading.Barrier(2), []

    @dedupe_inflight(scope="loop", registry=own)
    @sliding_window("1h", registry=own)
    async def load(name: str) -> object:
        runs.append(asyncio.get_running_loop())
        await asyncio.to_thread(both.wait)
        return object()

    async def twice() -> None:
        one, two = await asyncio.gather(load("a"), load("a"))
        results.append((one, two))

    results: list[tuple[object, object]] = []
    threads = [threading.Thread(target=lambda: asyncio.run(twice()), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == len(set(runs)) == 2
    (one, two), (three, four) = results
    assert (one is two, three is four, one is three) == (True, True, False)
    assert load.inflight.stats().joined == 2
    assert len(load.inflight) == 0


def test_background_loads_belong_to_the_loop(own: Registry, loops: Any) -> None:
    """A stale result is replaced in its own loop alone."""
    now = [0.0]
    load = awaited(own, ttl=10, stale_while_revalidate=100, clock=lambda: now[0])
    one, two = loops(), loops()
    old = [loop.run_until_complete(calling(load, "a")) for loop in (one, two)]
    now[0] = 20.0

    async def answered_stale() -> Any:
        answer = fresh = await load("a")
        while fresh is answer:
            await asyncio.sleep(0)
            fresh = await load("a")
        return answer, fresh

    stale, fresh = one.run_until_complete(answered_stale())
    assert stale is old[0]
    assert one.run_until_complete(calling(load, "a")) is fresh
    assert two.run_until_complete(answered_stale())[0] is old[1]


def test_what_is_refused(own: Registry, tmp_path: Any) -> None:
    """Another scope, threads without a loop for plain functions, and dumps are refused with advice."""
    for scope, error in (("thread", ValueError), (True, TypeError)):
        for decorator in (lambda **options: bounded(max=8, **options), dedupe_inflight):
            with pytest.raises(error, match=rf"scope={scope!r} is no scope; write scope='loop'"):
                decorator(scope=scope)
    for option in ({"stale_while_revalidate": 5}, {"stale_if_error": 5, "soft_timeout": 1}):
        with pytest.raises(TypeError, match=r"^bounded: .* without an event loop.*; leave out one"):
            plain(own, ttl=60, **option)
        awaited(own, ttl=60, **option)
    load = plain(own)
    with pytest.raises(TypeError, match=r"^within: .*load\(\) is a plain function.*; leave the limit of 1 s out"):
        load.cache.within(1)
    with pytest.raises(TypeError, match=r"^dump: .*scope=.*no other process"):
        load.cache.dump(tmp_path / "entries")
