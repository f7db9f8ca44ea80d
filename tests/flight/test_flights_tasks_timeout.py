"""No coroutine waits longer than its timeout."""

import asyncio
import itertools

from kit.coroutines import calls_of, every_loop, play, some_turns, until_async, until_elsewhere
from kit.flights import Make, assert_idle, every_make, single_make, waiters
from kit.flights_tasks import Work, function_of
from kit.threads import LIMIT_S

from memo import InflightTimeout, Registry, bounded, dedupe_inflight
from memo.testing import FakeClock


@every_loop
@every_make
def test_at_the_deadline_all_callers_are_released_and_the_work_is_cancelled(make: Make, kind: str) -> None:
    """At exactly `timeout` callers get InflightTimeout, and a newcomer a new run."""
    clock = FakeClock()

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=clock)
        tasks = await calls_of(fetch, 4, "a")
        clock.advance(29.75)
        await some_turns()
        assert waiters(fetch) == [3]
        clock.advance(0.25)
        assert_idle(fetch)
        newcomer = asyncio.create_task(fetch("a"))
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            assert isinstance(end, InflightTimeout)
            assert (end.key, end.timeout) == ("a", 30.0)
        await until_async(lambda: work.ended == 1 and work.started == 2)
        assert work.cancelled == 1
        work.opened.set()
        assert await newcomer == ["result"]
        assert work.cancelled == 1
        stats = fetch.inflight.stats()
        assert (stats.timeouts, stats.completed) == (1, 1)
        assert clock.waiting() == 0
        await until_async(lambda: len(asyncio.all_tasks()) == 1)

    play(main, kind)


@every_loop
@every_make
def test_work_that_will_not_be_cancelled_is_fenced_off(make: Make, kind: str) -> None:
    """Work that outlives its timeout neither answers newcomers nor is stored."""
    clock = FakeClock()

    async def main() -> None:
        opened = [asyncio.Event(), asyncio.Event()]
        numbers = itertools.count()

        async def work(name: str) -> int:
            number = next(numbers)
            while not opened[number].is_set():
                try:
                    await opened[number].wait()
                except asyncio.CancelledError:
                    pass
            return number

        fetch = make(work, clock=clock)
        tasks = await calls_of(fetch, 2, "a")
        clock.advance(30)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [InflightTimeout] * 2
        newcomers = await calls_of(fetch, 2, "a")
        opened[0].set()
        await some_turns()
        assert waiters(fetch) == [1]
        if hasattr(fetch, "cache"):
            assert fetch.cache.items() == []
        opened[1].set()
        assert await asyncio.gather(*newcomers) == [1, 1]
        if hasattr(fetch, "cache"):
            assert fetch.cache.items() == [("a", 1)]
        await until_async(lambda: len(asyncio.all_tasks()) == 1)

    play(main, kind)


@every_loop
@single_make
def test_cleanup_reaps_what_no_caller_touches(make: Make, kind: str) -> None:
    """cleanup() removes and cancels a flight past its timeout, and its callers get InflightTimeout."""
    now = [1000.0]

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=lambda: now[0])
        tasks = await calls_of(fetch, 3, "a")
        assert fetch.inflight.cleanup() == 0
        now[0] += 30
        assert fetch.inflight.cleanup() == 1
        assert fetch.inflight.cleanup() == 0
        assert_idle(fetch)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [InflightTimeout] * 3
        await until_async(lambda: work.ended == 1)
        assert work.cancelled == 1
        await until_async(lambda: len(asyncio.all_tasks()) == 1)

    play(main, kind)


def test_cleanup_of_a_registry_from_another_thread_wakes_the_loop() -> None:
    """Callers in a loop get InflightTimeout when a thread cleans up their registry."""
    now = [1000.0]
    registry = Registry()

    async def main() -> None:
        never = asyncio.Event()

        @dedupe_inflight(timeout=30, registry=registry, clock=lambda: now[0])
        async def single(name: str) -> None:
            await never.wait()

        @bounded(max=8, timeout=30, registry=registry, clock=lambda: now[0])
        async def cache(name: str) -> None:
            await never.wait()

        tasks = [*(await calls_of(single, 2, "a")), *(await calls_of(cache, 2, "a"))]
        now[0] += 31
        report = await asyncio.to_thread(registry.cleanup)
        assert report.flights == 2
        async with asyncio.timeout(LIMIT_S):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [InflightTimeout] * 4
        await until_elsewhere(lambda: len(asyncio.all_tasks()) == 1)

    play(main)


@every_loop
@single_make
def test_a_newcomer_detaches_what_is_stuck_by_the_clock_alone(make: Make, kind: str) -> None:
    """A call at the timeout starts anew and releases the callers that waited."""
    now = [1000.0]

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=lambda: now[0])
        tasks = await calls_of(fetch, 2, "a")
        now[0] += 30
        newcomer = asyncio.create_task(fetch("a"))
        await until_async(lambda: work.started == 2)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [InflightTimeout] * 2
        work.opened.set()
        assert await newcomer == ["result"]
        await until_async(lambda: len(asyncio.all_tasks()) == 1)
        assert fetch.inflight.stats().timeouts == 1

    play(main, kind)


@every_loop
@every_make
def test_a_wait_follows_real_time(make: Make, kind: str) -> None:
    """With a clock that stands still, tasks are released after the timeout in real time."""
    clock = FakeClock()  # stands still

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), timeout="30ms", clock=clock)
        tasks = [asyncio.create_task(fetch("a")) for _ in range(3)]
        async with asyncio.timeout(LIMIT_S):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [InflightTimeout] * 3
        await until_elsewhere(lambda: len(asyncio.all_tasks()) == 1)
        assert (work.started, work.cancelled) == (1, 1)
        await some_turns()
        assert clock.waiting() == 0

    play(main, kind)


@every_loop
@single_make
def test_what_a_flight_no_longer_needs_is_taken_back_from_clock_and_loop(make: Make, kind: str) -> None:
    """A flight that ended or was cancelled leaves no timer with the clock."""
    clock = FakeClock()

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=clock)
        tasks = await calls_of(fetch, 3, "a")
        assert clock.waiting() == 1
        work.opened.set()
        await asyncio.gather(*tasks)
        assert clock.waiting() == 0
        work.opened.clear()
        (task,) = await calls_of(fetch, 1, "b")
        task.cancel()
        await asyncio.wait([task])
        assert clock.waiting() == 0

    play(main, kind)


@every_loop
@every_make
def test_a_timeout_inside_the_work_is_a_failure_like_any(make: Make, kind: str) -> None:
    """TimeoutError of the work reaches its callers, and counts as failed and not as a timeout."""

    async def main() -> None:
        async def work(name: str) -> None:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()

        fetch = make(work)
        ends = await asyncio.gather(*(fetch("a") for _ in range(3)), return_exceptions=True)
        assert [type(end) for end in ends] == [TimeoutError] * 3
        assert fetch.inflight.stats().failed == 1
        assert fetch.inflight.stats().timeouts == 0

    play(main, kind)
