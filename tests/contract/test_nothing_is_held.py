"""When a call has ended, nothing of it is held."""

import asyncio
import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.held import (
    HOUR,
    LIMIT_S,
    WORKS,
    Refusal,
    Token,
    in_a_context,
    leftovers,
    makers,
    who,
)

import memo
from memo import InflightTimeout, Registry, bounded, dedupe_inflight
from memo.testing import FakeClock

pytestmark = pytest.mark.usefixtures("without_collector")


@makers
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
@pytest.mark.parametrize("callers", [1, 3])
def test_after_an_awaited_call(run: Any, make: Any, work: Any, callers: int) -> None:
    """Neither the leader's nor the joiners' contexts, tasks and arguments, whether the call returned or raised."""
    f = make(work)

    async def main() -> None:
        held: list[weakref.ref[Any]] = []
        arguments = [Token()]
        held.append(weakref.ref(arguments[0]))
        ends = await asyncio.gather(*[in_a_context(lambda: f(arguments[0]), held) for _ in range(callers)])
        assert set(ends) == {"Refusal" if "failing" in work.__name__ else "returned"}
        assert leftovers() == []
        arguments.clear()
        await asyncio.sleep(0)
        assert [ref() for ref in held if ref() is not None] == []
        assert len(f.inflight) == 0
        assert not memo._flight.circles.waiting

    run(main())


