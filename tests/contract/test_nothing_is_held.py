"""When a call has ended, nothing of it is held: no context, argument, task, loop, timer or frame.

The collector is off: what is not freed by reference counts alone counts as held.
"""

import asyncio
import contextvars
import gc
import importlib
import logging
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import memo
from memo import InflightTimeout, Registry, bounded, dedupe_inflight
from memo.testing import FakeClock

LIMIT_S = 20
"""Turns a hang into a failure."""

who: contextvars.ContextVar[Any] = contextvars.ContextVar("who", default=None)


class Token:
    """Something that can be held."""


class Refusal(Exception):
    pass


@pytest.fixture(autouse=True)
def without_collector() -> Iterator[None]:
    """Only reference counts free anything."""
    gc.collect()
    gc.disable()
    log = logging.getLogger("memo")
    log.disabled = True  # pytest keeps what is logged, with the frames of logged exceptions
    yield
    log.disabled = False
    gc.enable()


def run_uvloop(main: Coroutine[Any, Any, Any]) -> Any:
    return importlib.import_module("uvloop").run(main)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine in a loop of each kind."""
    if request.param == "asyncio":
        return asyncio.run
    pytest.importorskip("uvloop")
    return run_uvloop


HOUR = 3600.0
MAKERS: dict[str, Callable[[Any], Any]] = {
    "dedupe_inflight": lambda f: dedupe_inflight(timeout=HOUR, registry=Registry())(f),
    "bounded": lambda f: bounded(max=9, key=id, registry=Registry())(f),
    "bounded, timeout": lambda f: bounded(max=9, timeout=HOUR, key=id, registry=Registry())(f),
    "bounded, lru": lambda f: bounded(max=9, policy="lru", timeout=HOUR, key=id, registry=Registry())(f),
    "bounded, late": lambda f: bounded(
        max=9, ttl=60, stale_while_revalidate=60, stale_if_error=60, timeout=HOUR, key=id, registry=Registry()
    )(f),
    "stacked": lambda f: dedupe_inflight(timeout=HOUR, registry=(r := Registry()))(
        bounded(max=9, timeout=HOUR, key=id, registry=r)(f)
    ),
}
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def leftovers() -> list[Any]:
    """What a test harness complains of: timers that are still to ring, and tasks besides the present one."""
    loop = asyncio.get_running_loop()
    timers = [handle for handle in getattr(loop, "_scheduled", ()) if not handle.cancelled()]
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    return timers + tasks


async def in_a_context(call: Callable[[], Coroutine[Any, Any, Any]], held: list[weakref.ref[Any]]) -> str:
    """Await a call in a task with a value in its context; how it ended."""
    values = [Token()]

    async def act() -> str:
        held.append(weakref.ref(values[0]))
        who.set(values.pop())
        try:
            await call()
        except BaseException as error:
            return type(error).__name__
        return "returned"

    task = asyncio.create_task(act())
    held.append(weakref.ref(task))
    return await task


async def suspended(x: Any) -> str:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return "value"


async def immediate(x: Any) -> str:
    return "value"


async def failing(x: Any) -> str:
    await asyncio.sleep(0)
    raise Refusal(x)


async def failing_at_once(x: Any) -> str:
    raise Refusal(x)


WORKS = [suspended, immediate, failing, failing_at_once]


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
