"""Callers with a time of their own who give up: what they count as, and that they wait no more."""

import asyncio
from typing import Any

import pytest
from kit.freshness import TTL, Make, on_coroutine

from memo import InflightTimeout


def waiters(s: Any) -> list[int]:
    """How many wait for each running call."""
    return [flight.waiters for flight in s.cache.inflight.pending()]


def give_up(s: Any, times: int = 1) -> None:
    """Have callers wait for seven seconds each, and no longer."""
    before = s.clock.waiting()
    within = s.cache.within(7)
    hasty = [s.begin(lambda: within.call("a")) for _ in range(times)]
    s.until(lambda: s.clock.waiting() == before + times and waiters(s) == [times])
    assert s.cache.inflight.stats().waiting == times
    s.clock.advance(7)
    assert all(isinstance(one.error(), InflightTimeout) for one in hasty)


def test_who_gives_up_a_load_of_another_has_joined_it(make_everywhere: Make) -> None:
    """Each is a join, also the first, for whom a thread or task waits; and nobody waits any more."""
    s = make_everywhere(ttl=TTL * 9)
    gate = s.hold()
    leader = s.begin()
    s.until(gate.entered.is_set)
    give_up(s)
    assert waiters(s) == [0]
    give_up(s, 3)
    assert waiters(s) == [0]
    assert s.counts == (0, 1, 4, 0, 0)
    gate.open()
    assert leader.result() == "a1"
    s.settle()
    assert (s.counts, s()) == ((0, 1, 4, 0, 0), "a1")
    assert s.cache.inflight.stats().started == 1


def test_who_gives_up_a_load_of_its_own_has_led_it(make_everywhere: Make) -> None:
    """It is a miss, those who gave the same load up are joins, and no load waits for them."""
    s = make_everywhere(ttl=TTL * 9)
    gate = s.hold()
    within = s.cache.within(7)
    first = s.begin(lambda: within.call("a"))
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    others = [s.begin(lambda: within.call("a")) for _ in range(2)]
    s.until(lambda: s.clock.waiting() == 3)
    s.clock.advance(7)
    assert all(isinstance(one.error(), InflightTimeout) for one in (first, *others))
    assert waiters(s) == [0]
    patient = s.begin()
    s.until(lambda: waiters(s) == [1])
    gate.open()
    assert patient.result() == "a1"
    assert s.counts == (0, 1, 3, 0, 0)


def test_a_slow_first_load_that_another_leads_is_joined(make: Make) -> None:
    """What ``soft_timeout`` gives up counts as what ``within()`` gives up."""
    s = make(ttl=TTL * 9, soft_timeout=7, fallback="instead")
    gate = s.hold()
    refresh = s.cache.refresh
    leader = s.begin(lambda: refresh("a"))
    s.until(gate.entered.is_set)
    call = s.begin()
    s.until(lambda: s.clock.waiting() == 1 and waiters(s) == [1])
    s.clock.advance(7)
    assert call.result() == "instead"
    assert (s.counts, waiters(s)) == ((0, 0, 1, 0, 0), [0])
    gate.open()
    assert leader.result() == "a1"


@pytest.mark.parametrize("work", ["shared", "caller"])
def test_who_is_cancelled_while_waiting_for_another_counts_as_nothing(make_at: Any, work: str) -> None:
    """As a plain caller does; one that led the load is a miss."""
    s = make_at(on_coroutine, ttl=TTL, work=work)
    gate = s.hold()
    within = s.cache.within(7)

    async def leave(number: int) -> None:
        tasks = [asyncio.create_task(within.call("a")) for _ in range(number)]
        while s.clock.waiting() < number or not gate.entered.is_set():
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)

    leader = s.begin()
    s.until(gate.entered.is_set)
    s.loop.run_until_complete(leave(3))
    assert (s.counts, waiters(s)) == ((0, 1, 0, 0, 0), [0])
    gate.open()
    assert leader.result() == "a1"
    s.settle()
    s.clock.advance(TTL)
    gate = s.hold()
    s.loop.run_until_complete(leave(3))
    assert (s.counts, waiters(s)) == ((0, 2, 0, 0, 0), [0])
