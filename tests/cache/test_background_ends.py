"""Background loads whose loop ends, whose value is invalidated, whose instance dies, which call themselves."""

import asyncio
import inspect
from typing import Any

import pytest
from kit.coroutines import a_loop, every_loop, play, quietly, some_turns, until_async
from kit.refresh_pool import rests
from kit.stale_flights import SWR, TTL, AsyncFetch, Fetch
from kit.threads import Gate, until

from memo import Registry, bounded
from memo._cache.jobs import Jobs, TaskJob, ThreadJob
from memo.testing import FakeClock

# -- loops that end


@every_loop
def test_a_loop_that_ends_with_a_refresh_running_is_silent(kind: str) -> None:
    """asyncio.run() cancels it; the next loop begins another after the lease."""
    fetch = AsyncFetch(**SWR)

    async def first() -> None:
        await fetch()
        fetch.clock.advance(TTL)
        fetch.held = True
        assert await fetch() == "a1"
        await until_async(lambda: fetch.executions == 2)

    with quietly() as complaints:
        loop = a_loop(kind)
        loop.set_exception_handler(complaints.of_loop)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(first())
    assert fetch.cancelled == 1
    assert fetch.idle
    fetch.held = False

    async def second() -> None:
        assert await fetch() == "a1"
        await some_turns()
        assert fetch.executions == 2
        fetch.clock.advance(1)
        assert await fetch() == "a1"
        await fetch.settle()
        assert await fetch() == "a3"

    play(second, kind)


@every_loop
@pytest.mark.parametrize("turns", [0, 1, 2, 5])
def test_a_loop_that_is_closed_with_a_refresh_running_is_silent(kind: str, turns: int) -> None:
    """Without anything being cancelled, at whatever step; the next loop begins another after the lease."""
    fetch = AsyncFetch(**SWR)

    async def first() -> None:
        await fetch()
        fetch.clock.advance(TTL)
        fetch.held = True
        assert await fetch() == "a1"
        for _ in range(turns):
            await asyncio.sleep(0)

    async def second() -> None:
        fetch.clock.advance(1)
        fetch.held = False
        assert await fetch() == "a1"
        await fetch.settle()
        assert await fetch() == f"a{fetch.executions}"
        assert fetch.executions >= 2

    with quietly() as complaints:
        loop = a_loop(kind)
        loop.set_exception_handler(complaints.of_loop)
        loop.run_until_complete(first())
        loop.close()
        del loop
        other = a_loop(kind)
        other.set_exception_handler(complaints.of_loop)
        with asyncio.Runner(loop_factory=lambda: other) as runner:
            runner.run(second())
    assert fetch.idle


def test_a_closed_loop_is_not_kept_alive_by_its_refresh() -> None:
    """The first background load of another loop lets go of it."""
    import gc
    import weakref

    fetch = AsyncFetch(**SWR)

    async def first() -> None:
        await fetch()
        fetch.clock.advance(TTL)
        fetch.held = True
        await fetch()
        await some_turns()

    loop = asyncio.new_event_loop()
    gone = weakref.ref(loop)
    loop.run_until_complete(first())
    loop.close()
    del loop
    fetch.clock.advance(1)

    async def second() -> None:
        await fetch()
        await fetch.settle()

    asyncio.run(second())
    gc.collect()
    assert gone() is None


# -- loads that are struck as they begin


def _struck_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Ctrl-C strike as a job is handed over, and as what is left of that is taken back."""
    remove, left = Jobs.remove, [KeyboardInterrupt("second")]

    def start(*args: object) -> None:
        for given in args:
            if inspect.iscoroutine(given):
                given.close()
        raise KeyboardInterrupt("first")

    def struck_remove(*args: Any) -> None:
        if left:
            raise left.pop()
        remove(*args)

    for job in (ThreadJob, TaskJob):
        monkeypatch.setattr(job, "start", start)
    monkeypatch.setattr(Jobs, "remove", struck_remove)


def test_a_load_that_never_began_keeps_no_other_from_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is struck, and struck again as that is tidied up, leaves nothing that others would wait for."""
    fetch = Fetch(**SWR)
    fetch()
    fetch.clock.advance(TTL)
    with monkeypatch.context() as patch:
        _struck_twice(patch)
        with pytest.raises(KeyboardInterrupt, match="second"):
            fetch()
    assert fetch.cache.inflight.pending() == []
    fetch.clock.advance(1)  # the lease of a load that failed
    assert fetch() == "a1"
    fetch.settle()
    assert fetch() == "a2"


