"""Whoever is cancelled leaves alone; the work ends with the last who waits."""

import asyncio
import itertools
from typing import Any

import pytest
from kit.coroutines import calls_of, every_loop, play, quietly, some_turns, until_async
from kit.flights import Make, assert_idle, every_make, single_make, waiters
from kit.flights_tasks import Work, function_of

from memo import InflightTimeout


@every_loop
@every_make
@pytest.mark.parametrize("who", [0, 1, 4])
def test_a_cancelled_caller_leaves_alone(make: Make, kind: str, who: int) -> None:
    """Whichever caller is cancelled, the others share the one result, which is stored."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, 5, "a")
        tasks[who].cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await tasks[who]
        assert work.cancelled == 0
        # waiters counts joiners, not the leader, who may be the one that left
        assert waiters(fetch) == [4 if who == 0 else 3]
        work.opened.set()
        rest = tasks[:who] + tasks[who + 1 :]
        results = await asyncio.gather(*rest)
        assert all(result is results[0] for result in results)
        assert (work.started, work.cancelled) == (1, 0)
        assert_idle(fetch)
        if hasattr(fetch, "cache"):
            assert fetch.cache.items() == [("a", ["result"])]

    play(main, kind)


@every_loop
@every_make
@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("order", ["at once", "first last", "first first"])
def test_when_the_last_caller_leaves_the_work_is_cancelled_and_awaited(
    make: Make, kind: str, number: int, order: str
) -> None:
    """The work is cancelled with its last caller, and has ended before that caller has."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, number, "a")
        if order == "at once":
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(end) for end in ends] == [asyncio.CancelledError] * number
        else:
            for task in tasks if order == "first first" else reversed(tasks):
                assert work.cancelled == 0
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        # Its end took some turns of the loop: that of the last caller did not come before it.
        assert (work.started, work.cancelled, work.ended) == (1, 1, 1)
        assert work.tasks[0] is not None
        assert work.tasks[0].done()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert_idle(fetch)
        stats = fetch.inflight.stats()
        assert (stats.started, stats.completed, stats.failed, stats.cancelled) == (1, 0, 0, 1)
        work.opened.set()
        assert await fetch("a") == ["result"]
        assert work.started == 2

    play(main, kind)


@every_loop
@single_make
def test_whoever_comes_while_the_abandoned_work_ends_starts_anew(make: Make, kind: str) -> None:
    """A call made while cancelled work still ends gets a new execution."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        (task,) = await calls_of(fetch, 1, "a")
        task.cancel()
        await until_async(lambda: work.cancelled == 1)
        assert work.ended == 0
        assert_idle(fetch)
        newcomer = asyncio.create_task(fetch("a"))
        await until_async(lambda: work.started == 2)
        work.opened.set()
        assert await newcomer == ["result"]
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.ended == 2

    play(main, kind)


@every_loop
@every_make
def test_abandoned_work_may_raise_or_return_what_it_likes(make: Make, kind: str) -> None:
    """Callers that were cancelled stay so whatever the work then does, and nothing is stored."""

    async def main() -> None:
        for name in ("raises", "returns"):

            async def work(name: str) -> str:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    await asyncio.sleep(0)
                    if name == "raises":
                        raise LookupError(name) from None
                return name

            fetch = make(work)
            tasks = await calls_of(fetch, 2, name)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
            if hasattr(fetch, "cache"):
                assert fetch.cache.items() == []
            assert_idle(fetch)

    play(main, kind)


@every_loop
@single_make
def test_a_caller_cancelled_twice_ends_at_once(make: Make, kind: str) -> None:
    """A second cancellation ends a caller that waits for the end of stubborn work."""

    async def main() -> None:
        stubborn = asyncio.Event()

        async def work(name: str) -> str:
            try:
                await asyncio.Event().wait()
            finally:
                await stubborn.wait()
            return name

        fetch = make(work)
        (task,) = await calls_of(fetch, 1, "a")
        task.cancel()
        await some_turns()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        stubborn.set()
        await until_async(lambda: len(asyncio.all_tasks()) == 1)
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_a_caller_cancelled_before_it_began_starts_nothing(make: Make, kind: str) -> None:
    """A task cancelled before its first step runs no work, but for an eager one, which ends."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        task = asyncio.create_task(fetch("a"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.started == (1 if kind == "eager" else 0)
        assert work.ended == work.started
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_cancelled_in_the_very_turn_of_the_result(make: Make, kind: str) -> None:
    """Callers cancelled around the end of the work get the result or CancelledError, of one execution."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))
        tasks = await calls_of(fetch, 4, "a")
        work.opened.set()
        for turns in range(6):
            for index, task in enumerate(tasks):
                if index == turns:
                    task.cancel()
            await asyncio.sleep(0)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            assert end == ["result"] or isinstance(end, asyncio.CancelledError)
        assert work.started == 1
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_cancelled_at_every_turn(make: Make, kind: str) -> None:
    """A call and a joiner, each cancelled after so many turns of the loop, whatever happens in them."""

    async def main() -> None:
        executions: list[str] = []

        async def work(name: str) -> str:
            executions.append("begun")
            try:
                for _ in range(3):
                    await asyncio.sleep(0)
            finally:
                executions.append("ended")
            return name

        for leader_turns, joiner_turns in itertools.product(range(8), repeat=2):
            executions.clear()
            fetch = make(work)
            tasks = [asyncio.create_task(fetch("a")) for _ in range(3)]
            for turn in range(8):
                if turn == leader_turns:
                    tasks[0].cancel()
                if turn == joiner_turns:
                    tasks[1].cancel()
                await asyncio.sleep(0)
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert ends[2] == "a"
            assert all(end == "a" or isinstance(end, asyncio.CancelledError) for end in ends)
            assert executions == ["begun", "ended"]
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_a_timeout_around_one_caller_hurts_no_other(make: Make, kind: str) -> None:
    """asyncio.timeout() around one caller raises there, and the others get the result."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))

        async def impatient() -> str:
            try:
                async with asyncio.timeout(0):
                    await fetch("a")
            except TimeoutError as error:
                assert not isinstance(error, InflightTimeout)
                return "timed out"
            return "no"

        first = asyncio.create_task(impatient())
        if kind != "eager":
            await asyncio.sleep(0)
        others = [asyncio.create_task(fetch("a")) for _ in range(3)]
        others.append(asyncio.create_task(impatient()))
        assert await first == "timed out"
        assert await others.pop() == "timed out"
        work.opened.set()
        assert await asyncio.gather(*others) == [["result"]] * 3
        assert (work.started, work.cancelled) == (1, 0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fetch("b" if work.opened.clear() is None else ""), 0.001)
        assert work.ended == work.started == 2
        assert work.cancelled == 1
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_a_task_group_that_fails_takes_its_callers_along(make: Make, kind: str) -> None:
    """When a task group cancels all callers, the work is cancelled and has ended at its end."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))

        async def fail() -> None:
            await until_async(lambda: waiters(fetch) == [2])
            raise LookupError

        with pytest.raises(ExceptionGroup) as raised:
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(fetch("a"))
                group.create_task(fail())
        assert [type(error) for error in raised.value.exceptions] == [LookupError]
        assert (work.started, work.cancelled, work.ended) == (1, 1, 1)
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
@pytest.mark.parametrize("how", ["cancel", "raise"])
def test_a_cancellation_of_the_work_strikes_its_first_caller_and_a_joiner_takes_over(
    make: Make, kind: str, how: str
) -> None:
    """Work that cancels itself cancels its leader, and one joiner's second run serves the rest."""

    async def main() -> None:
        executions = 0
        opened = asyncio.Event()

        async def work(name: str) -> list[str]:
            nonlocal executions
            executions += 1
            mine = executions
            await opened.wait()
            if mine == 1:
                if how == "raise":
                    raise asyncio.CancelledError
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)
            return [name]

        fetch = make(work)
        tasks = await calls_of(fetch, 5, "a")
        opened.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(ends[0], asyncio.CancelledError)
        assert ends[1:] == [["a"]] * 4
        assert all(end is ends[1] for end in ends[1:])
        assert executions == 2
        stats = fetch.inflight.stats()
        assert (stats.started, stats.joined, stats.completed, stats.cancelled) == (2, 3, 1, 1)
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_generator_exit_stays_with_the_first_caller(make: Make, kind: str) -> None:
    """GeneratorExit of the work reaches its leader, and a second execution serves the joiners."""

    async def main() -> None:
        executions = 0
        opened = asyncio.Event()

        async def work(name: str) -> str:
            nonlocal executions
            executions += 1
            mine = executions
            await opened.wait()
            if mine == 1:
                raise GeneratorExit
            return name

        fetch = make(work)
        tasks = await calls_of(fetch, 4, "a")
        opened.set()
        await asyncio.wait(tasks)
        assert isinstance(tasks[0].exception(), GeneratorExit)
        assert [task.result() for task in tasks[1:]] == ["a"] * 3
        assert executions == 2
        assert_idle(fetch)

    play(main, kind)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
