"""Work in its caller's own task: ``work="caller"``."""

import asyncio
import contextvars
import functools
from collections.abc import Callable
from typing import Any

import pytest
from kit.caller_work import every_make, single_make
from kit.coroutines import calls_of, every_loop, play, some_turns, until_async
from kit.flights import assert_idle, waiters
from kit.flights_tasks import Work, function_of

from memo import Registry, bounded
from memo._flight.flight import Work as NotedWork
from memo._flight.task_work import current_work
from memo.testing import FakeClock

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


# -- where it runs


@every_loop
@every_make
def test_the_work_is_in_its_callers_task_and_context(make: Callable[..., Any], kind: str) -> None:
    """The leader's task runs the function, in its own context, and after that is in no work any more."""

    async def main() -> None:
        tasks = []

        async def work(name: str) -> Any:
            tasks.append(asyncio.current_task())
            await asyncio.sleep(0)
            return (who.set(name),)

        fetch = make(work)
        (token,) = await fetch("a")
        assert (who.get(), tasks, current_work.get()) == ("a", [asyncio.current_task()], None)
        who.reset(token)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert_idle(fetch)
        stats = fetch.inflight.stats()
        assert (stats.started, stats.completed, stats.cancelled) == (1, 1, 0)

    play(main, kind)


@every_loop
def test_calls_that_are_not_shared_are_in_their_callers_tasks(kind: str) -> None:
    """With dedupe=False each caller runs the function in its own task."""

    async def main() -> None:
        work = Work()
        fetch: Any = bounded(max=10, dedupe=False, registry=Registry())(function_of(work))
        tasks = [asyncio.create_task(fetch("a")) for _ in range(3)]
        await until_async(lambda: work.started == 3)
        assert work.tasks == tasks
        tasks[1].cancel()
        work.opened.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == [["result"]] * 2
        assert (await fetch("a"), work.started) == (["result"], 3)
        assert_idle(fetch)

    play(main, kind)


@single_make
def test_methods_and_other_placements(make: Callable[..., Any]) -> None:
    """A method, through instance and class, a class method, a static method, and whatever stands for a function."""

    async def main() -> None:
        here = asyncio.current_task()

        class Bot:
            async def method(self, x: int, *, lang: str = "en") -> Any:
                return self, x, lang, asyncio.current_task()

            method = make(method)

            @classmethod
            async def of_class(cls, x: int) -> Any:
                return cls, x, asyncio.current_task()

            of_class = make(of_class)

            @staticmethod
            async def static(x: int) -> Any:
                return x, asyncio.current_task()

            static = make(static)

        bot = Bot()
        assert await bot.method(1) == await Bot.method(bot, x=1, lang="en") == (bot, 1, "en", here)
        assert await bot.of_class(2) == (Bot, 2, here)
        assert await bot.static(3) == (3, here)

        async def function(x: int, y: int = 0) -> Any:
            return x, y, asyncio.current_task()

        assert await make(functools.partial(function, y=2))(1) == (1, 2, here)

        class Callable:
            async def __call__(self, x: int) -> Any:
                return x, asyncio.current_task()

        assert await make(Callable())(1) == (1, here)
        Bot.function = make(function)
        assert (await bot.function())[0] is bot

    play(main)


def test_a_load_in_the_background_has_a_task_of_its_own() -> None:
    """What answers stale loads in another task than its caller's, and the caller goes on."""
    clock = FakeClock()

    async def main() -> None:
        tasks = []

        @bounded(max=9, ttl=10, stale_while_revalidate=60, work="caller", clock=clock, registry=Registry())
        async def fetch(name: str) -> int:
            tasks.append(asyncio.current_task())
            return len(tasks)

        assert await fetch("a") == 1
        clock.advance(20)
        assert await fetch("a") == 1
        await until_async(lambda: len(tasks) == 2)
        assert tasks[0] is asyncio.current_task() is not tasks[1]
        await some_turns()
        assert await fetch("a") == 2

    play(main)


# -- who leaves