@every_loop
def test_an_awaited_load_that_never_began_keeps_no_other_from_beginning(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is in a loop."""
    fetch = AsyncFetch(**SWR)

    async def main() -> None:
        await fetch()
        fetch.clock.advance(TTL)
        with monkeypatch.context() as patch:
            _struck_twice(patch)
            with pytest.raises(KeyboardInterrupt, match="second"):
                await fetch()
        assert fetch.idle
        fetch.clock.advance(1)
        assert await fetch() == "a1"
        await fetch.settle()
        assert await fetch() == "a2"

    play(main, kind)


# -- invalidation and instances


def test_a_refresh_that_waits_for_a_thread_does_not_load_what_is_fresh() -> None:
    """By the time it gets one, another call has loaded; nothing is loaded twice."""
    fetch = Fetch(**SWR)
    fetch.registry.configure(refresh_threads=1)
    fetch("a"), fetch("b")
    fetch.clock.advance(TTL)
    gate = fetch.hold()
    assert fetch("a") == "a1"
    gate.reached()
    assert fetch("b") == "b2"
    fetch.gate = None
    assert fetch.cache.refresh("b") == "b4"
    gate.open()
    fetch.settle()
    assert fetch.executions == 4
    assert (fetch("a"), fetch("b")) == ("a3", "b4")


def test_an_instance_may_die_while_its_entry_is_loaded() -> None:
    """Its background load keeps it alive as long as it runs, and no longer."""
    import gc
    import weakref

    clock, here, gate = FakeClock(), Registry(), Gate()
    gate.open()

    class Service:
        @bounded(**SWR, clock=clock, registry=here)  # type: ignore[arg-type]
        def fetch(self, name: str) -> object:
            gate.wait()
            return object()

    service = Service()
    died = weakref.ref(service)
    service.fetch("a")
    clock.advance(TTL)
    gate = Gate()
    service.fetch("a")
    gate.reached()
    cache = Service.fetch.cache
    del service
    gc.collect()
    assert died() is not None
    gate.open()
    until(lambda: rests(here.pool))
    gc.collect()
    assert died() is None
    assert cache.stats().size == 0


def test_a_value_is_let_go_when_its_background_load_is_over() -> None:
    """Neither an idle thread nor a finished job holds it."""
    import gc
    import weakref

    class Value:
        pass

    clock, here = FakeClock(), Registry()

    @bounded(**SWR, clock=clock, registry=here)  # type: ignore[arg-type]
    def fetch(name: str) -> Value:
        return Value()

    fetch("a")
    clock.advance(TTL)
    fetch("a")
    until(lambda: rests(here.pool))
    assert fetch.cache.stats().loads == 2
    value = weakref.ref(fetch("a"))
    fetch.cache.clear()
    gc.collect()
    assert value() is None


# -- recursion and circles


def test_a_background_load_may_call_itself() -> None:
    """The inner call finds the stale value, as any other does."""
    clock, here = FakeClock(), Registry()
    seen: list[int] = []

    @bounded(**SWR, clock=clock, registry=here)  # type: ignore[arg-type]
    def fetch(name: str) -> int:
        if fetch.cache.entry(name) is not None:
            seen.append(fetch(name))
        return len(seen)

    assert fetch("a") == 0
    clock.advance(TTL)
    assert fetch("a") == 0
    until(lambda: seen and rests(here.pool))
    assert (seen, fetch("a")) == ([0], 1)


@every_loop
def test_a_background_load_of_coroutines_may_call_itself(kind: str) -> None:
    """The inner call finds the stale value, as any other does."""
    clock = FakeClock()
    seen: list[int] = []

    @bounded(**SWR, clock=clock, registry=Registry())  # type: ignore[arg-type]
    async def fetch(name: str) -> int:
        if fetch.cache.entry(name) is not None:
            seen.append(await fetch(name))
        return len(seen)

    async def main() -> None:
        assert await fetch("a") == 0
        clock.advance(TTL)
        assert await fetch("a") == 0
        await until_async(lambda: len(seen) == 1 and not fetch.cache._cache.jobs)
        assert await fetch("a") == 1

    play(main, kind)


@every_loop
def test_the_background_load_of_a_nested_call_outlives_the_outer_one(kind: str) -> None:
    """It belongs to no call's work: its outer flight may end, and be called by it, without a circle."""
    clock, here = FakeClock(), Registry()
    held = [False]

    @bounded(**SWR, clock=clock, registry=here)  # type: ignore[arg-type]
    async def inner(name: str) -> str:
        while held[0]:
            await asyncio.sleep(0)
        return await outer("other") if held[0] is None else name

    @bounded(max=8, clock=clock, registry=here)
    async def outer(name: str) -> str:
        return "outer " + await inner("x")

    async def main() -> None:
        assert await outer("a") == "outer x"
        clock.advance(TTL)
        held[0] = True
        assert await outer("b") == "outer x"
        await some_turns()
        held[0] = None  # type: ignore[call-overload]
        await until_async(lambda: not inner.cache._cache.jobs)
        assert await outer("other") == "outer x"

    play(main, kind)


@every_loop
def test_a_background_load_may_wait_for_the_call_that_began_it(kind: str) -> None:
    """That call does not wait for it, so it joins: nothing is executed a second time."""
    clock, here = FakeClock(), Registry()
    held, outers, inners = asyncio.Event(), [], []

    @bounded(**SWR, clock=clock, registry=here)  # type: ignore[arg-type]
    async def inner(name: str) -> str:
        inners.append(name)
        return name if len(inners) == 1 else await outer("b")

    @bounded(max=8, clock=clock, registry=here)
    async def outer(name: str) -> str:
        outers.append(name)
        value = "outer " + await inner("x")
        if name == "b":
            await held.wait()
        return value

    async def main() -> None:
        await outer("a")
        clock.advance(TTL)
        call = asyncio.create_task(outer("b"))
        await until_async(lambda: [flight.waiters for flight in outer.inflight.pending()] == [1])
        held.set()
        assert await call == "outer x"
        await until_async(lambda: not inner.cache._cache.jobs)
        assert await inner("x") == "outer x"
        assert (outers, inners) == (["a", "b"], ["x", "x"])

    play(main, kind)
