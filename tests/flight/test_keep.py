"""Work that goes on for a while when its last caller has left: ``keep=``."""

import asyncio
import logging
import threading
from typing import Any

import pytest
from kit.coroutines import calls_of, every_loop, play, quietly, some_turns, until_async, until_elsewhere
from kit.flights import Make, assert_idle, waiters
from kit.flights_loops import in_a_loop
from kit.flights_tasks import Work, function_of
from kit.threads import Gate, until

from memo import InflightTimeout, Registry, bounded, dedupe_inflight
from memo.testing import FakeClock


def deduped(function: Any, **options: Any) -> Any:
    """Single flight by itself."""
    return dedupe_inflight(registry=Registry(), **{"timeout": 1000, "keep": "30s", **options})(function)


def remembered(function: Any, **options: Any) -> Any:
    """The loads of a cache."""
    return bounded(max=10, registry=Registry(), **{"keep": "30s", **options})(function)


every_make = pytest.mark.parametrize("make", [deduped, remembered], ids=lambda make: make.__name__)


async def leave(fetch: Any, number: int = 1) -> None:
    """Call *fetch* so often, where nobody calls yet, and cancel every call."""
    await cancel(await calls_of(fetch, number, "a"))


async def leave_joining(fetch: Any) -> None:
    """Join the call that runs, and leave again."""
    task = asyncio.create_task(fetch("a"))
    await until_async(lambda: waiters(fetch) == [1])
    await cancel([task])


async def cancel(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel *tasks*, all at once."""
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * len(tasks)


@every_loop
@every_make
def test_who_comes_again_finds_the_work_of_the_first_call(make: Make, kind: str) -> None:
    """A client that gives up and tries again waits for the one execution, however often."""
    clock = FakeClock()

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=clock)
        await leave(fetch, 2)
        for _ in range(3):
            await leave_joining(fetch)
            assert (waiters(fetch), work.cancelled) == ([0], 0)
            clock.advance(29)
            await some_turns()
        task = asyncio.create_task(fetch("a"))
        await until_async(lambda: waiters(fetch) == [1])
        clock.advance(100)  # somebody waits for it: no time passes
        await some_turns()
        work.opened.set()
        assert await task == ["result"]
        await some_turns()
        assert (work.started, work.cancelled, clock.waiting()) == (1, 0, 0)
        stats = fetch.inflight.stats()
        assert (stats.started, stats.joined, stats.completed, stats.cancelled) == (1, 1, 1, 0)
        assert_idle(fetch)

    play(main, kind)


@every_loop
def test_work_that_all_have_left_stores_its_result(kind: str) -> None:
    """What it returns within the span answers the next call."""
    clock = FakeClock()

    async def main() -> None:
        work = Work()
        fetch = remembered(function_of(work), clock=clock)
        await leave(fetch)
        clock.advance(10)
        work.opened.set()
        await until_async(lambda: work.ended == 1)
        await some_turns()
        assert fetch.cache.items() == [("a", ["result"])]
        assert (await fetch("a"), work.started, clock.waiting()) == (["result"], 1, 0)
        clock.advance(100)
        await some_turns()
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_after_the_span_the_work_is_cancelled(make: Make, kind: str) -> None:
    """The span counts from when the last caller left, by the function's clock."""
    clock = FakeClock()

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=clock)
        await leave(fetch)
        clock.advance(29.875)
        await some_turns()
        assert (len(fetch.inflight), work.cancelled) == (1, 0)
        await leave_joining(fetch)
        clock.advance(29.875)
        await some_turns()
        assert work.cancelled == 0
        clock.advance(0.125)  # eighths add up exactly, whatever the clock began with
        assert_idle(fetch)
        await until_async(lambda: work.ended == 1)
        await some_turns()
        stats = fetch.inflight.stats()
        assert (stats.started, stats.cancelled, clock.waiting()) == (1, 1, 0)
        work.opened.set()
        assert await fetch("a") == ["result"]

    play(main, kind)


@every_make
def test_the_span_passes_in_real_time(make: Make) -> None:
    """Without a clock that is advanced by hand a timer of the loop ends the work, and none is left after it."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), keep=0.02)
        await leave(fetch)
        await until_elsewhere(lambda: work.ended == 1)
        assert_idle(fetch)
        await some_turns()
        loop: Any = asyncio.get_running_loop()
        assert [handle for handle in loop._scheduled if not handle.cancelled()] == []

    play(main)


@every_loop
def test_what_is_done_later_wins_over_work_that_goes_on(kind: str) -> None:
    """Invalidated while nobody waits for it, it answers no newcomer, is not stored, and ends with its span."""
    clock = FakeClock()

    async def main() -> None:
        works = [Work(lambda: "old"), Work(lambda: "new")]
        numbers = iter(range(2))

        async def load(name: str) -> Any:
            return await works[next(numbers)](name)

        fetch = remembered(load, clock=clock)
        await leave(fetch)
        fetch.cache.invalidate("a")
        assert_idle(fetch)
        task = asyncio.create_task(fetch("a"))
        await until_async(lambda: works[1].started)
        works[0].opened.set()
        await until_async(lambda: works[0].ended)
        assert fetch.cache.items() == []
        works[1].opened.set()
        assert (await task, fetch.cache.items()) == ("new", [("a", "new")])
        assert clock.waiting() == 0

    play(main, kind)


@every_loop
@every_make
def test_work_that_nobody_may_join_any_more_ends_with_its_last_caller(make: Make, kind: str) -> None:
    """Once it is fenced, its result is for those alone who wait for it."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        (task,) = await calls_of(fetch, 1, "a")
        fetch.inflight.forget("a")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (work.cancelled, work.ended) == (1, 1)

    play(main, kind)


