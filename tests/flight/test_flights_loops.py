"""Coroutines of several event loops share one execution, and none waits for ever."""

import asyncio
import contextlib
import contextvars
import itertools
import threading
from typing import Any

import pytest
from kit.coroutines import a_loop, quietly, until_elsewhere
from kit.flights import Make, assert_idle, every_make, single_make, waiters
from kit.flights_loops import Stage, in_a_loop, passing
from kit.threads import LIMIT_S, Gate, Running, depth_of, until

from memo import InflightTimeout, dedupe_inflight
from memo.testing import FakeClock

# -- one execution


@every_make
def test_loops_in_threads_share_one_execution_and_every_loop_wakes(make: Make) -> None:
    """Forty callers in eight loops get one object of one execution."""
    stage = Stage(make)

    async def five() -> list[Any]:
        return list(await asyncio.gather(*(stage.fetch("a") for _ in range(5))))

    with quietly():
        calls = [stage.lead(five)]
        calls += [in_a_loop(five) for _ in range(7)]
        until(lambda: waiters(stage.fetch) == [39])
        stage.gates[0].open()
        results = [result for call in calls for result in call.result()]
    assert len(results) == 40
    assert all(result is results[0] for result in results)
    assert len(stage.threads) == 1
    stats = stage.fetch.inflight.stats()
    assert (stats.started, stats.joined, stats.completed) == (1, 39, 1)
    assert_idle(stage.fetch)


@every_make
def test_loops_of_several_kinds_share_one_execution(make: Make) -> None:
    """Callers in loops of asyncio, uvloop and asyncio's debug mode get one object."""
    a_loop("uvloop").close()  # or skip
    stage = Stage(make)
    with quietly():
        calls = [in_a_loop(lambda: stage.fetch("a"), "uvloop")]
        stage.gates[0].reached()
        calls += [in_a_loop(lambda: stage.fetch("a"), kind) for kind in ("asyncio", "uvloop", "debug")]
        until(lambda: waiters(stage.fetch) == [3])
        stage.gates[0].open()
        results = [call.result() for call in calls]
    assert all(result is results[0] for result in results)


@every_make
def test_a_failure_reaches_every_loop_with_a_short_traceback(make: Make) -> None:
    """Callers in eight loops get the error of one execution, none with a long traceback."""
    gate = Gate()
    executions: list[int] = []

    async def work(name: str) -> None:
        executions.append(1)
        await passing(gate)
        raise LookupError(name)

    fetch = make(work)
    with quietly():
        calls = [in_a_loop(lambda: fetch("a"))]
        gate.reached()
        calls += [in_a_loop(lambda: fetch("a")) for _ in range(7)]
        until(lambda: waiters(fetch) == [7])
        gate.open()
        errors = [call.error() for call in calls]
    assert [type(error) for error in errors] == [LookupError] * 8
    assert [error.args for error in errors] == [("a",)] * 8
    # The runner's own frames count too.
    assert len({depth_of(error) for error in errors[1:]}) == 1
    assert max(depth_of(error) for error in errors) <= 18
    assert executions == [1]


def test_what_only_a_blocking_caller_needs_is_the_same_key_of_another_function() -> None:
    """A plain function may run loops of its own within a coroutine's flight."""

    @dedupe_inflight
    async def fetch(name: str) -> str:
        return await asyncio.to_thread(lambda: asyncio.run(other(name)))

    @dedupe_inflight
    async def other(name: str) -> str:
        await asyncio.sleep(0)
        return name

    with quietly():
        assert asyncio.run(fetch("a")) == "a"


@every_make
def test_recursion_with_the_same_key_through_a_thread_and_a_loop_of_its_own(make: Make) -> None:
    """Work that calls its own key in a loop of another thread runs it straight through."""
    depth: contextvars.ContextVar[int] = contextvars.ContextVar("depth", default=0)

    async def work(name: str) -> int:
        if depth.get() == 2:
            return 0
        depth.set(depth.get() + 1)
        return int(await asyncio.to_thread(lambda: asyncio.run(fetch(name)))) + 1

    fetch = make(work)
    with quietly():
        assert in_a_loop(lambda: fetch("a")).result() == 2
    assert_idle(fetch)


@every_make
def test_loops_that_would_wait_for_each_other_in_a_circle(make: Make) -> None:
    """Of two loops whose work asks for the other's key, one runs straight through and both end."""
    entered = threading.Barrier(2)
    inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside", default=False)

    async def work(number: int) -> int:
        if inside.get():
            return number
        inside.set(True)
        await asyncio.to_thread(entered.wait, LIMIT_S)
        return number + 10 * int(await fetch(3 - number))

    fetch = make(work)
    with quietly():
        calls = [in_a_loop(lambda number=number: fetch(number)) for number in (1, 2)]  # type: ignore[misc]
        results = [call.result() for call in calls]
    # The call that closes the circle runs straight through; the other gets what that one made.
    assert results in ([21, 212], [121, 12])
    assert_idle(fetch)


# -- cancellation and timeout across loops