@every_loop
@every_make
def test_a_cancelled_leader_goes_at_once_and_a_joiner_takes_over(make: Callable[..., Any], kind: str) -> None:
    """The successor runs the function in its own task, with its own arguments, and the others get its result."""

    async def main() -> None:
        begun: list[tuple[str, Any]] = []
        opened = asyncio.Event()

        async def work(name: str, by: str) -> str:
            begun.append((by, asyncio.current_task()))
            await opened.wait()
            return by

        fetch = make(work, ignore=("by",))
        tasks = [asyncio.create_task(fetch("a", by=by), name=by) for by in ("one", "two", "three", "four")]
        await until_async(lambda: waiters(fetch) == [3])
        assert [flight.leader for flight in fetch.inflight.pending()] == ["one"]
        for number in (0, 1):
            tasks[number].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks[number]
            await until_async(lambda number=number: len(begun) == number + 2)  # type: ignore[misc]
        opened.set()
        assert await asyncio.gather(*tasks[2:]) == ["three", "three"]
        assert begun == [("one", tasks[0]), ("two", tasks[1]), ("three", tasks[2])]
        stats = fetch.inflight.stats()
        assert (stats.started, stats.joined, stats.completed, stats.cancelled) == (3, 1, 1, 2)
        if hasattr(fetch, "cache"):
            assert fetch.cache.items() == [("a", "three")]
            assert fetch.cache.stats().load_errors == 0
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_a_leader_alone_that_is_cancelled_leaves_nothing(make: Callable[..., Any], kind: str) -> None:
    """The function learns of it where it awaits, and the next call begins anew."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        (task,) = await calls_of(fetch, 1, "a")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (work.started, work.cancelled, work.ended) == (1, 1, 1)
        assert_idle(fetch)
        work.opened.set()
        assert await fetch("a") == ["result"]

    play(main, kind)


@every_loop
@every_make
def test_a_cancelled_joiner_leaves_alone(make: Callable[..., Any], kind: str) -> None:
    """The leader and the other joiners get the one result, also when all joiners have left."""

    async def main() -> None:
        for leaving in ([1], [1, 2]):
            work = Work()
            fetch = make(function_of(work))
            tasks = await calls_of(fetch, 3, "a")
            for number in leaving:
                tasks[number].cancel()
                with pytest.raises(asyncio.CancelledError):
                    await tasks[number]
            assert (waiters(fetch), work.cancelled) == ([2 - len(leaving)], 0)
            work.opened.set()
            rest = [task for number, task in enumerate(tasks) if number not in leaving]
            assert await asyncio.gather(*rest) == [["result"]] * len(rest)
            assert work.started == 1
            assert_idle(fetch)

    play(main, kind)


@every_make
def test_cancelled_at_every_turn(make: Callable[..., Any]) -> None:
    """A leader and a joiner, each cancelled after so many turns of the loop: the third gets a result."""

    async def main() -> None:
        async def work(name: str) -> str:
            for _ in range(3):
                await asyncio.sleep(0)
            return name

        for first in range(7):
            for second in range(7):
                fetch = make(work)
                tasks = [asyncio.create_task(fetch("a")) for _ in range(3)]
                for turn in range(7):
                    if turn == first:
                        tasks[0].cancel()
                    if turn == second:
                        tasks[1].cancel()
                    await asyncio.sleep(0)
                ends = await asyncio.gather(*tasks, return_exceptions=True)
                assert ends[2] == "a"
                assert all(end == "a" or isinstance(end, asyncio.CancelledError) for end in ends)
                assert_idle(fetch)
                stats = fetch.inflight.stats()
                assert stats.started == stats.completed + stats.cancelled

    play(main)


class Stop(BaseException):
    """Ends work, and is no failure."""


@every_make
@pytest.mark.parametrize("error", [Stop(), asyncio.CancelledError(), LookupError("no")], ids=lambda e: type(e).__name__)
def test_what_is_no_failure_stays_with_the_leader(make: Callable[..., Any], error: BaseException) -> None:
    """One of those who wait takes over; an Exception reaches them all."""

    async def main() -> None:
        begun = []
        opened = asyncio.Event()

        async def work(name: str) -> str:
            begun.append(name)
            if len(begun) > 1:
                return name
            await opened.wait()
            raise error

        fetch = make(work)

        async def call() -> Any:
            try:
                return await fetch("a")
            except BaseException as reason:
                return reason

        tasks = [asyncio.create_task(call()) for _ in range(3)]
        await until_async(lambda: waiters(fetch) == [2])
        opened.set()
        ends = await asyncio.gather(*tasks)
        assert ends[0] is error
        assert [type(end) for end in ends[1:]] == [LookupError if isinstance(error, LookupError) else str] * 2
        assert_idle(fetch)

    play(main)


@single_make
def test_a_call_that_is_collected_leaves_and_touches_no_other_context(make: Callable[..., Any]) -> None:
    """A coroutine that is closed half-way ends its flight, and who joined takes over."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        call = fetch("a")
        future = call.send(None)
        current_work.set(None)  # which was this context's as long as it ran here
        task = asyncio.create_task(fetch("a"))
        await until_async(lambda: waiters(fetch) == [1])
        inner = NotedWork()
        inner.over = False
        current_work.set(inner)
        call.close()
        assert current_work.get() is inner
        current_work.set(None)
        del future
        work.opened.set()
        assert await task == ["result"]
        assert work.tasks[1] is task
        assert_idle(fetch)

    play(main)


