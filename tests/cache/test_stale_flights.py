"""Background loads under threads, event loops, cancellation, fork, invalidation, and the end of the interpreter."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest
from kit.coroutines import a_loop, every_loop, play, quietly, some_turns, until_async, until_elsewhere
from kit.places import ROOT
from kit.processes import in_a_child
from kit.threads import LIMIT_S, Gate, Running, interrupt_main, switching_often, until

from memo import InflightTimeout, Registry, bounded
from memo.testing import FakeClock

TTL = 10
SWR = {"max": 8, "ttl": TTL, "stale_while_revalidate": 20}
SIE = {"max": 8, "ttl": TTL, "stale_if_error": 20}


class Fetch:
    """A decorated function of threads, whose loads stand at a gate while there is one."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.registry = Registry()
        self.gate: Gate | None = None
        self.executions = 0
        self.error: BaseException | None = None

        @bounded(**{"clock": self.clock, "registry": self.registry, **options})
        def fetch(name: str) -> str:
            self.executions += 1
            number = self.executions
            if self.gate is not None:
                self.gate.wait()
            if self.error is not None:
                raise self.error
            return f"{name}{number}"

        self.function: Any = fetch
        self.cache: Any = fetch.cache

    def __call__(self, name: str = "a") -> str:
        return self.function(name)  # type: ignore[no-any-return]

    def hold(self) -> Gate:
        self.gate = Gate()
        return self.gate

    def settle(self) -> None:
        pool, results = self.registry.pool, self.cache._cache
        until(lambda: not (results.jobs or results.table or pool.busy or pool.queued))