@every_make
def test_what_ends_the_loop_ends_it_and_the_next_loop_starts_anew(make: Make, stop: type[BaseException]) -> None:
    """An error of the work that stops the loop leaves no flight, and the next loop gets a result."""
    executions = 0

    async def work(name: str) -> str:
        nonlocal executions
        executions += 1
        mine = executions
        await asyncio.sleep(0)
        if mine == 1:
            raise stop
        return name

    fetch = make(work)

    async def main() -> list[str]:
        return list(await asyncio.gather(fetch("a"), fetch("a")))

    with quietly():
        with pytest.raises(stop):
            asyncio.run(main())
        assert_idle(fetch)
        assert asyncio.run(main()) == ["a", "a"]
    assert_idle(fetch)


@every_loop
@single_make
def test_a_caller_that_is_closed_leaves_like_a_cancelled_one(make: Make, kind: str) -> None:
    """close() of one caller's coroutine hurts no other, and close() of the only one cancels the work."""

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work))

        def begun() -> Any:
            coroutine = fetch("a")
            coroutine.send(None)
            return coroutine

        closed = begun()
        other = asyncio.create_task(fetch("a"))
        await until_async(lambda: waiters(fetch) == [1])
        closed.close()
        work.opened.set()
        assert await other == ["result"]
        work.opened.clear()
        alone = begun() if not hasattr(fetch, "cache") or fetch.cache.clear() is not None else None
        await until_async(lambda: work.started == 2)
        alone.close()
        await until_async(lambda: work.ended == 2)
        await until_async(lambda: len(asyncio.all_tasks()) == 1)
        assert work.cancelled == 1
        assert_idle(fetch)

    play(main, kind)


@every_make
def test_a_loop_that_ends_with_calls_pending_says_nothing(make: Make) -> None:
    """Running work ends with its loop, leaves no flight, and asyncio complains of nothing."""
    work_ends: list[str] = []

    async def work(name: str) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            work_ends.append(name)
        return name

    fetch = make(work)

    async def main() -> None:
        tasks = [asyncio.create_task(fetch(name)) for name in "aabbb"]
        await until_async(lambda: sorted(waiters(fetch)) == [1, 2])
        await some_turns()
        assert not any(task.done() for task in tasks)

    with quietly():
        for _ in range(3):
            asyncio.run(main())
            assert_idle(fetch)
    assert sorted(work_ends) == ["a"] * 3 + ["b"] * 3
