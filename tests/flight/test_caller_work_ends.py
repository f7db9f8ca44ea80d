"""How work in its caller's own task ends: too late, cut short, and with nothing left of it."""

import asyncio
import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from kit.caller_work import every_make, single_make
from kit.coroutines import calls_of, every_loop, play, some_turns, until_async
from kit.flights import assert_idle, waiters
from kit.flights_tasks import Work, function_of
from kit.strikes import Struck, StruckError, at_the_limit, strike

from memo import InflightTimeout
from memo._flight.task_work import current_work
from memo.testing import FakeClock

# -- deadlines


@every_loop
@every_make
def test_at_the_deadline_all_callers_are_released(make: Callable[..., Any], kind: str) -> None:
    """The leader and those who wait get InflightTimeout, and the leader's task is not cancelled any more."""
    clock = FakeClock()

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), timeout=30, clock=clock)

        async def call() -> int:
            with pytest.raises(InflightTimeout):
                await fetch("a")
            await asyncio.sleep(0)
            task = asyncio.current_task()
            assert task is not None
            return task.cancelling()

        tasks = [asyncio.create_task(call()) for _ in range(3)]
        await until_async(lambda: waiters(fetch) == [2])
        clock.advance(30)
        assert_idle(fetch)
        assert await asyncio.gather(*tasks) == [0, 0, 0]
        assert (work.started, work.cancelled) == (1, 1)
        stats = fetch.inflight.stats()
        assert (stats.started, stats.cancelled, stats.timeouts) == (1, 1, 1)

    play(main, kind)


@single_make
def test_a_deadline_follows_real_time(make: Callable[..., Any]) -> None:
    """Without a clock that is advanced by hand the loop's timer ends the work."""

    async def main() -> None:
        fetch = make(function_of(Work()), timeout=0.02)
        with pytest.raises(InflightTimeout, match=r"did not end within 0\.02 s"):
            await fetch("a")
        assert_idle(fetch)

    play(main)


@single_make
@pytest.mark.parametrize("end", ["returns", "raises", "cancelled too", "asks in its last step"])
def test_a_deadline_changes_no_other_end(make: Callable[..., Any], end: str) -> None:
    """What the work returns late is its own caller's, its own error too; a cancellation by others stays one."""
    clock = FakeClock()

    async def main() -> None:
        opened = asyncio.Event()

        async def work(name: str) -> str:
            if end == "asks in its last step":
                clock.advance(30)
                return name
            try:
                await opened.wait()
            except asyncio.CancelledError:
                if end == "raises":
                    raise LookupError(name) from None
                if end == "cancelled too":
                    raise
            return name

        fetch = make(work, timeout=30, clock=clock)

        async def call() -> Any:
            answer = await fetch("a")
            await asyncio.sleep(0)
            return answer

        task = asyncio.create_task(call())
        await some_turns()
        if end == "cancelled too":
            task.cancel()
        clock.advance(30)
        (answer,) = await asyncio.gather(task, return_exceptions=True)
        kind = {"raises": LookupError, "cancelled too": asyncio.CancelledError}.get(end, str)
        assert type(answer) is kind
        assert task.cancelling() == (end == "cancelled too")
        if hasattr(fetch, "cache"):
            assert fetch.cache.items() == []
        assert_idle(fetch)

    play(main)


# -- what is left


@every_make
def test_nothing_of_a_call_is_held(make: Callable[..., Any]) -> None:
    """Once it has ended nothing holds its result, its error, or the work that its context belonged to."""

    class Value:
        pass

    async def main() -> None:
        refs: list[weakref.ref[Any]] = []

        async def work(name: str) -> Value:
            refs.append(weakref.ref(current_work.get()))  # type: ignore[arg-type]
            value = Value()
            refs.append(weakref.ref(value))
            await asyncio.sleep(0)
            if name == "fails":
                raise LookupError(name)
            return value

        fetch = make(work, timeout=1000)
        for name in ("a", "fails"):
            tasks = [asyncio.create_task(fetch(name)) for _ in range(2)]
            await asyncio.gather(*tasks, return_exceptions=True)
            del tasks
        if hasattr(fetch, "cache"):
            fetch.cache.clear()
        await some_turns()
        assert [ref() for ref in refs] == [None] * 4

    gc.disable()  # reference counts alone are to do it
    try:
        asyncio.run(main())
    finally:
        gc.enable()


@single_make
def test_a_call_at_the_recursion_limit_leaves_nobody_waiting(make: Callable[..., Any], nothing_collected: None) -> None:
    """However few levels are left where a call leads and ends, it refuses to lead, or wakes who waits."""

    async def main() -> None:
        led = 0
        for depth in range(48):
            work = Work()
            fetch = make(function_of(work))
            call = fetch("a")
            refused = at_the_limit(functools.partial(call.send, None), depth)
            if refused is None:
                led += 1
                current_work.set(None)  # which was this context's as long as it ran here
                joiner = asyncio.create_task(fetch("a"))
                await until_async(lambda fetch=fetch: waiters(fetch) == [1])  # type: ignore[misc]
                at_the_limit(call.close, depth)
                work.opened.set()
                assert await joiner == ["result"]
            call.close()
            assert_idle(fetch)
            stats = fetch.inflight.stats()
            assert stats.started == stats.completed + stats.cancelled
            del refused
        assert 0 < led < 48

    play(main)


@pytest.mark.parametrize("error", [Struck, StruckError])
@single_make
def test_a_call_that_is_cut_short_leaves_nobody_waiting(make: Callable[..., Any], error: type[BaseException]) -> None:
    """Wherever a leader that is waited for is struck, who waits has an answer, and every execution is counted."""
    for fails in (False, True):
        at = 0
        where: str | None = ""
        while where is not None:
            loop = asyncio.new_event_loop()
            loop.set_exception_handler(lambda loop, context: None)
            try:
                where = struck_at(make, error, at, fails, loop)
            finally:
                loop.close()
            at += 2


def struck_at(
    make: Callable[..., Any], error: type[BaseException], at: int, fails: bool, loop: asyncio.AbstractEventLoop
) -> str | None:
    """Strike the end of a leader's call at one point; where."""
    opened = asyncio.Event()

    async def work(name: str) -> str:
        await opened.wait()
        if fails:
            raise LookupError(name)
        return name

    fetch = make(work)

    async def joined() -> list[asyncio.Task[Any]]:
        tasks = await calls_of(fetch, 2, "a")
        opened.set()
        return tasks

    async def the_rest(tasks: list[asyncio.Task[Any]]) -> list[Any]:
        async with asyncio.timeout(10):
            return await asyncio.gather(*tasks, return_exceptions=True)

    tasks = loop.run_until_complete(joined())
    where, raised = strike(lambda: loop.run_until_complete(asyncio.sleep(0)), at, error, below=True)
    del raised
    ends = loop.run_until_complete(the_rest(tasks))
    assert {type(end) for end in ends} <= {str, LookupError, error}, where
    assert_idle(fetch)
    stats = fetch.inflight.stats()
    assert stats.started == stats.completed + stats.failed + stats.cancelled, where
    fails = False
    assert loop.run_until_complete(fetch("b")) == "b", where
    return where