class AsyncFetch:
    """The same of coroutines; the gate opens without a loop."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.held = False
        self.executions = self.cancelled = 0
        self.error: BaseException | None = None

        @bounded(**{"clock": self.clock, "registry": Registry(), **options})
        async def fetch(name: str) -> str:
            self.executions += 1
            number = self.executions
            try:
                while self.held:
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            if self.error is not None:
                raise self.error
            return f"{name}{number}"

        self.function: Any = fetch
        self.cache: Any = fetch.cache

    async def __call__(self, name: str = "a") -> str:
        return await self.function(name)  # type: ignore[no-any-return]

    async def settle(self) -> None:
        self.held = False
        await until_async(lambda: not (self.cache._cache.jobs or self.cache._cache.table))

    @property
    def idle(self) -> bool:
        return not (self.cache._cache.jobs or self.cache._cache.table)


# -- one background load, whoever asks


@pytest.mark.parametrize("policy", ["s3fifo", "lru"])
def test_many_threads_begin_one_background_load(policy: str) -> None:
    """All get the stale value at once, while the one load stands."""
    fetch = Fetch(**SWR, policy=policy)
    fetch()
    fetch.clock.advance(TTL)
    gate = fetch.hold()
    barrier = threading.Barrier(16)

    def call() -> list[str]:
        barrier.wait(LIMIT_S)
        return [fetch() for _ in range(50)]

    with switching_often():
        calls = [Running(call) for _ in range(16)]
        assert [call.result() for call in calls] == [["a1"] * 50] * 16
    gate.reached()
    assert fetch.executions == 2
    gate.open()
    fetch.settle()
    assert fetch() == "a2"
    stats = fetch.cache.stats()
    assert (stats.hits, stats.misses, stats.stale_hits, stats.refreshes) == (1, 1, 800, 1)


@every_loop
def test_many_coroutines_begin_one_background_load(kind: str) -> None:
    """All get the stale value at once, while the one load stands; no task is left."""
    fetch = AsyncFetch(**SWR)

    async def main() -> None:
        await fetch()
        fetch.clock.advance(TTL)
        fetch.held = True
        assert await asyncio.gather(*[fetch() for _ in range(100)]) == ["a1"] * 100
        await some_turns()
        assert fetch.executions == 2
        await fetch.settle()
        await some_turns()
        assert await fetch() == "a2"

    play(main, kind)
    stats = fetch.cache.stats()
    assert (stats.hits, stats.misses, stats.stale_hits, stats.refreshes) == (1, 1, 100, 1)


def test_several_loops_begin_one_background_load() -> None:
    """Callers in four loops of four threads get the stale value; the load runs in the loop of one of them."""
    fetch = AsyncFetch(**SWR)
    play(fetch)
    fetch.clock.advance(TTL)
    fetch.held = True
    barrier = threading.Barrier(4)
    over = threading.Event()

    async def main() -> list[str]:
        barrier.wait(LIMIT_S)
        values = [await fetch() for _ in range(25)]
        await until_elsewhere(over.is_set)
        await until_elsewhere(lambda: fetch.idle)
        return values

    with quietly():
        calls = [Running(lambda: asyncio.run(main())) for _ in range(4)]
        until(lambda: fetch.cache.stats().stale_hits == 100)
        until(lambda: fetch.executions == 2)
        fetch.held = False
        over.set()
        assert [call.result() for call in calls] == [["a1"] * 25] * 4
    assert fetch.executions == 2
    assert play(fetch) == "a2"


@every_loop
def test_limited_callers_share_one_load(kind: str) -> None:
    """Many within() callers and plain ones: one execution, all get its value."""
    fetch = AsyncFetch(max=8)

    async def main() -> None:
        fetch.held = True
        limited = [asyncio.create_task(fetch.cache.within(7).call("a")) for _ in range(10)]
        await some_turns()
        plain = [asyncio.create_task(fetch()) for _ in range(10)]
        await some_turns()
        fetch.held = False
        assert await asyncio.gather(*limited, *plain) == ["a1"] * 20
        await fetch.settle()

    play(main, kind)
    stats = fetch.cache.stats()
    assert (stats.misses, stats.joins, stats.loads) == (1, 19, 1)


def test_limited_callers_of_two_loops_share_one_load() -> None:
    """The second loop's background load joins the first's; its caller counts as a join."""
    fetch = AsyncFetch(max=8)
    fetch.held = True

    async def main() -> str:
        value = await fetch.cache.within(LIMIT_S).call("a")
        await until_elsewhere(lambda: fetch.idle)
        return value  # type: ignore[no-any-return]

    with quietly():
        first = Running(lambda: asyncio.run(main()))
        until(lambda: fetch.executions == 1)
        second = Running(lambda: asyncio.run(main()))
        until(lambda: [flight.waiters for flight in fetch.cache.inflight.pending()] == [1])
        fetch.held = False
        assert (first.result(), second.result()) == ("a1", "a1")
    stats = fetch.cache.stats()
    assert (fetch.executions, stats.misses, stats.joins) == (1, 1, 1)


def test_a_limited_caller_who_joins_a_plain_one_counts_as_a_join() -> None:
    """His background load runs nothing itself, and the plain caller leads."""
    fetch = Fetch(max=8)
    gate = fetch.hold()
    plain = Running(fetch)
    gate.reached()
    limited = Running(lambda: fetch.cache.within(LIMIT_S).call("a"))
    until(lambda: [flight.waiters for flight in fetch.cache.inflight.pending()] == [1])
    gate.open()
    assert (plain.result(), limited.result()) == ("a1", "a1")
    stats = fetch.cache.stats()
    assert (fetch.executions, stats.misses, stats.joins, stats.loads) == (1, 1, 1, 1)


# -- cancellation


@every_loop
def test_the_end_of_the_caller_does_not_end_the_background_load(kind: str) -> None:
    """The task that began it is over, or cancelled, and the load goes on."""
    fetch = AsyncFetch(**SWR)

    async def main() -> None:
        await fetch()
        fetch.clock.advance(TTL)
        fetch.held = True

        async def caller() -> None:
            assert await fetch() == "a1"
            await asyncio.Event().wait()

        task = asyncio.create_task(caller())
        await until_async(lambda: fetch.executions == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await fetch.settle()
        assert fetch.cancelled == 0
        assert await fetch() == "a2"

    play(main, kind)


@every_loop
@pytest.mark.parametrize("options", [{"max": 8}, {**SIE, "soft_timeout": 7}], ids=["within", "soft"])
def test_a_cancelled_limited_caller_leaves_alone(kind: str, options: dict[str, Any]) -> None:
    """The others and the load go on, even if he was the one who began it, or the only one."""
    fetch = AsyncFetch(**options)
    soft = "soft_timeout" in options

    async def main() -> None:
        if soft:
            await fetch()
            fetch.clock.advance(TTL)
        fetch.held = True

        def call() -> Any:
            return fetch() if soft else fetch.cache.within(7).call("a")

        first, second = (asyncio.create_task(call()) for _ in range(2))
        await until_async(lambda: fetch.clock.waiting() == 2)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert fetch.clock.waiting() == 1
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await some_turns()
        assert (fetch.cancelled, fetch.clock.waiting()) == (0, 0)
        third = asyncio.create_task(call())
        await until_async(lambda: fetch.clock.waiting() == 1)
        fetch.held = False
        assert await third == f"a{fetch.executions}"
        assert fetch.executions == 1 + soft
        await fetch.settle()

    play(main, kind)


@every_loop
def test_a_failure_that_a_cancelled_caller_would_have_seen_is_logged(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody else waits, so the log tells."""
    fetch = AsyncFetch(max=8)
    fetch.error = LookupError("down")

    async def main() -> None:
        fetch.held = True
        task = asyncio.create_task(fetch.cache.within(7).call("a"))
        await until_async(lambda: fetch.executions == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await fetch.settle()
        await some_turns()

    play(main, kind)
    assert [repr(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["LookupError('down')"]


@every_loop
def test_a_background_load_that_cancels_itself_is_replaced(kind: str) -> None:
    """Who began it is struck, as the leader of a plain call is; who joined begins another."""
    fetch = AsyncFetch(max=8)
    fetch.error = asyncio.CancelledError()

    async def main() -> None:
        fetch.held = True
        tasks = [asyncio.create_task(fetch.cache.within(7).call("a")) for _ in range(3)]
        await until_async(lambda: fetch.executions == 1)
        fetch.held = False
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 3
        assert fetch.executions == 3
        fetch.error = None
        assert await fetch.cache.within(7).call("a") == "a4"
        await fetch.settle()

    play(main, kind)
    stats = fetch.cache.stats()
    assert stats.requests == 4


def test_what_ends_a_limited_load_strikes_the_caller_who_began_it() -> None:
    """SystemExit does not end a thread of the pool, and reaches the caller."""
    fetch = Fetch(max=8)
    fetch.error = SystemExit(3)
    with pytest.raises(SystemExit) as caught:
        fetch.cache.within(LIMIT_S).call("a")
    assert caught.value.code == 3
    fetch.error = None
    assert fetch.cache.within(LIMIT_S).call("a") == "a2"
    fetch.settle()
    assert fetch.registry.pool.threads == 1
    assert fetch.cache.stats().requests == 2


def test_what_ends_a_background_load_of_nobody_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The thread lives on, and the stale value stays."""
    fetch = Fetch(**SWR)
    fetch()
    fetch.clock.advance(TTL)
    fetch.error = SystemExit(3)
    assert fetch() == "a1"
    fetch.settle()
    assert [repr(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["SystemExit(3)"]
    fetch.error = None
    fetch.clock.advance(1)
    assert fetch() == "a1"
    fetch.settle()
    assert fetch() == "a3"


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no signals between threads")
def test_ctrl_c_ends_the_wait_of_a_limited_caller() -> None:
    """KeyboardInterrupt reaches him at once; the load goes on and is stored."""
    fetch = Fetch(max=8)
    gate = fetch.hold()

    def interrupt() -> None:
        gate.reached()
        until(lambda: fetch.clock.waiting() == 1)
        interrupt_main()

    helper = Running(interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch.cache.within(LIMIT_S).call("a")
    helper.result()
    assert fetch.clock.waiting() == 0
    gate.open()
    fetch.settle()
    assert fetch() == "a1"
    assert fetch.executions == 1


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
    until(lambda: not here.pool.busy)
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
    until(lambda: not here.pool.busy)
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
    until(lambda: not here.pool.busy and seen)
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


# -- fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_begins_its_own_background_loads() -> None:
    """The parent's are not there, its threads neither; the lease passes, and the child refreshes by itself."""
    fetch = Fetch(**SWR)
    fetch.registry.configure(refresh_threads=1)
    fetch("a"), fetch("b")
    fetch.clock.advance(TTL)
    gate = fetch.hold()
    fetch("a")
    gate.reached()
    fetch("b")

    def act() -> bool:
        fetch.gate = None
        pool = fetch.registry.pool
        fresh = (pool.threads, pool.busy, pool.queued, fetch.cache._cache.jobs.by_loop) == (0, 0, 0, {})
        stale = fetch("a") == "a1"
        fetch.clock.advance(1)
        stale = stale and fetch("a") == "a1"
        until(lambda: fetch.cache.entry("a").value == "a4")
        return fresh and stale and fetch("a") == "a4" and fetch.cache.within(5).call("c") == "c5"

    assert in_a_child(act) == 0
    gate.open()
    fetch.settle()
    assert (fetch("a"), fetch("b")) == ("a3", "b4")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_forks_in_the_midst_of_background_loads() -> None:
    """Whatever the other threads were at, the child's calls neither hang nor fail."""
    fetch = Fetch(**{**SWR, "ttl": 0.001, "clock": None, "max": 50})
    over = threading.Event()

    def churn() -> None:
        rng = random.Random(1)
        while not over.is_set():
            fetch(rng.choice("abcdef"))

    threads = [Running(churn) for _ in range(3)]
    try:
        for _ in range(20):
            assert in_a_child(lambda: all(fetch(name)[0] == name for name in "abcdef" * 20)) == 0
    finally:
        over.set()
        for thread in threads:
            thread.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_background_load_may_fork() -> None:
    """The child's copy of its thread ends quietly where the load ends."""
    clock, here = FakeClock(), Registry()
    statuses: list[int] = []

    @bounded(**SWR, clock=clock, registry=here)  # type: ignore[arg-type]
    def fetch(name: str) -> int:
        if fetch.cache.entry(name) is not None:
            statuses.append(in_a_child(lambda: fetch(name) == 0))
        return len(statuses)

    fetch("a")
    clock.advance(TTL)
    assert fetch("a") == 0
    until(lambda: not here.pool.busy and len(statuses) == 1)
    assert statuses == [0]
    assert fetch("a") == 1


# -- the end of the interpreter

PRELUDE = """\
import asyncio, logging, sys, threading, time
logging.getLogger("asyncio").setLevel(logging.ERROR)  # that the machine is slow is no fault of an ending
from memo import bounded, registry
from memo.testing import FakeClock
clock = FakeClock()
options = dict(max=8, ttl=10, stale_while_revalidate=20, clock=clock)
entered = threading.Event()
calls = []
"""

ENDINGS = {
    "sync, hung": """
        @bounded(**options)
        def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                entered.set()
                threading.Event().wait()
        fetch(1); clock.advance(10); fetch(1); assert entered.wait(20)
    """,
    "sync, failing while the interpreter ends": """
        import atexit
        late = threading.Event()
        @bounded(**options)
        def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                entered.set()
                late.wait()
                raise LookupError
        fetch(1); clock.advance(10); fetch(1); assert entered.wait(20)
        def at_the_end():
            late.set()
            until = time.monotonic() + 20
            while registry.pool.busy and time.monotonic() < until:
                threading.Event().wait(0.001)
            assert not registry.pool.busy
        atexit.register(at_the_end)
    """,
    "sync, begun while the interpreter ends": """
        import atexit
        @bounded(**options)
        def fetch(x):
            calls.append(x)
        fetch(1); clock.advance(10)
        atexit.register(fetch, 1)
    """,
    "sync, many queued": """
        @bounded(**{**options, "max": 500})
        def fetch(x):
            calls.append(x)
            if len(calls) > 300:
                entered.set()
                threading.Event().wait()
        for x in range(300): fetch(x)
        clock.advance(10)
        for x in range(300): fetch(x)
        assert entered.wait(20)
    """,
    "sync, an idle pool": """
        @bounded(**options)
        def fetch(x):
            calls.append(x)
        fetch(1); clock.advance(10); fetch(1)
        while len(calls) < 2: time.sleep(0)
    """,
    "asyncio.run": """
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
            while len(calls) < 2: await asyncio.sleep(0)
        asyncio.run(main())
    """,
    "asyncio.run, at once": """
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
        asyncio.run(main())
    """,
    "loop.close": """
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
            while len(calls) < 2: await asyncio.sleep(0)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    """,
    "loop.close, at once": """
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    """,
    "a loop that nobody closes": """
        import warnings
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        warnings.simplefilter("ignore", ResourceWarning)
    """,
    "a loop that nobody closes, in a daemon thread": """
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                entered.set()
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
        loop = asyncio.new_event_loop()
        def run():
            loop.create_task(main())
            loop.run_forever()
        threading.Thread(target=run, daemon=True).start()
        assert entered.wait(20)
    """,
    "uvloop": """
        import uvloop
        @bounded(**options)
        async def fetch(x):
            calls.append(x)
            if len(calls) > 1:
                await asyncio.Event().wait()
        async def main():
            await fetch(1); clock.advance(10); await fetch(1)
            while len(calls) < 2: await asyncio.sleep(0)
        uvloop.run(main()) if MODE == "run" else None
        if MODE == "close":
            loop = uvloop.new_event_loop()
            loop.run_until_complete(main())
            loop.close()
    """,
    "limited, sync": """
        from memo import InflightTimeout
        @bounded(max=8)
        def fetch(x):
            calls.append(x)
            threading.Event().wait()
        try:
            fetch.cache.within("20ms").call(1)
        except InflightTimeout:
            pass
        else:
            raise AssertionError
    """,
}


def ends_cleanly(code: str, develop: bool = True) -> None:
    options = ["-X", "dev"] if develop else []
    result = subprocess.run(
        [sys.executable, *options, "-W", "error", "-c", PRELUDE + textwrap.dedent(code)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("ending", [ending for ending in ENDINGS if ending != "uvloop"])
def test_the_interpreter_ends_cleanly(ending: str) -> None:
    """Exit status 0, nothing said, no hang."""
    # an open loop complains of its own at the end of Python 3.13's development mode
    ends_cleanly(ENDINGS[ending], develop=ending != "a loop that nobody closes")


@pytest.mark.parametrize("mode", ["run", "close"])
def test_the_interpreter_ends_cleanly_with_uvloop(mode: str) -> None:
    """Exit status 0, nothing said, no hang."""
    pytest.importorskip("uvloop")
    ends_cleanly(f"MODE = {mode!r}\n" + textwrap.dedent(ENDINGS["uvloop"]))


# -- all at once


@pytest.mark.parametrize("seed", range(3))
def test_threads_with_everything_on(seed: int) -> None:
    """No value past its window, no lost call: the five counters add up, bounds and invariants hold."""
    clock, here = FakeClock(), Registry()
    failing = [False]
    made: dict[str, float] = {}

    @bounded(
        max=4, ttl=2, stale_while_revalidate=2, stale_if_error=6, soft_timeout=1, jitter=0.1, cache_errors=LookupError,
        error_ttl=1, timeout=30, copy="shallow", clock=clock, registry=here,
    )  # fmt: skip
    def fetch(name: str) -> list[float]:
        if failing[0]:
            raise LookupError(name)
        made[name] = clock()
        return [clock()]

    counted = [0] * 6
    over = threading.Event()

    def churn(number: int) -> None:
        rng = random.Random(seed * 100 + number)
        while not over.is_set():
            name, act, before = rng.choice("abcdef"), rng.randrange(20), clock()
            with contextlib.suppress(LookupError, InflightTimeout):
                if act == 0:
                    fetch.cache.invalidate(name)
                elif act == 1:
                    fetch.cache.clear()
                elif act == 2:
                    fetch.cache.put([clock()], name)
                elif act == 3:
                    fetch.cache.refresh(name)
                else:
                    counted[number] += 1
                    if act == 4:
                        value = fetch.cache.within(0.5).call(name)
                    elif act == 5:
                        value = fetch.cache.fresh(name)
                    else:
                        value = fetch(name)
                    assert before - value[0] < 2 + 6, "a value past its window was served"

    with switching_often():
        threads = [Running(lambda number=number: churn(number)) for number in range(6)]
        rng = random.Random(seed)
        for _ in range(150):
            failing[0] = rng.random() < 0.4
            clock.advance(rng.choice([0.1, 0.5, 1, 3]))
            enough = sum(counted) + 20
            until(lambda: sum(counted) >= enough)  # noqa: B023
        over.set()
        for thread in threads:
            thread.result()
    until(lambda: not (here.pool.busy or here.pool.queued or fetch.cache._cache.jobs))
    stats = fetch.cache.stats()
    assert stats.requests == sum(counted)
    assert all(number > 0 for number in (stats.hits, stats.misses, stats.stale_hits, stats.error_hits))
    assert stats.size <= 4
    fetch.cache._check()
    assert not fetch.cache._cache.table


@every_loop
@pytest.mark.parametrize("seed", range(2))
def test_coroutines_with_everything_on(kind: str, seed: int) -> None:
    """The same between tasks, some of which are cancelled."""
    clock = FakeClock()
    failing = [False]
    rng = random.Random(seed)

    @bounded(
        max=4, ttl=2, stale_while_revalidate=2, stale_if_error=6, soft_timeout=1, jitter=0.1, cache_errors=LookupError,
        error_ttl=1, timeout=5, copy="shallow", clock=clock, registry=Registry(),
    )  # fmt: skip
    async def fetch(name: str) -> list[float]:
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        if failing[0]:
            raise LookupError(name)
        return [clock()]

    async def one() -> int:
        name, act, before = rng.choice("abcdef"), rng.randrange(12), clock()
        with contextlib.suppress(LookupError, InflightTimeout):
            if act == 0:
                fetch.cache.invalidate(name)
                return 0
            if act == 1:
                fetch.cache.put([clock()], name)
                return 0
            if act == 2:
                value = await fetch.cache.within(0.5).call(name)
            elif act == 3:
                value = await fetch.cache.fresh(name)
            else:
                value = await fetch(name)
            assert before - value[0] < 2 + 6, "a value past its window was served"
        return 1

    async def main() -> None:
        calls = 0
        for _ in range(150):
            failing[0] = rng.random() < 0.4
            tasks = [asyncio.create_task(one()) for _ in range(8)]
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            clock.advance(rng.choice([0, 0, 0.1, 0.5, 1, 3]))
            calls += sum(await asyncio.gather(*tasks))
        await until_async(lambda: not (fetch.cache._cache.jobs or fetch.cache._cache.table))
        await some_turns()
        stats = fetch.cache.stats()
        assert stats.requests == calls
        assert stats.size <= 4
        fetch.cache._check()

    play(main, kind)
