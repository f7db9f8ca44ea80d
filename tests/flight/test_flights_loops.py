"""Single flight between several event loops in several threads, of which any may die."""

import asyncio
import contextlib
import contextvars
import itertools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from kit.coroutines import a_loop, quietly, until_elsewhere
from kit.flights import Make, assert_idle, deduped, every_make, remembered, single_make, tables, waiters
from kit.threads import LIMIT_S, Gate, Running, depth_of, switching_often, until

from memo import InflightTimeout, dedupe_inflight
from memo.testing import FakeClock


async def passing(gate: Gate) -> None:
    """Stand at *gate* without holding up the loop."""
    gate.entered.set()
    async with asyncio.timeout(LIMIT_S):
        while not gate.opened.is_set():
            await asyncio.sleep(0.0005)


def in_a_loop(main: Callable[[], Coroutine[Any, Any, Any]], kind: str = "asyncio") -> Running:
    """Run *main* in a new loop in a new thread."""

    def run() -> Any:
        with asyncio.Runner(loop_factory=lambda: a_loop(kind)) as runner:
            return runner.run(main())

    return Running(run)


class Stage:
    """A decorated coroutine function whose executions stand at gates, and that knows where they ran."""

    def __init__(self, make: Make, **options: Any) -> None:
        self.gates = [Gate() for _ in range(8)]
        self.threads: list[int] = []
        self.cancelled = 0

        async def work(name: str) -> list[str]:
            number = len(self.threads)
            self.threads.append(threading.get_ident())
            try:
                await passing(self.gates[number])
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return [name]

        self.fetch = make(work, **options)

    def lead(self, main: Callable[[], Coroutine[Any, Any, Any]] | None = None) -> Running:
        leader = in_a_loop(main or (lambda: self.fetch("a")))
        self.gates[0].reached()
        return leader

    def join(self, number: int = 1) -> list[Running]:
        before = sum(waiters(self.fetch))
        joiners = [in_a_loop(lambda: self.fetch("a")) for _ in range(number)]
        until(lambda: sum(waiters(self.fetch)) == before + number)
        return joiners


# -- one execution


@every_make
def test_loops_in_threads_share_one_execution_and_every_loop_wakes(make: Make) -> None:
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
    stage = Stage(make)
    leave = Gate()

    async def cancelled() -> str:
        task = asyncio.create_task(stage.fetch("a"))
        other = asyncio.create_task(stage.fetch("a")) if who == "leader" else None  # keeps the loop of the work
        await passing(leave)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
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
        until(lambda: waiters(stage.fetch) == ([2] if who == "leader" else [0]))
        stage.gates[0].open()
        assert first.result() == "cancelled"
        assert second.result() == ["a"]
    assert (len(stage.threads), stage.cancelled) == (1, 0)
    assert_idle(stage.fetch)


@single_make
def test_when_the_last_caller_leaves_in_another_loop_the_work_is_cancelled(make: Make) -> None:
    stage = Stage(make)
    leave = Gate()

    async def leader() -> None:
        task = asyncio.create_task(stage.fetch("a"))
        await passing(leave)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until_elsewhere(lambda: stage.cancelled == 1 and len(asyncio.all_tasks()) == 1)

    async def joiner() -> None:
        task = asyncio.create_task(stage.fetch("a"))
        await until_elsewhere(lambda: leave.opened.is_set() and stage.fetch.inflight.pending()[0].waiters == 1)
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


# -- a loop that dies


@every_make
def test_a_loop_closed_in_the_middle_is_taken_over(make: Make) -> None:
    stage = Stage(make)
    close = Gate()
    callers: list[asyncio.Task[Any]] = []

    def doomed() -> None:
        loop = asyncio.new_event_loop()
        callers.append(loop.create_task(stage.fetch("a")))
        loop.run_until_complete(until_elsewhere(close.opened.is_set))
        loop.close()

    with quietly() as complaints:
        leader = Running(doomed)
        stage.gates[0].reached()
        joiners = stage.join(3)
        close.open()
        leader.result()
        stage.gates[1].reached()
        until(lambda: sum(waiters(stage.fetch)) == 2)
        stage.gates[1].open()
        results = [joiner.result() for joiner in joiners]
        assert results == [["a"]] * 3
        assert len(stage.threads) == 2
        # The caller's own task was destroyed while pending, by whoever closed its loop: asyncio says so.  Of the
        # tasks of the work nothing may be heard.
        callers[0]._log_destroy_pending = False  # type: ignore[attr-defined]
        callers.clear()
        assert complaints.said == []
    assert_idle(stage.fetch)


