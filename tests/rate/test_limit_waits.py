"""`@limit(..., when_full="delay")` has calls wait for their turn: threads, tasks of one loop, and of several."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.coroutines import play, some_turns, until_async
from kit.flights_loops import in_a_loop
from kit.threads import Running, until

from memo import RateLimited, Registry, limit
from memo._rate import followed
from memo.testing import FakeClock


def waiting(function: Any) -> int:
    return function.limit.stats().waiting  # type: ignore[no-any-return]


def in_threads(function: Any, *args: Any) -> list[Running]:
    """A call for each argument, each in a thread of its own that waits before the next one comes."""
    calls = []
    for arg in args:
        number = waiting(function)
        calls.append(Running(lambda arg=arg: function(arg)))  # type: ignore[misc]
        until(lambda number=number: waiting(function) == number + 1)
    return calls


@pytest.fixture
def began() -> list[tuple[Any, float]]:
    return []


@pytest.fixture
def plain(clock: FakeClock, began: list[tuple[Any, float]]) -> Callable[..., Any]:
    """Makes a limited function that writes down when it began."""

    def make(rate: str, **options: Any) -> Any:
        @limit(rate, when_full="delay", clock=clock, registry=Registry(), **options)
        def work(x: object) -> object:
            began.append((x, clock()))
            return x

        return work

    return make


@pytest.fixture
def task(clock: FakeClock, began: list[tuple[Any, float]]) -> Callable[..., Any]:
    def make(rate: str, **options: Any) -> Any:
        @limit(rate, when_full="delay", clock=clock, registry=Registry(), **options)
        async def work(x: object) -> object:
            began.append((x, clock()))
            return x

        return work

    return make


def test_threads_begin_in_the_order_of_coming(
    plain: Callable[..., Any], clock: FakeClock, began: list[tuple[Any, float]]
) -> None:
    """Each waits until there is room for it and those before it, and no longer."""
    work, start = plain("2/1m", max_delay="3m"), clock()
    assert (work(0), work(1)) == (0, 1)
    calls = in_threads(work, 2, 3, 4, 5, 6)
    assert (work.limit.remaining(0), work.limit.retry_after(0)) == (0, 180)
    for step, so_far in ((59, 2), (1, 4), (59, 4), (1, 6), (60, 7)):
        clock.advance(step)
        until(lambda so_far=so_far: len(began) == so_far)
    assert [call.result() for call in calls] == [2, 3, 4, 5, 6]
    assert [(x, at - start) for x, at in sorted(began)] == list(
        zip(range(7), (0, 0, 60, 60, 120, 120, 180), strict=True)
    )
    stats = work.limit.stats()
    assert (stats.allowed, stats.delayed, stats.refused, stats.waiting) == (7, 5, 0, 0)
    assert stats.delay_seconds == 60 * 2 + 120 * 2 + 180
    assert clock.waiting() == 0


def test_tasks_begin_in_the_order_of_coming(
    task: Callable[..., Any], clock: FakeClock, began: list[tuple[Any, float]]
) -> None:
    """They wait without stopping their loop."""
    work, start = task("2/1m", max_delay="3m"), clock()

    async def main() -> None:
        calls = [asyncio.create_task(work(x)) for x in range(6)]
        await until_async(lambda: waiting(work) == 4)
        for step, so_far in ((59, 2), (1, 4), (60, 6)):
            clock.advance(step)
            await until_async(lambda so_far=so_far: len(began) == so_far)
        assert await asyncio.gather(*calls) == [*range(6)]

    play(main)
    assert [(x, at - start) for x, at in began] == list(zip(range(6), (0, 0, 60, 60, 120, 120), strict=True))
    assert (work.limit.stats().delayed, clock.waiting()) == (4, 0)


@pytest.mark.parametrize("patient", [True, False], ids=["", "the first is cancelled"])
@pytest.mark.parametrize("placed", ["function", "method"])
def test_tasks_of_one_loop_begin_in_order_however_they_wake(placed: str, patient: bool) -> None:
    """Who wakes before those that came earlier, or comes just then, lets them begin first."""
    now = [0.0]
    began: list[int] = []
    limited = limit("4/1h", when_full="delay", clock=lambda: now[0], registry=Registry())

    class Shop:
        @limited
        async def work(self, x: int) -> None:
            began.append(x)

    @limited
    async def work(x: int) -> None:
        began.append(x)

    call = work if placed == "function" else Shop().work
    limiter = call.limit._limiter

    async def main() -> None:
        calls = [asyncio.create_task(call(x)) for x in range(7)]
        await until_async(lambda: waiting(call) == 3)
        now[0] = 3600.0
        for turn in reversed(limiter.waiting):
            turn.ring()
        calls.append(asyncio.create_task(call(7)))
        if not patient:
            calls[4].cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    play(main)
    assert began == [x for x in range(8) if patient or x != 4]
    assert waiting(call) == 0
    limiter._check()


def test_a_cancelled_task_gives_its_place_back(
    task: Callable[..., Any], clock: FakeClock, began: list[tuple[Any, float]]
) -> None:
    """Those behind it move up; what was cancelled counts nowhere."""
    work, start = task("1/1m", max_delay="2m"), clock()

    async def main() -> None:
        calls = [asyncio.create_task(work(x)) for x in range(3)]
        await until_async(lambda: waiting(work) == 2)
        with pytest.raises(RateLimited, match=r"work\(\): 1 call began .*come again in 3m"):
            await work(3)
        calls[1].cancel()
        await some_turns()
        assert (waiting(work), work.limit.retry_after(0)) == (1, 120)
        calls.append(asyncio.create_task(work(4)))
        await some_turns()
        for _ in range(2):
            clock.advance("1m")
            await some_turns()
        assert await asyncio.gather(*calls[2:]) == [2, 4]

    play(main)
    assert [(x, at - start) for x, at in began] == [(0, 0), (2, 60), (4, 120)]
    stats = work.limit.stats()
    assert (stats.allowed, stats.delayed, stats.refused, stats.waiting) == (3, 2, 1, 0)


def test_a_task_cancelled_as_its_turn_comes(
    task: Callable[..., Any], clock: FakeClock, began: list[tuple[Any, float]]
) -> None:
    """It takes no room with it: the next one begins instead."""
    work = task("1/1m", max_delay="2m")

    async def main() -> None:
        calls = [asyncio.create_task(work(x)) for x in range(3)]
        await until_async(lambda: waiting(work) == 2)
        clock.advance("1m")
        calls[1].cancel()
        await asyncio.gather(calls[0], calls[2])

    play(main)
    assert [x for x, _ in began] == [0, 2]


def test_who_would_wait_too_long_or_in_too_large_a_crowd_is_refused(
    plain: Callable[..., Any], clock: FakeClock
) -> None:
    """At once, and with the time at which there is room."""
    work = plain("1/1m", max_delay=90, max_waiting=2, key=lambda x: x % 10)
    work(0)
    first = in_threads(work, 10)
    with pytest.raises(RateLimited, match=r"1 call of 0 began within the last 1m .*come again in 2m"):
        work(20)
    work(1)
    first += in_threads(work, 11)
    work(2)
    with pytest.raises(RateLimited, match=r"2 calls are waiting \(max_waiting=2\)"):
        work(12)
    stats = work.limit.stats()
    assert (stats.refused, stats.crowded, stats.waiting) == (2, 1, 2)
    clock.advance("1m")
    assert [call.result() for call in first] == [10, 11]


def test_a_crowd_of_one_is_told_as_one(plain: Callable[..., Any], clock: FakeClock) -> None:
    """The message says how many wait, also where it is a single call."""
    work = plain("1/1m", max_delay="1h", max_waiting=1)
    work(0)
    first = in_threads(work, 1)
    with pytest.raises(RateLimited, match=r"1 call is waiting \(max_waiting=1\)"):
        work(2)
    clock.advance("1m")
    assert [call.result() for call in first] == [1]


def test_loops_and_threads_share_a_limit(clock: FakeClock, began: list[tuple[Any, float]]) -> None:
    """Tasks of several loops in several threads wait in one queue; a loop that is stuck holds up nobody for long."""

    @limit("1/1m", when_full="delay", max_delay="5m", clock=clock, registry=Registry())
    async def work(x: object) -> None:
        began.append((x, clock()))

    async def one(x: object) -> None:
        await work(x)

    play(lambda: one("first"))
    loops = []
    for x in ("second", "third"):
        number = waiting(work)
        loops.append(in_a_loop(lambda x=x: one(x)))  # type: ignore[misc]
        until(lambda number=number: waiting(work) == number + 1)
    for so_far in (2, 3):
        clock.advance("1m")
        until(lambda so_far=so_far: len(began) == so_far)
    for loop in loops:
        loop.result()
    assert [x for x, _ in began] == ["first", "second", "third"]


def test_who_is_not_there_holds_up_nobody(
    task: Callable[..., Any], clock: FakeClock, began: list[tuple[Any, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiter that has had its turn for long, and does not take it, is passed over; it may still take a later one."""
    monkeypatch.setattr(followed, "_PATIENCE_S", -1.0)
    work = task("1/1m", max_delay="5m")

    async def main() -> None:
        await work("first")

    play(main)
    stopped = asyncio.new_event_loop()
    stuck = stopped.create_task(work("stuck"))
    stopped.call_soon(stopped.stop)
    stopped.run_forever()
    assert waiting(work) == 1
    clock.advance("2m")
    play(lambda: asyncio.wait_for(work("here"), 20))
    clock.advance("1m")
    stopped.run_until_complete(stuck)
    stopped.close()
    assert [x for x, _ in began] == ["first", "here", "stuck"]


