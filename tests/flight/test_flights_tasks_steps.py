"""Interleavings that the engine's own steps must not let slip."""

import asyncio
import itertools
import sys
from typing import Any

import pytest
from kit.coroutines import calls_of, every_loop, play, some_turns, until_async
from kit.flights import Make, assert_idle, every_make, single_make, tables
from kit.flights_tasks import Work, function_of

from memo import InflightTimeout, Registry, bounded, dedupe_inflight, sliding_window
from memo.testing import FakeClock


@every_make
def test_a_flight_found_too_old_before_it_has_a_task_is_cancelled_all_the_same(make: Make) -> None:
    """Whoever detaches it finds no task to cancel yet; the work ends, and nothing is said of its end."""
    now = [1000.0]
    work = Work()

    class Failed(BaseException):
        pass

    async def stubborn(name: str = "a") -> Any:
        try:
            return await work(name)
        except asyncio.CancelledError:
            raise Failed from None

    fetch = make(stubborn, clock=lambda: now[0])

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
        if now[0] == 1000.0:  # the first task that the call makes, of its outermost layer
            now[0] += 31
            cleaned = [table.cleanup() for table in tables(fetch)]
            assert cleaned[0] == 1
        return asyncio.Task(coroutine, loop=loop, **options)

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        with pytest.raises(InflightTimeout):
            await fetch("a")
        assert now[0] == 1031
        await until_async(lambda: len(asyncio.all_tasks()) == 1)
        assert work.started == work.cancelled
        assert_idle(fetch)

    play(main)


@every_loop
@single_make
def test_every_execution_that_began_is_counted_once_when_it_ends(make: Make, kind: str) -> None:
    """Whether it returned, was abandoned before or after its first step, or was cancelled at its deadline."""
    clock = FakeClock()

    async def main() -> None:
        work = Work()
        fetch = make(function_of(work), clock=clock)
        for turns in range(5):
            task = asyncio.create_task(fetch("a"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        for turns in range(5):
            task = asyncio.create_task(fetch("a"))
            for _ in range(turns):
                await asyncio.sleep(0)
            clock.advance(30)
            task.cancel()
            await asyncio.wait([task])
        await until_async(lambda: len(asyncio.all_tasks()) == 1)
        work.opened.set()
        assert await fetch("a") == ["result"]
        stats = fetch.inflight.stats()
        assert stats.completed == 1
        assert stats.started == stats.completed + stats.cancelled

    play(main, kind)


@every_loop
@every_make
@pytest.mark.parametrize("struck", [1, 2, 3])
def test_successors_may_be_struck_in_their_turn(make: Make, kind: str, struck: int) -> None:
    """Each time the next of those who wait takes over, at once or later, and the others get what that one made."""

    async def main() -> None:
        executions = 0
        opened = asyncio.Event()

        async def work(name: str) -> list[str]:
            nonlocal executions
            executions += 1
            mine = executions
            await opened.wait()
            if mine <= struck:
                raise GeneratorExit
            return [name]

        fetch = make(work)
        tasks = await calls_of(fetch, 7, "a")
        opened.set()
        await asyncio.wait(tasks)
        ends = [task.exception() or task.result() for task in tasks]
        assert [type(end) for end in ends].count(GeneratorExit) == struck
        assert [end for end in ends if not isinstance(end, GeneratorExit)] == [["a"]] * (7 - struck)
        assert executions == struck + 1
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_a_chain_of_240_calls_of_two_functions_in_turn(make: Make, kind: str) -> None:
    """Mutual recursion is no deeper than recursion."""

    async def even_work(n: int) -> bool:
        return n == 0 or bool(await odd(n - 1))

    async def odd_work(n: int) -> bool:
        return n != 0 and bool(await even(n - 1))

    even, odd = make(even_work), make(odd_work)
    levels = 240 // len(tables(even))
    if kind == "eager":
        levels //= 2

    async def main() -> bool:
        return bool(await even(levels))

    assert sys.getrecursionlimit() == 1000
    assert play(main, kind) is (levels % 2 == 0)
    assert_idle(even)
    assert_idle(odd)


@every_loop
def test_a_window_in_the_stack_changes_nothing(kind: str) -> None:
    """In any order of the three decorators, those who call at the same time share one execution."""

    async def main() -> None:
        registry = Registry()
        orders = itertools.permutations(
            [
                bounded(max=8, registry=registry),
                dedupe_inflight(timeout=30, registry=registry),
                sliding_window("24h", registry=registry),
            ]
        )
        for order in orders:
            work = Work()
            fetch: Any = function_of(work)
            for decorator in order:
                fetch = decorator(fetch)
            tasks = [asyncio.create_task(fetch("a")) for _ in range(4)]
            await until_async(lambda work=work: work.started == 1)  # type: ignore[misc]
            await some_turns()
            assert len(fetch.inflight) == 1
            work.opened.set()
            results = await asyncio.gather(*tasks)
            assert all(result is results[0] for result in results)
            assert work.started == 1
            assert_idle(fetch)

    play(main, kind)