@every_make
def test_a_thread_that_ends_without_closing_its_loop_is_taken_over(make: Make) -> None:
    stage = Stage(make)
    end = Gate()
    loops: list[asyncio.AbstractEventLoop] = []
    callers: list[asyncio.Task[Any]] = []

    def doomed() -> None:
        loops.append(asyncio.new_event_loop())
        callers.append(loops[0].create_task(stage.fetch("a")))
        loops[0].run_until_complete(until_elsewhere(end.opened.is_set))

    leader = Running(doomed)
    stage.gates[0].reached()
    joiners = stage.join(3)
    end.open()
    leader.result()
    stage.gates[1].reached()
    until(lambda: sum(waiters(stage.fetch)) == 2)
    stage.gates[1].open()
    assert [joiner.result() for joiner in joiners] == [["a"]] * 3
    assert len(stage.threads) == 2
    assert_idle(stage.fetch)
    # Tidy up what the thread left.
    loop = loops[0]
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.gather(*callers, return_exceptions=True))
    loop.close()


@every_make
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_loop_that_the_work_ends_is_taken_over(make: Make, stop: type[BaseException]) -> None:
    gate = Gate()
    executions: list[int] = []

    async def work(name: str) -> str:
        executions.append(1)
        if len(executions) == 1:
            await passing(gate)
            raise stop
        return name

    fetch = make(work)
    with quietly():
        leader = in_a_loop(lambda: fetch("a"))
        gate.reached()
        joiners = [in_a_loop(lambda: fetch("a")) for _ in range(3)]
        until(lambda: waiters(fetch) == [3])
        gate.open()
        assert type(leader.error()) is stop
        assert [joiner.result() for joiner in joiners] == ["a"] * 3
    assert len(executions) >= 2
    assert_idle(fetch)


@every_make
def test_a_main_that_ends_before_its_work_is_taken_over(make: Make) -> None:
    """``asyncio.run`` cancels what is left when its main coroutine ends, the work of others too."""
    stage = Stage(make)
    end = Gate()
    callers: list[asyncio.Task[Any]] = []

    async def main() -> None:
        callers.append(asyncio.create_task(stage.fetch("a")))
        await passing(end)

    with quietly():
        leader = stage.lead(main)
        joiners = stage.join(3)
        end.open()
        leader.result()
        for gate in stage.gates:
            gate.open()
        assert [joiner.result() for joiner in joiners] == [["a"]] * 3
    assert callers[0].cancelled()
    assert (len(stage.threads), stage.cancelled) == (2, 1)
    assert_idle(stage.fetch)


@every_make
def test_a_loop_that_pauses_may_go_on(make: Make) -> None:
    stage = Stage(make)
    pause, go_on = Gate(), Gate()

    def pausing() -> Any:
        loop = asyncio.new_event_loop()
        task = loop.create_task(stage.fetch("a"))
        loop.run_until_complete(until_elsewhere(pause.opened.is_set))
        go_on.wait()
        try:
            return loop.run_until_complete(task)
        finally:
            loop.close()

    with quietly():
        leader = Running(pausing)
        stage.gates[0].reached()
        (joiner,) = stage.join(1)
        pause.open()
        go_on.reached()
        stage.gates[0].open()
        go_on.open()
        assert leader.result() is joiner.result()
    assert len(stage.threads) == 1


@every_make
def test_who_takes_over_serves_all_who_waited_however_fast_it_is(make: Make) -> None:
    stage = Stage(make)
    close = Gate()
    callers: list[asyncio.Task[Any]] = []

    def doomed() -> None:
        loop = asyncio.new_event_loop()
        callers.append(loop.create_task(stage.fetch("a")))
        loop.run_until_complete(until_elsewhere(close.opened.is_set))
        for caller in callers:
            caller._log_destroy_pending = False  # type: ignore[attr-defined]
        callers.clear()
        loop.close()

    leader = Running(doomed)
    stage.gates[0].reached()
    joiners = stage.join(5)
    for gate in stage.gates[1:]:
        gate.open()
    close.open()
    leader.result()
    results = [joiner.result() for joiner in joiners]
    assert results == [["a"]] * 5
    assert len(stage.threads) == 2
    assert all(result is results[0] for result in results)