@pytest.mark.filterwarnings("ignore:coroutine '.*' was never awaited:RuntimeWarning")
def test_who_waits_in_a_closed_loop_takes_nobody_s_place(task: Callable[..., Any], clock: FakeClock) -> None:
    """A task that was left behind counts neither among those who wait nor before them."""
    work = task("1/1m", max_delay="5m", max_waiting=1)
    play(lambda: work("first"))
    closed = asyncio.new_event_loop()
    left = closed.create_task(work("left"))
    closed.call_soon(closed.stop)
    closed.run_forever()
    closed.close()
    assert waiting(work) == 1

    async def main() -> None:
        call = asyncio.create_task(work("here"))
        await until_async(lambda: call.done() or clock.waiting() == 2)
        assert waiting(work) == 1
        clock.advance("2m")
        assert await call == "here"

    play(main)
    left._log_destroy_pending = False  # type: ignore[attr-defined]
    del left
    gc.collect()


def test_reset_and_forget_let_those_begin_who_wait(plain: Callable[..., Any], clock: FakeClock) -> None:
    """What began counts no more, so there is room."""
    work = plain("1/1m", max_delay="5m")
    for let_go in (work.limit.reset, lambda: work.limit.forget(0)):
        assert work.limit.remaining(0) == 1
        work(0)
        (call,) = in_threads(work, 1)
        assert let_go() == 1
        assert call.result() == 1
        assert work.limit.reset() == 1
    assert not work.limit.forget(0)


