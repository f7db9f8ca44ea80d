"""Interleavings between loops that the engine's own steps must not let slip."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from kit.coroutines import quietly, until_elsewhere
from kit.flights import Make, assert_idle, deduped, every_make, remembered, single_make, waiters
from kit.flights_loops import Doomed, Stage, in_a_loop, passing
from kit.threads import LIMIT_S, Gate, Running, switching_often, until

from memo import InflightTimeout
from memo.testing import FakeClock


@every_make
def test_who_leaves_while_the_others_are_woken_hurts_nobody(make: Make) -> None:
    """A waiter that is cancelled just when the work has ended does not keep those after it from being woken."""
    stage = Stage(make)
    leave, left = Gate(), threading.Event()

    async def hooked() -> Any:
        loop = asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def call_soon_threadsafe(callback: Any, *args: Any, **options: Any) -> Any:
            if threading.get_ident() in stage.threads:  # the thread of the work wakes this loop
                leave.open()
                assert left.wait(LIMIT_S)
            return wake(callback, *args, **options)

        loop.call_soon_threadsafe = call_soon_threadsafe  # type: ignore[method-assign]
        try:
            return await stage.fetch("a")
        finally:
            loop.call_soon_threadsafe = wake  # type: ignore[method-assign]

    async def leaving() -> None:
        task = asyncio.create_task(stage.fetch("a"))
        await passing(leave)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        left.set()

    with quietly():
        calls = [stage.lead(), in_a_loop(hooked)]
        until(lambda: waiters(stage.fetch) == [1])
        leaver = in_a_loop(leaving)
        until(lambda: waiters(stage.fetch) == [2])
        calls += stage.join(3)
        stage.gates[0].open()
        assert [call.result() for call in calls] == [["a"]] * 5
        leaver.result()
    assert len(stage.threads) == 1
    assert_idle(stage.fetch)


@pytest.mark.parametrize("make", [deduped, remembered], ids=lambda make: make.__name__)
def test_a_flight_that_ends_just_as_a_newcomer_finds_it_serves_nobody_who_was_not_there(make: Make) -> None:
    """Its value may be gone by then: the newcomer gets one of its own."""
    asked: list[Callable[[], object]] = []

    def clock() -> float:
        if asked and threading.get_ident() not in stage.threads:
            asked.pop()()
        return 1000.0

    stage = Stage(make, clock=clock)

    def end_it() -> None:
        stage.gates[0].open()
        assert first.result() == ["a"]

    async def main() -> Any:
        # the first reading is for the newcomer's own flight, the second for the age of the one that it found
        asked[:] = [end_it, lambda: None]
        return await stage.fetch("a")

    with quietly():
        first = stage.lead()
        stage.gates[1].open()
        assert in_a_loop(main).result() == ["a"]
    assert asked == []
    stats = stage.fetch.inflight.stats()
    assert stats.started == stats.completed == len(stage.threads)
    assert_idle(stage.fetch)


@every_make
def test_loops_may_call_for_the_first_time_while_another_looks_through_them(make: Make) -> None:
    """The flights that have deadlines may change while one drops those of closed loops."""
    fetch = make(staying)
    results: list[Any] = []

    async def looked_at() -> None:
        loop, home = asyncio.get_running_loop(), threading.get_ident()
        is_closed = loop.is_closed

        def look() -> bool:
            if threading.get_ident() != home and not results:
                results.append("looked")
                results.append(in_a_loop(lambda: fetch("c")).result())
            return is_closed()

        running = asyncio.create_task(fetch("a"))
        await asyncio.sleep(0)
        loop.is_closed = look  # type: ignore[method-assign]
        try:
            other = Running(fetch.inflight.cleanup)
            other.join()
        finally:
            loop.is_closed = is_closed  # type: ignore[method-assign]
        assert other.result() == 0
        results.append(await running)

    with quietly():
        in_a_loop(looked_at).result()
    assert results == ["looked", "c", "a"]
    assert_idle(fetch)


async def staying(name: str) -> str:
    await asyncio.sleep(0)
    return name


@every_make
def test_successors_in_several_loops_may_be_struck_in_their_turn(make: Make) -> None:
    """However fast they are, each of the others gets what the last one made."""
    for _ in range(10):
        gate = Gate()
        executions = itertools.count()

        async def work(name: str, gate: Gate = gate, executions: "itertools.count[int]" = executions) -> list[str]:
            number = next(executions)
            if number == 0:
                await passing(gate)
            if number < 4:
                raise GeneratorExit
            return [name]

        fetch = make(lambda_of(work))
        with quietly(), switching_often():
            calls = [in_a_loop(lambda fetch=fetch: fetch("a"))]  # type: ignore[misc]
            gate.reached()
            calls += [in_a_loop(lambda fetch=fetch: fetch("a")) for _ in range(8)]  # type: ignore[misc]
            until(lambda fetch=fetch: waiters(fetch) == [8])  # type: ignore[misc]
            gate.open()
            ends = []
            for call in calls:
                call.join()
                ends.append(call._error or call.result())
        assert [type(end) for end in ends].count(GeneratorExit) == 4
        assert [end for end in ends if not isinstance(end, GeneratorExit)] == [["a"]] * 5
        assert_idle(fetch)


def lambda_of(work: Callable[[str], Coroutine[Any, Any, Any]]) -> Callable[[str], Coroutine[Any, Any, Any]]:
    async def fetch(name: str) -> Any:
        return await work(name)

    return fetch


@single_make
def test_an_execution_whose_loop_is_closed_in_the_middle_is_counted_once(make: Make) -> None:
    """Given up for dead, and then laid to rest, it is one that was cancelled."""
    stage = Stage(make)
    with quietly():
        doomed = Doomed(stage.fetch, stage.gates[0].entered.is_set)
        doomed.running.result()
        assert stage.fetch.inflight.cleanup() == 1
        doomed.forget()
    stats = stage.fetch.inflight.stats()
    assert (stats.started, stats.completed, stats.failed, stats.cancelled) == (1, 0, 0, 1)


@pytest.mark.parametrize("how", ["deadline", "cleanup", "last caller"])
def test_a_loop_that_is_closed_just_as_its_work_is_to_be_cancelled(how: str) -> None:
    """Whoever gives the work up learns nothing of it: neither the clock, nor the cleaner, nor a caller elsewhere."""
    clock = FakeClock()
    stage = Stage(deduped, clock=clock)
    leave, left = Gate(), Gate()
    seen: list[str] = []

    class Closing(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, callback: Any, *args: Any, **options: Any) -> Any:
            if getattr(callback, "__name__", "") == "cancel":
                seen.append("cancel")
                raise RuntimeError("Event loop is closed")
            return super().call_soon_threadsafe(callback, *args, **options)

    async def lead() -> None:
        task = asyncio.create_task(stage.fetch("a"))
        if how == "last caller":
            await until_elsewhere(lambda: waiters(stage.fetch) == [1])
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or isinstance(task.exception(), InflightTimeout)
        await passing(left)

    def run() -> None:
        with asyncio.Runner(loop_factory=Closing) as runner:
            runner.run(lead())

    async def join_and_leave() -> None:
        task = asyncio.create_task(stage.fetch("a"))
        await passing(leave)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with quietly():
        leader = Running(run)
        stage.gates[0].reached()
        (flight,) = stage.fetch.inflight._flights.table.running()
        until(lambda: flight.timer is not None)  # set after the work's first step, by the clock as it is then
        if how == "last caller":
            joiner = in_a_loop(join_and_leave)
            until(lambda: len(stage.fetch.inflight.pending()) == 1 and waiters(stage.fetch) == [1])
            until(lambda: flight.present == 1)  # the leader has left
            leave.open()
            joiner.result()
        elif how == "cleanup":
            clock._now += 30  # without a word to those who wait for that
            assert stage.fetch.inflight.cleanup() == 1
        else:
            clock.advance(30)
        assert_idle(stage.fetch)
        left.open()
        leader.result()
    assert seen == ["cancel"]
    assert stage.cancelled == 1  # by the end of the loop
