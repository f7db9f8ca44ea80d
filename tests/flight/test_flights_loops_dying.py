"""A loop that dies leaves nobody waiting."""

import asyncio
from typing import Any

import pytest
from kit.coroutines import quietly, until_elsewhere
from kit.flights import Make, assert_idle, every_make, tables, waiters
from kit.flights_loops import Doomed, Stage, in_a_loop, passing
from kit.threads import Gate, Running, until


@every_make
def test_a_loop_closed_in_the_middle_is_taken_over(make: Make) -> None:
    """When the loop of the work is closed, a joiner of another loop runs it, and asyncio complains of nothing."""
    stage = Stage(make)
    close = Gate()
    with quietly() as complaints:
        doomed = Doomed(stage.fetch, close.opened.is_set)
        stage.gates[0].reached()
        joiners = stage.join(3)
        close.open()
        doomed.running.result()
        stage.gates[1].reached()
        until(lambda: sum(waiters(stage.fetch)) == 2)
        stage.gates[1].open()
        results = [joiner.result() for joiner in joiners]
        assert results == [["a"]] * 3
        assert len(stage.threads) == 2
        # The caller's own task was destroyed while pending, by whoever closed its loop: asyncio says so.  Of the
        # tasks of the work nothing may be heard.
        doomed.forget()
        assert complaints.said == []
    assert_idle(stage.fetch)


@every_make
def test_a_thread_that_ends_without_closing_its_loop_is_taken_over(make: Make) -> None:
    """When the thread of the work ends, joiners elsewhere share one new execution."""
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
    """When the work stops its loop with an error of its own, the joiners of other loops get a result."""
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
    """A loop that stands still while its work is ready goes on later, and its result serves another loop's joiner."""
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
    """After a loop died, work that never waits runs once for all five joiners."""
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
    """A call for a key led by a closed loop runs the function itself."""
    stage = Stage(make)
    with quietly():
        doomed = Doomed(stage.fetch, stage.gates[0].entered.is_set)
        doomed.running.result()
        stage.gates[1].open()
        assert in_a_loop(lambda: stage.fetch("a")).result() == ["a"]
        assert len(stage.threads) == 2
        doomed.forget()
    assert_idle(stage.fetch)


@every_make
def test_cleanup_reaps_the_flight_of_a_dead_loop(make: Make) -> None:
    """cleanup() counts and removes a flight whose loop was closed."""
    stage = Stage(make)
    with quietly():
        doomed = Doomed(stage.fetch, stage.gates[0].entered.is_set)
        doomed.running.result()
        reaped = [table.cleanup() for table in tables(stage.fetch)]
        assert reaped[0] == 1
        assert_idle(stage.fetch)
        doomed.forget()


@every_make
def test_a_joiner_s_loop_that_dies_hurts_no_other(make: Make) -> None:
    """When a joiner's loop is closed, leader and other joiners still share the one result."""
    stage = Stage(make)
    close = Gate()
    with quietly():
        leader = stage.lead()
        doomed = Doomed(stage.fetch, close.opened.is_set)
        until(lambda: waiters(stage.fetch) == [1])
        (joiner,) = stage.join(1)
        close.open()
        doomed.running.result()
        stage.gates[0].open()
        assert leader.result() is joiner.result()
        assert len(stage.threads) == 1
        doomed.forget()
    assert_idle(stage.fetch)


@every_make
def test_a_second_loop_of_the_same_thread_takes_over_from_one_that_stands_still(make: Make) -> None:
    """A call runs the work anew when its own thread holds the leading loop."""
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