def test_waits_follow_a_clock_that_is_installed_meanwhile() -> None:
    """Who began to wait by real time goes on when a test's clock gets there."""
    work = limit("1/1h", when_full="delay", registry=Registry())(lambda x: x)
    work(0)
    (call,) = in_threads(work, 1)
    with FakeClock() as clock:
        until(lambda: clock.waiting() == 1)
        clock.advance("2h")
        assert call.result() == 1


def test_real_time_passes_a_wait() -> None:
    """Without a clock that is advanced by hand, a wait ends by itself; what was waited is counted."""
    work = limit((1, 0.05), when_full="delay", registry=Registry())(lambda x: x)
    begun, calls = time.monotonic(), 0
    while work.limit.stats().delay_seconds < 0.09:  # who comes late, as on a busy machine, has less to wait
        assert work(calls) == calls
        calls += 1
    passed_s = time.monotonic() - begun
    assert passed_s >= max(0.049 * (calls - 1), work.limit.stats().delay_seconds)

    @limit((1, 0.05), when_full="delay", max_delay=1, registry=Registry())
    async def task(x: int) -> int:
        return x

    async def main() -> None:
        while task.limit.stats().delay_seconds < 0.14:
            assert await asyncio.gather(*map(task, range(3))) == [0, 1, 2]

    play(main)


@settings(max_examples=40, deadline=None)
@given(
    calls=st.integers(1, 3),
    acts=st.lists(st.sampled_from(("call", "call", "call", "cancel", "1s", "7s", "20s")), max_size=40),
)
def test_whatever_happens_no_span_has_more_calls_than_the_rate(calls: int, acts: list[str]) -> None:
    """Tasks come, leave and begin: never too many in a span, in order, and nobody waits where there is room."""
    clock, began = FakeClock(), list[tuple[int, float]]()

    @limit((calls, 10), when_full="delay", max_delay="1m", clock=clock, registry=Registry())
    async def work(x: int) -> None:
        began.append((x, clock()))

    async def main() -> None:
        tasks: list[asyncio.Task[None]] = []
        for act in acts:
            if act == "call":
                tasks.append(asyncio.create_task(work(len(tasks))))
            elif act == "cancel":
                for one in tasks[len(tasks) // 2 :: 2]:
                    one.cancel()
            else:
                clock.advance(act)
            await some_turns()
            within = sum(at + 10 > clock() for _, at in began)
            assert within <= calls
            assert within == calls or not waiting(work)
        for _ in range(20):
            clock.advance(10)
            await some_turns()
        await asyncio.gather(*tasks, return_exceptions=True)

    play(main)
    times = [at for _, at in began]
    assert all(late >= early + 10 for early, late in zip(times, times[calls:], strict=False))
    by_coming = [at for _, at in sorted(began)]
    assert by_coming == sorted(by_coming)  # those for whom there is room at one moment begin in any order
    assert (waiting(work), clock.waiting()) == (0, 0)


def test_many_threads_at_once(clock: FakeClock, began: list[tuple[Any, float]]) -> None:
    """However threads race, as many begin in each span as may, and each one once."""
    work = limit((10, 60), when_full="delay", max_delay="5m", clock=clock, registry=Registry())(
        lambda x: began.append((x, clock()))
    )
    start = threading.Barrier(30)

    def call(x: int) -> None:
        start.wait(20)
        work(x)

    calls = [Running(lambda x=x: call(x)) for x in range(30)]  # type: ignore[misc]
    for so_far in (10, 20, 30):
        until(lambda so_far=so_far: len(began) == so_far and waiting(work) == 30 - so_far)
        assert work.limit.stats().allowed == so_far
        clock.advance("1m")
    for one in calls:
        one.join()
    assert sorted(x for x, _ in began) == [*range(30)]


@pytest.fixture(autouse=True)
def _nobody_is_left_behind(clock: FakeClock) -> Iterator[None]:
    yield
    assert clock.waiting() == 0