# -- fencing


@every_loop
def test_what_is_done_later_wins(kind: str) -> None:
    """A load that was invalidated is not stored, newcomers begin another, and a refresh supersedes it."""

    async def main() -> None:
        numbers = iter(range(9))
        gates = [asyncio.Event() for _ in range(9)]

        @bounded(max=9, work="caller", registry=Registry())
        async def fetch(name: str) -> int:
            number = next(numbers)
            await gates[number].wait()
            return number

        first = asyncio.create_task(fetch("a"))
        await some_turns()
        fetch.cache.invalidate("a")
        second = asyncio.create_task(fetch("a"))
        await some_turns()
        gates[0].set()
        assert (await first, fetch.cache.items()) == (0, [])
        third: Any = asyncio.ensure_future(fetch.cache.refresh("a"))  # type: ignore[arg-type]
        await some_turns()
        gates[2].set()
        assert (await third, fetch.cache.items()) == (2, [("a", 2)])
        gates[1].set()
        assert (await second, fetch.cache.items()) == (1, [("a", 2)])
        assert_idle(fetch)

    play(main, kind)


# -- recursion


@every_loop
@every_make
@pytest.mark.parametrize("way", ["same task", "gather", "through another"])
def test_who_would_wait_for_himself_runs_straight_through(make: Callable[..., Any], kind: str, way: str) -> None:
    """A call of the same key in the work, in tasks that it begins, or in a work within it."""
    depth: contextvars.ContextVar[int] = contextvars.ContextVar("depth", default=0)

    async def main() -> None:
        async def work(name: str) -> int:
            level = depth.get()
            if level == 2:
                return level
            depth.set(level + 1)
            if way == "same task":
                return int(await fetch("a"))
            if way == "gather":
                return max(await asyncio.gather(fetch("a"), fetch("a")))
            return int(await other("b"))

        async def between(name: str) -> int:
            return int(await fetch("a"))

        fetch, other = make(work), make(between)
        assert await fetch("a") == 2
        assert current_work.get() is None
        assert_idle(fetch)
        assert_idle(other)

    play(main, kind)


@every_loop
@every_make
@pytest.mark.parametrize("first", ["a", "c"])
def test_a_circle_of_tasks_is_seen_through_work_in_one_task(make: Callable[..., Any], kind: str, first: str) -> None:
    """One task runs a and in it b, which needs c, whose leader needs a: the call that closes that runs through."""

    async def main() -> None:
        inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside", default=False)
        gates = {"a": asyncio.Event(), "c": asyncio.Event()}
        begun = []

        async def of_a(name: str) -> str:
            begun.append(name)
            return str(await b("b"))

        async def of_b(name: str) -> str:
            begun.append(name)
            await gates["a"].wait()
            return str(await c("c"))

        async def of_c(name: str) -> str:
            begun.append(name)
            if inside.get():
                return "straight"
            inside.set(True)
            await gates["c"].wait()
            return str(await a("a"))

        a, b, c = make(of_a), make(of_b), make(of_c)
        tasks = [asyncio.create_task(a("a")), asyncio.create_task(c("c"))]
        await until_async(lambda: sorted(begun) == ["a", "b", "c"])
        gates[first].set()
        await some_turns()
        gates["c" if first == "a" else "a"].set()
        if first == "c":
            inside.set(True)
        async with asyncio.timeout(10):
            assert "straight" in await asyncio.gather(*tasks)
        for function in (a, b, c):
            assert_idle(function)

    play(main, kind)
