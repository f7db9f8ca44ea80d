"""Work in its caller's own task, shared by callers of several event loops."""

import asyncio
import threading
from typing import Any

import pytest
from kit.coroutines import quietly, until_elsewhere
from kit.flights import Make, assert_idle, waiters
from kit.flights_loops import Doomed, Stage, in_a_loop
from kit.threads import Gate, until

from memo import Registry, bounded, dedupe_inflight


def deduped(function: Any, clock: Any = None) -> Any:
    """Single flight by itself."""
    return dedupe_inflight(work="caller", clock=clock, registry=Registry())(function)


def remembered(function: Any) -> Any:
    """The loads of a cache."""
    return bounded(max=10, work="caller", registry=Registry())(function)


every_make = pytest.mark.parametrize("make", [deduped, remembered], ids=lambda make: make.__name__)


@every_make
def test_callers_of_several_loops_share_one_execution(make: Make) -> None:
    """Whoever is in another loop gets the leader's result, which ran in the leader's thread."""
    stage = Stage(make)
    with quietly():
        leader = stage.lead()
        joiners = stage.join(3)
        stage.gates[0].open()
        assert [call.result() for call in (leader, *joiners)] == [["a"]] * 4
    assert len(stage.threads) == 1
    assert_idle(stage.fetch)


@every_make
def test_a_leader_cancelled_in_one_loop_is_succeeded_in_another(make: Make) -> None:
    """The successor runs the function in its own loop, and the others wait for that."""
    stage = Stage(make)
    leave = Gate()

    async def lead() -> str:
        task = asyncio.create_task(stage.fetch("a"))
        await until_elsewhere(leave.opened.is_set)
        task.cancel()
        await asyncio.wait((task,))
        return "cancelled" if task.cancelled() else "not"

    with quietly():
        leader = stage.lead(lead)
        joiners = stage.join(2)
        leave.open()
        assert leader.result() == "cancelled"
        stage.gates[1].reached()
        until(lambda: waiters(stage.fetch) == [1])
        stage.gates[1].open()
        assert [call.result() for call in joiners] == [["a"]] * 2
    assert len(set(stage.threads)) == 2
    assert_idle(stage.fetch)


@every_make
def test_a_loop_closed_in_the_middle_is_taken_over(make: Make) -> None:
    """A joiner of another loop runs the function; the leader's task is its own affair."""
    stage = Stage(make)
    close = Gate()
    with quietly() as complaints:
        doomed = Doomed(stage.fetch, close.opened.is_set)
        stage.gates[0].reached()
        joiners = stage.join(2)
        close.open()
        doomed.running.result()
        stage.gates[1].reached()
        until(lambda: sum(waiters(stage.fetch)) == 1)
        stage.gates[1].open()
        assert [joiner.result() for joiner in joiners] == [["a"]] * 2
        doomed.forget()
        assert complaints.said == []
    assert_idle(stage.fetch)


def test_a_deadline_found_in_another_thread_ends_the_leader_in_its_own() -> None:
    """cleanup() in another thread cancels the leader, where it has not ended yet."""
    now = [0.0]
    stage = Stage(deduped, clock=lambda: now[0])
    leader = in_a_loop(lambda: stage.fetch("a"))
    stage.gates[0].reached()
    now[0] += 30
    assert stage.fetch.inflight.cleanup() == 1
    assert isinstance(leader.error(), TimeoutError)
    assert stage.cancelled == 1
    assert stage.threads != [threading.get_ident()]
    assert_idle(stage.fetch)