@every_make
@pytest.mark.parametrize("who", ["leader", "joiner"])
def test_a_caller_cancelled_in_one_loop_leaves_alone(make: Make, who: str) -> None:
    """Cancelling the leader or a joiner in one loop leaves work and callers elsewhere as they were."""
    stage = Stage(make)
    leave = Gate()
    left = threading.Event()

    async def cancelled() -> str:
        task = asyncio.create_task(stage.fetch("a"))
        other = asyncio.create_task(stage.fetch("a")) if who == "leader" else None  # keeps the loop of the work
        await passing(leave)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        left.set()
        if other is not None:
            assert await other == ["a"]
        return "cancelled" if task.cancelled() else "not cancelled"

    with quietly():
        if who == "leader":
            first = stage.lead(cancelled)
            until(lambda: waiters(stage.fetch) == [1])
            second = stage.join()[0]
        else:
            second = stage.lead()
            first = in_a_loop(cancelled)
            until(lambda: waiters(stage.fetch) == [1])
        leave.open()
        until(left.is_set)
        assert waiters(stage.fetch) == ([2] if who == "leader" else [0])
        stage.gates[0].open()
        assert first.result() == "cancelled"
        assert second.result() == ["a"]
    assert (len(stage.threads), stage.cancelled) == (1, 0)
    assert_idle(stage.fetch)


@single_make
def test_when_the_last_caller_leaves_in_another_loop_the_work_is_cancelled(make: Make) -> None:
    """The work is cancelled in its own loop once callers of every loop have left."""
    stage = Stage(make)
    leave, left = Gate(), threading.Event()

    async def leader() -> None:
        task = asyncio.create_task(stage.fetch("a"))
        await passing(leave)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        left.set()
        await until_elsewhere(lambda: stage.cancelled == 1 and len(asyncio.all_tasks()) == 1)

    async def joiner() -> None:
        task = asyncio.create_task(stage.fetch("a"))
        await until_elsewhere(left.is_set)
        assert waiters(stage.fetch) == [1]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with quietly():
        first = stage.lead(leader)
        second = in_a_loop(joiner)
        until(lambda: waiters(stage.fetch) == [1])
        leave.open()
        second.result()
        first.result()
    assert (len(stage.threads), stage.cancelled) == (1, 1)
    assert_idle(stage.fetch)


@every_make
def test_at_the_deadline_every_loop_is_released(make: Make) -> None:
    """At the timeout the callers of every loop get InflightTimeout, and the work is cancelled."""
    clock = FakeClock()
    stage = Stage(make, clock=clock)

    async def leader() -> None:
        with pytest.raises(InflightTimeout):
            await stage.fetch("a")
        await until_elsewhere(lambda: stage.cancelled == 1 and len(asyncio.all_tasks()) == 1)

    with quietly():
        first = stage.lead(leader)
        joiners = stage.join(3)
        clock.advance(30)
        assert [type(joiner.error()) for joiner in joiners] == [InflightTimeout] * 3
        first.result()
        stage.gates[1].open()
        assert in_a_loop(lambda: stage.fetch("a")).result() == ["a"]
    assert stage.cancelled == 1
    assert_idle(stage.fetch)


# -- many loops in a row


@every_make
def test_many_runs_in_a_row(make: Make) -> None:
    """Fifty runs of asyncio.run() with one function each load their own key once, though each abandons a task."""
    numbers = itertools.count()
    executions: list[int] = []

    async def work(name: int) -> int:
        executions.append(name)
        await asyncio.sleep(0)
        return name

    fetch = make(work)

    async def main() -> None:
        number = next(numbers)
        abandoned = asyncio.create_task(fetch(-1 - number))
        await asyncio.sleep(0)
        assert await asyncio.gather(*(fetch(number) for _ in range(3))) == [number] * 3
        del abandoned

    with quietly():
        for _ in range(50):
            asyncio.run(main())
    assert_idle(fetch)
    assert [name for name in executions if name >= 0] == list(range(50))


@every_make
def test_many_runs_in_a_row_each_leaving_a_call_behind(make: Make) -> None:
    """A run that ends with calls pending leaves no flight for the next one to join."""
    begun: list[str] = []

    async def work(name: str) -> str:
        begun.append(name)
        if len(begun) <= 50:
            await asyncio.Event().wait()
        return name

    fetch = make(work)

    async def main() -> None:
        before = len(begun)
        tasks = [asyncio.create_task(fetch("a")) for _ in range(2)]
        await until_elsewhere(lambda: len(begun) == before + 1)
        assert not any(task.done() for task in tasks)

    with quietly():
        for _ in range(50):
            asyncio.run(main())
            assert_idle(fetch)
        assert asyncio.run(fetch("a")) == "a"
    assert len(begun) == 51


@every_make
def test_loops_that_come_and_go_in_eight_threads(make: Make) -> None:
    """Callers in short-lived loops get their own key's result or error, and only the cancelled are cancelled."""

    async def work(name: int) -> int:
        for _ in range(name % 4):
            await asyncio.sleep(0)
        if name % 7 == 6:
            raise LookupError(name)
        return name

    fetch = make(work)

    async def main(seed: int) -> int:
        right = 0
        for step in range(10):
            names = [(seed * step + offset) % 21 for offset in range(4)]
            tasks = [asyncio.create_task(fetch(name)) for name in names]
            await asyncio.sleep(0)
            tasks[step % 4].cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            for index, (name, end) in enumerate(zip(names, ends, strict=True)):
                if isinstance(end, asyncio.CancelledError):
                    assert index == step % 4
                elif name % 7 == 6:
                    assert isinstance(end, LookupError)
                    assert end.args == (name,)
                else:
                    assert end == name
                    right += 1
        return right

    def runs(me: int) -> int:
        return sum(asyncio.run(main(me * 10 + number)) for number in range(5))

    with quietly():
        calls = [Running(lambda me=me: runs(me)) for me in range(8)]  # type: ignore[misc]
        assert all(call.result() > 0 for call in calls)
    assert_idle(fetch)