@makers
@pytest.mark.parametrize("joiners", [0, 2])
def test_after_a_cancelled_call(run: Any, make: Any, joiners: int) -> None:
    """Nothing of a caller who was cancelled, nor of the work that was cancelled as the last one left."""

    async def work(x: Any) -> None:
        await asyncio.Event().wait()

    f = make(work)

    async def main() -> None:
        held: list[weakref.ref[Any]] = []
        arguments = [Token()]
        held.append(weakref.ref(arguments[0]))
        calls = [asyncio.create_task(in_a_context(lambda: f(arguments[0]), held)) for _ in range(joiners + 1)]
        while f.inflight.stats().waiting < joiners or not f.inflight.pending():
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        arguments.clear()
        del call, calls
        assert leftovers() == []
        await asyncio.sleep(0)
        assert [ref() for ref in held if ref() is not None] == []
        assert len(f.inflight) == 0

    run(main())


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("obeys", [True, False])
def test_after_a_call_that_took_too_long(run: Any, by_hand: bool, bound: bool, obeys: bool) -> None:
    """Nothing of a call that was detached at its deadline, of a clock's either; of work that goes on once it ends."""
    clock = FakeClock() if by_hand else None
    timeout = HOUR if by_hand else 0.01

    async def work(x: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if obeys:
                raise
            await asyncio.sleep(0)

    f: Any
    if bound:
        f = bounded(max=9, timeout=timeout, clock=clock, key=id, registry=Registry())(work)
    else:
        f = dedupe_inflight(timeout=timeout, clock=clock, registry=Registry())(work)

    async def main() -> None:
        held: list[weakref.ref[Any]] = []
        arguments = [Token()]
        held.append(weakref.ref(arguments[0]))
        calls = [asyncio.create_task(in_a_context(lambda: f(arguments[0]), held)) for _ in range(3)]
        if clock is not None:
            while f.inflight.stats().waiting < 2:
                await asyncio.sleep(0)
            clock.advance(HOUR)
        assert await asyncio.gather(*calls) == ["InflightTimeout"] * 3
        timers = getattr(asyncio.get_running_loop(), "_scheduled", ())
        assert [handle for handle in timers if not handle.cancelled()] == []
        arguments.clear()
        del calls
        for _ in range(5):
            await asyncio.sleep(0)
        assert leftovers() == []
        assert [ref() for ref in held if ref() is not None] == []
        assert clock is None or clock.waiting() == 0

    run(main())


@makers
def test_after_calls_of_two_loops(run: Any, make: Any) -> None:
    """Neither of the two loops, nor anything of a caller in either."""
    held: list[weakref.ref[Any]] = []
    arguments: dict[int, Any] = {0: Token()}
    held.append(weakref.ref(arguments[0]))
    entered, opened = threading.Event(), threading.Event()

    async def work(x: Any) -> str:
        entered.set()
        while not opened.is_set():
            await asyncio.sleep(0.001)
        return "value"

    f = make(work)

    async def main() -> None:
        held.append(weakref.ref(asyncio.get_running_loop()))
        assert await in_a_context(lambda: f(arguments[0]), held) == "returned"
        assert leftovers() == []

    threads = [threading.Thread(target=lambda: run(main())) for _ in range(2)]
    threads[0].start()
    assert entered.wait(LIMIT_S)
    threads[1].start()
    while not f.inflight.stats().waiting:
        time.sleep(0.001)
    opened.set()
    for thread in threads:
        thread.join(LIMIT_S)
    del threads, thread
    arguments.clear()
    assert [ref() for ref in held if isinstance(ref(), Token)] == []
    gc.collect()  # asyncio and uvloop leave cycles of their own
    assert [ref() for ref in held if ref() is not None] == []


@makers
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("callers", [1, 3])
def test_after_a_call_of_a_plain_function(make: Any, fails: bool, callers: int) -> None:
    """No argument of a plain function's call, whether it returned or raised, to whoever waited."""
    entered, opened = threading.Event(), threading.Event()

    def work(x: Any) -> str:
        entered.set()
        assert opened.wait(LIMIT_S)
        if fails:
            raise Refusal(x)
        return "value"

    f = make(work)
    arguments: list[Any] = [Token()]
    held = [weakref.ref(arguments[0])]
    ends: list[str] = []

    def call() -> None:
        try:
            f(arguments[0])
        except Refusal:
            ends.append("Refusal")
        else:
            ends.append("returned")

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    assert entered.wait(LIMIT_S)
    while f.inflight.stats().waiting < callers - 1:
        time.sleep(0.001)
    opened.set()
    for thread in threads:
        thread.join(LIMIT_S)
    arguments.clear()
    assert ends == ["Refusal" if fails else "returned"] * callers
    assert held[0]() is None
    assert not memo._flight.circles.waiting
    assert len(f.inflight) == 0


def test_after_a_wait_that_was_too_long_for_a_thread() -> None:
    """A clock advanced by hand forgets the deadline that a thread waited for, and the thread's argument."""
    clock = FakeClock()
    entered, opened = threading.Event(), threading.Event()

    def work(x: Any) -> str:
        entered.set()
        assert opened.wait(LIMIT_S)
        return "value"

    f = dedupe_inflight(timeout=HOUR, clock=clock, registry=Registry())(work)
    arguments: list[Any] = [Token()]
    held = weakref.ref(arguments[0])
    ends: list[Any] = []

    def call() -> None:
        try:
            ends.append(f(arguments[0]))
        except InflightTimeout as error:
            ends.append(type(error))

    threads = [threading.Thread(target=call) for _ in range(2)]
    threads[0].start()
    assert entered.wait(LIMIT_S)
    threads[1].start()
    while not clock.waiting():
        time.sleep(0.001)
    clock.advance(HOUR)
    threads[1].join(LIMIT_S)
    assert clock.waiting() == 0
    opened.set()
    threads[0].join(LIMIT_S)
    arguments.clear()
    assert ends == [InflightTimeout, "value"]
    assert held() is None


LATE: dict[str, Callable[[Any, Any], Any]] = {
    "within": lambda f, x: f.cache.within("1h").call(x),
    "fresh within": lambda f, x: f.cache.within("1h").fresh(x),
    "fresh": lambda f, x: f.cache.fresh(x),
    "refresh": lambda f, x: f.cache.refresh(x),
    "stale": lambda f, x: f(x),
}


@pytest.mark.parametrize("ask", LATE.values(), ids=LATE)
@pytest.mark.parametrize("fails", [False, True])
def test_after_a_load_in_the_background(run: Any, ask: Any, fails: bool) -> None:
    """Nothing of a load in a task of its own, nor of the caller who waited for it within a limit."""
    clock = FakeClock()
    calls: list[None] = []

    @bounded(
        max=9, ttl=60, stale_while_revalidate=600, stale_if_error=600, timeout=HOUR, key=lambda x: 0, clock=clock,
        registry=Registry(),
    )  # fmt: skip
    async def f(x: Any) -> int:
        calls.append(None)
        await asyncio.sleep(0)
        if fails and len(calls) > 1:
            raise Refusal
        return len(calls)

    async def main() -> None:
        held: list[weakref.ref[Any]] = []
        await f(None)
        clock.advance(90)
        arguments = [Token()]
        held.append(weakref.ref(arguments[0]))
        await in_a_context(lambda: ask(f, arguments[0]), held)
        while len(calls) < 2 or f.inflight.pending():
            await asyncio.sleep(0)
        arguments.clear()
        for _ in range(5):
            await asyncio.sleep(0)
        assert leftovers() == []
        assert [ref() for ref in held if ref() is not None] == []
        assert clock.waiting() == 0

    run(main())


@pytest.mark.parametrize("ask", LATE.values(), ids=LATE)
@pytest.mark.parametrize("fails", [False, True])
def test_after_a_load_in_a_thread_of_the_pool(ask: Any, fails: bool) -> None:
    """Nothing of a load in a thread of the pool, which goes on to wait for others."""
    clock = FakeClock()
    calls: list[None] = []

    @bounded(
        max=9, ttl=60, stale_while_revalidate=600, stale_if_error=600, timeout=HOUR, key=lambda x: 0, clock=clock,
        registry=Registry(),
    )  # fmt: skip
    def f(x: Any) -> int:
        calls.append(None)
        if fails and len(calls) > 1:
            raise Refusal
        return len(calls)

    f(None)
    clock.advance(90)
    arguments, values = [Token()], [Token()]
    held = [weakref.ref(arguments[0]), weakref.ref(values[0])]

    def act() -> None:
        who.set(values.pop())
        try:
            ask(f, arguments[0])
        except Refusal:
            pass

    contextvars.Context().run(act)
    ends = time.monotonic() + LIMIT_S
    while len(calls) < 2 or f.inflight.pending():
        time.sleep(0.001)
    arguments.clear()
    while any(ref() is not None for ref in held) and time.monotonic() < ends:  # the thread lets go in its own time
        time.sleep(0.001)
    assert [ref() for ref in held if ref() is not None] == []
    assert clock.waiting() == 0
