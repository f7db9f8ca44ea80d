"""Coroutines that call themselves, directly and in circles."""

import asyncio
import contextvars
import sys
from typing import Any

import pytest
from kit.coroutines import calls_of, every_loop, play, until_async
from kit.flights import Make, assert_idle, check_circle, every_make, tables, waiters
from kit.threads import Running


@every_loop
@every_make
@pytest.mark.parametrize("through", ["await", "gather", "task", "group"])
def test_recursion_with_the_same_key_runs_straight_through(make: Make, kind: str, through: str) -> None:
    """Work that awaits its own key, in whatever task, runs the function again instead of waiting."""

    async def main() -> None:
        opened = asyncio.Event()
        depth = 0

        async def work(name: str) -> int:
            nonlocal depth
            depth += 1
            if depth >= 5:
                await opened.wait()
                return 0
            if through == "await":
                return int(await fetch(name)) + 1
            if through == "gather":
                return int((await asyncio.gather(fetch(name)))[0]) + 1
            if through == "task":
                return int(await asyncio.create_task(fetch(name))) + 1
            async with asyncio.TaskGroup() as group:
                task = group.create_task(fetch(name))
            return int(task.result()) + 1

        fetch = make(work)
        tasks = [asyncio.create_task(fetch("a")) for _ in range(3)]
        await until_async(lambda: depth >= 5)
        await until_async(lambda: sum(waiters(fetch)) == 2)
        opened.set()
        # A stack may run the layers below through at another level, so it may come out one shorter.
        results = await asyncio.gather(*tasks)
        assert results == [4, 4, 4]
        assert depth == 5
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_recursion_that_gathers_the_same_key_several_times(make: Make, kind: str) -> None:
    """Work that gathers three calls of its own key ends with their results."""

    async def main() -> None:
        executions = 0

        async def work(name: str) -> int:
            nonlocal executions
            executions += 1
            if executions > 1:
                await asyncio.sleep(0)
                return 1
            return sum(await asyncio.gather(*(fetch(name) for _ in range(3))))

        fetch = make(work)
        assert await asyncio.gather(fetch("a"), fetch("a")) == [3, 3]
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_two_functions_that_call_each_other(make: Make, kind: str) -> None:
    """Coroutines that call each other with falling numbers end with the right answers for thirty tasks."""

    async def even_work(n: int) -> bool:
        return n == 0 or bool(await odd(n - 1))

    async def odd_work(n: int) -> bool:
        return n != 0 and bool(await even(n - 1))

    even, odd = make(even_work), make(odd_work)

    async def main() -> None:
        results = await asyncio.gather(*(even(n) for n in range(30)))
        assert results == [n % 2 == 0 for n in range(30)]
        assert_idle(even)
        assert_idle(odd)

    play(main, kind)


@every_loop
@every_make
@pytest.mark.parametrize("size", [2, 3, 5])
def test_tasks_that_would_wait_for_each_other_in_a_circle(make: Make, kind: str, size: int) -> None:
    """In a circle of tasks that each ask for the next one's key, all of them end."""
    inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside", default=False)

    async def main() -> None:
        entered = 0

        async def work(number: int) -> int:
            nonlocal entered
            if inside.get():
                return number
            inside.set(True)
            entered += 1
            await until_async(lambda: entered == size)
            return number + 10 * int(await fetch(number % size + 1))

        fetch = make(work)
        results = await asyncio.gather(*(fetch(number) for number in range(1, size + 1)))
        check_circle(results)
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_circles_through_gather(make: Make, kind: str) -> None:
    """Each of four keys needs the three others at once; every one gets an answer."""
    inside: contextvars.ContextVar[int] = contextvars.ContextVar("inside", default=0)

    async def main() -> None:
        entered = 0

        async def work(number: int) -> int:
            nonlocal entered
            depth = inside.get()
            inside.set(depth + 1)
            if depth == 0:
                entered += 1
                await until_async(lambda: entered == 4)
            if depth == 2:
                await asyncio.sleep(0)
                return number
            others = await asyncio.gather(*(fetch(other) for other in range(4) if other != number))
            return number + 0 * sum(others)

        fetch = make(work)
        assert await asyncio.gather(*(fetch(number) for number in range(4))) == [0, 1, 2, 3]
        assert_idle(fetch)

    play(main, kind)


@every_loop
@every_make
def test_a_chain_of_240_nested_decorated_calls(make: Make, kind: str) -> None:
    """A chain of 240 awaits, each layer counted, fits the default recursion limit, and half of it in eager tasks."""

    async def work(n: int) -> int:
        return 0 if n == 0 else int(await fetch(n - 1)) + 1

    fetch = make(work)
    levels = 240 // len(tables(fetch))
    if kind == "eager":
        levels //= 2  # a bare chain of eager tasks, each started by the one before, ends soon after 240

    async def main() -> int:
        return int(await fetch(levels))

    assert sys.getrecursionlimit() == 1000
    assert Running(lambda: play(main, kind) if kind == "asyncio" else None).result() in (levels, None)
    if kind != "asyncio":
        assert play(main, kind) == levels
    assert_idle(fetch)


@pytest.mark.usefixtures("nothing_collected")
@every_loop
@every_make
def test_a_recursion_error_inside_leaves_nothing_stuck(make: Make, kind: str) -> None:
    """RecursionError of the work reaches its three callers and leaves no flight."""

    def deep(n: int) -> int:
        return deep(n + 1)

    async def main() -> None:
        opened = asyncio.Event()

        async def work(name: str) -> int:
            await opened.wait()
            return deep(0)

        fetch = make(work)
        tasks = await calls_of(fetch, 3, "a")
        opened.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [RecursionError] * 3
        assert_idle(fetch)

    play(main, kind)


@pytest.mark.usefixtures("nothing_collected")
@every_loop
@every_make
def test_the_recursion_limit_at_any_depth_leaves_nothing_stuck(make: Make, kind: str) -> None:
    """Wherever in a call the recursion limit strikes, the next calls get their result."""

    async def main() -> None:
        async def work(name: str) -> str:
            await asyncio.sleep(0)
            return name

        fetch = make(work)

        async def at(depth: int) -> Any:
            return await (at(depth - 1) if depth else fetch("a"))

        failures = 0
        limit = sys.getrecursionlimit()
        for depth in range(limit - 150, limit, 1):
            if hasattr(fetch, "cache"):
                fetch.cache.clear()
            try:
                assert await at(depth) == "a"
            except RecursionError:
                failures += 1
            await until_async(lambda: len(asyncio.all_tasks()) == 1)
            assert [len(table) for table in tables(fetch)] == [0] * len(tables(fetch)), depth
            if hasattr(fetch, "cache"):
                fetch.cache.clear()
            assert await asyncio.gather(fetch("a"), fetch("a")) == ["a", "a"]
        assert 0 < failures < 150

    play(main, kind)
