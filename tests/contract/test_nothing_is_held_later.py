"""What begins later work, timers and functions that nobody holds: nothing of them stays."""

import asyncio
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
    suspended,
)

import memo
from memo import Registry, bounded, dedupe_inflight
from memo.testing import FakeClock

pytestmark = pytest.mark.usefixtures("without_collector")


def test_work_that_begins_work_holds_no_chain(run: Any) -> None:
    """Calls that were begun by work which has ended since do not keep what that work was."""

    @dedupe_inflight(timeout=HOUR, registry=Registry())
    async def f(x: int) -> None:
        await asyncio.sleep(0)
        works.append(weakref.ref(memo._flight.task_work.current_work.get()))
        if x < 50:
            tasks.append(asyncio.create_task(f(x + 1)))

    works: list[weakref.ref[Any]] = []
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        await f(0)
        while tasks:
            await tasks.pop()
            assert sum(ref() is not None for ref in works) < 5

    run(main())


def test_a_cancelled_timer_does_not_pile_up() -> None:
    """A thousand calls one after the other leave no more timers in the loop than the loop itself keeps."""
    f = dedupe_inflight(timeout=HOUR, registry=Registry())(suspended)

    async def main() -> int:
        for number in range(1000):
            await f(number)
        return len(asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]

    assert asyncio.run(main()) <= 201


def test_a_clock_advanced_by_hand_forgets_what_is_taken_back() -> None:
    """Waits that ended before their time do not stay in the clock."""
    clock = FakeClock()
    token = Token()
    held = weakref.ref(token)
    for _ in range(1000):
        clock.call_at(clock() + 60, lambda token=token: None)()
    del token
    assert held() is None
    assert clock.waiting() == 0
    clock.advance(120)


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="tasks are never eager before Python 3.12")
@makers
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
def test_after_a_call_in_an_eager_task(make: Any, work: Any) -> None:
    """Nor of calls whose tasks begin as soon as they are made."""
    f = make(work)

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        held: list[weakref.ref[Any]] = []
        arguments = [Token()]
        held.append(weakref.ref(arguments[0]))
        await asyncio.gather(*[in_a_context(lambda: f(arguments[0]), held) for _ in range(3)])
        assert leftovers() == []
        arguments.clear()
        await asyncio.sleep(0)
        assert [ref() for ref in held if ref() is not None] == []

    asyncio.run(main())


def decorators(clock: FakeClock) -> dict[str, Callable[[Any], Any]]:
    registry = Registry()
    return {
        "dedupe_inflight": dedupe_inflight(timeout=HOUR, clock=clock, registry=registry),
        "bounded": bounded(max=9, timeout=HOUR, clock=clock, registry=registry),
        "late": bounded(
            max=9, ttl=60, stale_while_revalidate=60, stale_if_error=600, soft_timeout=1, timeout=HOUR, clock=clock,
            registry=registry,
        ),
        "errors": bounded(max=9, cache_errors=Refusal, error_ttl=60, clock=clock, registry=registry),
    }  # fmt: skip


@pytest.mark.parametrize("kind", decorators(FakeClock()))
@pytest.mark.parametrize("end", ["returned", "raised", "cancelled", "too late"])
def test_a_function_that_nobody_holds_goes_at_once(run: Any, kind: str, end: str) -> None:
    """After calls that ended in each way, nothing in the machinery of flights keeps a decorated coroutine function."""
    clock = FakeClock()
    token = Token()
    held = weakref.ref(token)

    def made(token: Token) -> Any:
        async def work(x: int) -> str:
            await asyncio.sleep(0)
            if end == "raised":
                raise Refusal
            if end != "returned":
                await asyncio.Event().wait()
            return type(token).__name__

        return decorators(clock)[kind](work)

    async def use(f: Any) -> None:
        calls = [asyncio.create_task(f(1)) for _ in range(3)]
        while f.inflight.stats().waiting < 2:
            await asyncio.sleep(0)
        if end == "too late":
            clock.advance(HOUR)
        if end == "cancelled" or (end == "too late" and not f.inflight.stats().timeouts):
            for call in calls:
                call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        for _ in range(5):
            await asyncio.sleep(0)

    f = made(token)
    del token
    run(use(f))
    kept = weakref.ref(f)
    del f
    assert (held(), kept()) == (None, None)


@pytest.mark.parametrize("kind", decorators(FakeClock()))
@pytest.mark.parametrize("end", ["returned", "raised"])
def test_a_plain_function_that_nobody_holds_goes_at_once(kind: str, end: str) -> None:
    """After calls in several threads, and loads in the background."""
    clock = FakeClock()
    token = Token()
    held = weakref.ref(token)

    def made(token: Token) -> Any:
        def work(x: int) -> str:
            if end == "raised":
                raise Refusal
            return type(token).__name__

        return decorators(clock)[kind](work)

    def call(ask: Any) -> None:
        try:
            ask(1)
        except Refusal:
            pass

    f = made(token)
    del token
    threads = [threading.Thread(target=call, args=(f,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    del threads, thread
    if hasattr(f, "cache"):
        call(f.cache.within("1h").fresh)
        clock.advance(90)
        call(f)
    ends = time.monotonic() + LIMIT_S
    while f.inflight.pending() and time.monotonic() < ends:
        time.sleep(0.001)
    kept = weakref.ref(f)
    del f
    while (held() or kept()) is not None and time.monotonic() < ends:  # a thread of the pool lets go in its own time
        time.sleep(0.001)
    assert (held(), kept()) == (None, None)