@every_make
def test_a_newcomer_finds_the_flight_of_a_dead_loop_and_starts_anew(make: Make) -> None:
    stage = Stage(make)
    callers: list[asyncio.Task[Any]] = []

    def doomed() -> None:
        loop = asyncio.new_event_loop()
        callers.append(loop.create_task(stage.fetch("a")))
        loop.run_until_complete(until_elsewhere(stage.gates[0].entered.is_set))
        loop.close()

    with quietly():
        Running(doomed).result()
        stage.gates[1].open()
        assert in_a_loop(lambda: stage.fetch("a")).result() == ["a"]
        assert len(stage.threads) == 2
        callers[0]._log_destroy_pending = False  # type: ignore[attr-defined]
        callers.clear()
    assert_idle(stage.fetch)


@every_make
def test_cleanup_reaps_the_flight_of_a_dead_loop(make: Make) -> None:
    stage = Stage(make)
    callers: list[asyncio.Task[Any]] = []

    def doomed() -> None:
        loop = asyncio.new_event_loop()
        callers.append(loop.create_task(stage.fetch("a")))
        loop.run_until_complete(until_elsewhere(stage.gates[0].entered.is_set))
        loop.close()

    with quietly():
        Running(doomed).result()
        reaped = [table.cleanup() for table in tables(stage.fetch)]
        assert reaped[0] == 1
        assert_idle(stage.fetch)
        callers[0]._log_destroy_pending = False  # type: ignore[attr-defined]
        callers.clear()


@every_make
def test_a_joiner_s_loop_that_dies_hurts_no_other(make: Make) -> None:
    stage = Stage(make)
    close = Gate()
    callers: list[asyncio.Task[Any]] = []

    def doomed() -> None:
        loop = asyncio.new_event_loop()
        callers.append(loop.create_task(stage.fetch("a")))
        loop.run_until_complete(until_elsewhere(close.opened.is_set))
        loop.close()

    with quietly():
        leader = stage.lead()
        dying = Running(doomed)
        until(lambda: waiters(stage.fetch) == [1])
        (joiner,) = stage.join(1)
        close.open()
        dying.result()
        stage.gates[0].open()
        assert leader.result() is joiner.result()
        assert len(stage.threads) == 1
        for caller in callers:
            caller._log_destroy_pending = False  # type: ignore[attr-defined]
        callers.clear()
    assert_idle(stage.fetch)


@every_make
def test_a_second_loop_of_the_same_thread_takes_over_from_one_that_stands_still(make: Make) -> None:
    stage = Stage(make)

    def use() -> Any:
        first = asyncio.new_event_loop()
        task = first.create_task(stage.fetch("a"))
        first.run_until_complete(until_elsewhere(stage.gates[0].entered.is_set))
        stage.gates[1].open()
        result = asyncio.run(stage.fetch("a"))
        stage.gates[0].open()
        assert first.run_until_complete(task) == ["a"]
        first.close()
        return result

    with quietly():
        assert Running(use).result() == ["a"]
    assert len(stage.threads) == 2
    assert_idle(stage.fetch)


# -- many loops in a row


@every_make
def test_many_runs_in_a_row(make: Make) -> None:
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


# -- what the engine's own steps must not let slip


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
    callers: list[asyncio.Task[Any]] = []

    def doomed() -> None:
        loop = asyncio.new_event_loop()
        callers.append(loop.create_task(stage.fetch("a")))
        loop.run_until_complete(until_elsewhere(stage.gates[0].entered.is_set))
        loop.close()

    with quietly():
        Running(doomed).result()
        assert stage.fetch.inflight.cleanup() == 1
        callers[0]._log_destroy_pending = False  # type: ignore[attr-defined]
        callers.clear()
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
        if how == "last caller":
            joiner = in_a_loop(join_and_leave)
            until(lambda: len(stage.fetch.inflight.pending()) == 1 and waiters(stage.fetch) == [1])
            until(lambda: stage.fetch.inflight._flights.table.running()[0].present == 1)  # the leader has left
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