@every_make
def test_the_deadline_holds_for_work_that_goes_on(make: Make) -> None:
    """Whoever joins it again gets InflightTimeout at its age, also if its first caller left in its first step."""
    clock = FakeClock()

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=clock, timeout=50)
        await leave(fetch)
        clock.advance(20)
        task = asyncio.create_task(fetch("a"))
        await until_async(lambda: waiters(fetch) == [1])
        clock.advance(30)
        with pytest.raises(InflightTimeout):
            await task
        await until_async(lambda: work.ended)
        await some_turns()
        assert clock.waiting() == 0
        assert_idle(fetch)

    play(main)


@every_make
@pytest.mark.parametrize("kept", [False, True])
def test_a_first_caller_that_leaves_in_its_first_step_takes_no_deadline_with_it(make: Make, kept: bool) -> None:
    """Who joined meanwhile is released at the deadline, in real time."""

    async def main() -> None:
        fetch = make(function_of(Work()), timeout=0.03, keep="30s" if kept else None)
        first = asyncio.create_task(fetch("a"))
        second = asyncio.create_task(fetch("a"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(InflightTimeout):
            await second
        assert first.cancelled()
        await some_turns()

    play(main)


@every_make
def test_a_failure_that_nobody_waits_for_is_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Work that goes on for nobody tells the log why it failed; where somebody waits, the log learns nothing."""

    async def main() -> None:
        opened = asyncio.Event()

        async def work(name: str) -> None:
            await opened.wait()
            raise LookupError("gone")

        fetch = make(work)
        await leave(fetch)
        opened.set()
        await some_turns()
        (record,) = caplog.records
        assert "all its callers had left has failed" in record.getMessage()
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], LookupError)
        opened.clear()
        await leave(fetch)
        task = asyncio.create_task(fetch("a"))
        await until_async(lambda: waiters(fetch) == [1])
        opened.set()
        with pytest.raises(LookupError):
            await task
        assert len(caplog.records) == 1
        stats = fetch.inflight.stats()
        assert (stats.started, stats.failed, stats.cancelled) == (2, 2, 0)

    with caplog.at_level(logging.WARNING, "memo"):
        play(main)


@every_make
@pytest.mark.parametrize("way", ["run", "close"])
def test_a_loop_that_ends_takes_work_that_goes_on_with_it(make: Make, way: str) -> None:
    """asyncio.run() cancels it; where a loop is closed without a word, nothing is heard of it; others begin anew."""
    work = Work()
    fetch = make(function_of(work))

    async def main() -> None:
        await leave(fetch)
        assert len(fetch.inflight) == 1

    with quietly():
        if way == "run":
            asyncio.run(main())
            assert (work.ended, len(fetch.inflight)) == (1, 0)
        else:
            loop = asyncio.new_event_loop()
            loop.run_until_complete(main())
            loop.close()
        fetch.inflight.cleanup()
        assert_idle(fetch)
        work.opened = asyncio.Event()
        work.opened.set()
        assert asyncio.run(fetch("a")) == ["result"]


@every_make
def test_the_last_caller_may_be_in_another_loop(make: Make) -> None:
    """The work goes on in its own loop, and ends there after the span."""
    work_began, leave_first, leave_second = Gate(), Gate(), Gate()
    first_left = threading.Event()
    ends: list[str] = []

    async def work(name: str) -> None:
        work_began.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("ended")

    fetch = make(work, keep=0.05)

    async def caller(gate: Gate, stays: bool) -> None:
        task = asyncio.create_task(fetch("a"))
        await until_elsewhere(gate.opened.is_set)
        task.cancel()
        await asyncio.wait((task,))
        if stays:
            first_left.set()
            await until_elsewhere(lambda: ends)

    first = in_a_loop(lambda: caller(leave_first, True))
    work_began.reached()
    second = in_a_loop(lambda: caller(leave_second, False))
    until(lambda: waiters(fetch) == [1])
    leave_first.open()
    until(first_left.is_set)
    assert (waiters(fetch), ends) == ([1], [])
    leave_second.open()
    second.result()
    first.result()
    assert ends == ["ended"]
    assert_idle(fetch)


@every_make
def test_a_function_that_nobody_holds_leaves_its_work_to_its_span(make: Make) -> None:
    """Work that goes on ends after the span though the decorated function has gone."""
    clock = FakeClock()

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=clock)
        await leave(fetch)
        del fetch
        await some_turns()
        clock.advance(30)
        await until_async(lambda: work.ended)
        await some_turns()

    play(main)


def test_options_that_have_no_effect_are_refused() -> None:
    """At decoration, with the option, its value and the remedy."""

    def plain(x: int) -> int:
        return x

    for decorate, words in (
        (lambda: bounded(max=2, keep="30s", work="caller"), ("bounded: keep='30s'", "work='caller'", "leave out")),
        (lambda: bounded(max=2, keep="30s", dedupe=False), ("bounded: keep='30s'", "dedupe=False", "leave out")),
        (lambda: dedupe_inflight(keep=5, work="caller"), ("dedupe_inflight: keep=5", "work='caller'", "leave out")),
        (lambda: bounded(max=2, keep="30s")(plain), ("bounded: keep='30s'", "plain()", "coroutine function")),
        (lambda: dedupe_inflight(keep="30s")(plain), ("dedupe_inflight: keep='30s'", "plain()", "coroutine function")),
    ):
        with pytest.raises(TypeError) as raised:
            decorate()  # type: ignore[no-untyped-call]
        assert all(word in str(raised.value) for word in words), raised.value
    assert bounded(max=2, work="caller")(plain)(3) == 3
