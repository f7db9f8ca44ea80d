"""No thread waits longer than its timeout; ``forget()``, and stacks of decorators."""

import itertools
from typing import Any

import pytest
from kit.flights import (
    Make,
    assert_idle,
    deduped_remembered,
    every_make,
    lead_and_join,
    remembered_deduped,
    single_make,
    tables,
    waiters,
)
from kit.processes import HANG_S
from kit.threads import Gate, Running, until

import memo
from memo import InflightTimeout, Registry, bounded, dedupe_inflight
from memo.testing import FakeClock

# -- timeout


@every_make
def test_at_the_deadline_waiters_are_released_and_newcomers_start_anew(make: Make) -> None:
    """At exactly `timeout` joiners get InflightTimeout, and newcomers a flight of their own."""
    clock = FakeClock()
    gates = [Gate(), Gate()]
    numbers = itertools.count()

    def work(name: str) -> int:
        number = next(numbers)
        gates[number].wait()
        return number

    fetch = make(work, clock=clock)
    layers = len(tables(fetch))
    leader, *joiners = lead_and_join(fetch, gates[0], 3, "a")
    until(lambda: clock.waiting() == 3)
    clock.advance(29.75)
    assert waiters(fetch) == [3]
    assert all(joiner.thread.is_alive() for joiner in joiners)
    clock.advance(0.25)
    for joiner in joiners:
        error = joiner.error()
        assert isinstance(error, InflightTimeout)
        assert isinstance(error, TimeoutError)
        assert (error.key, error.timeout) == ("a", 30.0)
        assert "30 s" in str(error)
    assert waiters(fetch) == []
    assert clock.waiting() == 0
    newcomer = Running(lambda: fetch("a"))
    gates[1].reached()
    late = Running(lambda: fetch("a"))
    until(lambda: waiters(fetch) == [1])
    gates[0].open()
    assert leader.result() == 0  # a thread cannot be stopped, so its own caller gets its result
    assert waiters(fetch) == [1]  # ... and it did not take the newcomer's flight along
    gates[1].open()
    assert newcomer.result() == late.result() == 1
    if hasattr(fetch, "cache"):
        assert fetch.cache.items() == [("a", 1)]
    stats = fetch.inflight.stats()
    assert (stats.timeouts, stats.started) == (1, 2)
    assert layers == len(tables(fetch))
    assert_idle(fetch)


@every_make
def test_a_late_result_is_not_stored_and_a_late_failure_is_the_leader_s_own(make: Make) -> None:
    """What ends after cleanup() removed its flight goes to its leader alone."""
    clock = FakeClock()
    gates = {"good": Gate(), "bad": Gate()}

    def work(name: str) -> str:
        gates[name].wait()
        if name == "bad":
            raise LookupError(name)
        return name

    fetch = make(work, clock=clock)
    leaders = {name: Running(lambda name=name: fetch(name)) for name in gates}
    for gate in gates.values():
        gate.reached()
    clock.advance(31)
    cleaned = [table.cleanup() for table in tables(fetch)]
    assert set(cleaned) == {2}
    assert_idle(fetch)
    for gate in gates.values():
        gate.open()
    assert leaders["good"].result() == "good"
    assert isinstance(leaders["bad"].error(), LookupError)
    if hasattr(fetch, "cache"):
        assert fetch.cache.items() == []
    assert fetch.inflight.stats().timeouts == 2


@single_make
def test_a_newcomer_detaches_what_is_stuck_by_the_clock_alone(make: Make) -> None:
    """A call at exactly the timeout starts a flight of its own, and the stuck one counts as a timeout."""
    now = [1000.0]
    gates = [Gate(), Gate()]
    numbers = itertools.count()

    def work(name: str) -> int:
        number = next(numbers)
        gates[number].wait()
        return number

    fetch = make(work, clock=lambda: now[0])
    leader = Running(lambda: fetch("a"))
    gates[0].reached()
    now[0] += 30  # at exactly the timeout
    newcomer = Running(lambda: fetch("a"))
    gates[1].reached()
    assert [(flight.age, flight.waiters) for flight in fetch.inflight.pending()] == [(0.0, 0)]
    gates[1].open()
    gates[0].open()
    assert [leader.result(), newcomer.result()] == [0, 1]
    assert fetch.inflight.stats().timeouts == 1


def test_a_call_before_the_deadline_joins() -> None:
    """A call before the timeout joins the running one."""
    now = [1000.0]
    gate = Gate()

    @dedupe_inflight(timeout=10 * HANG_S, clock=lambda: now[0])
    def fetch(name: str) -> list[str]:
        gate.wait()
        return [name]

    leader = Running(lambda: fetch("a"))
    gate.reached()
    now[0] += 9 * HANG_S  # the joiner waits for the rest by real time: so much that none of it is missed
    joiner = Running(lambda: fetch("a"))
    until(lambda: waiters(fetch) == [1])
    now[0] -= 9 * HANG_S
    gate.open()
    assert joiner.result() is leader.result()


@every_make
def test_a_wait_follows_real_time(make: Make) -> None:
    """With a clock that stands still, a joiner is released after the timeout in real time."""
    clock = FakeClock()  # stands still: only real time can release the waiter
    gate = Gate()

    def work(name: str) -> str:
        gate.wait()
        return name

    fetch = make(work, timeout="50ms", clock=clock)
    leader = Running(lambda: fetch("a"))
    gate.reached()
    joiner = Running(lambda: fetch("a"))  # which may have been released before anybody sees it wait
    assert isinstance(joiner.error(), InflightTimeout)
    assert leader.thread.is_alive()
    gate.open()
    assert leader.result() == "a"
    assert_idle(fetch)


def test_a_late_joiner_waits_for_what_is_left() -> None:
    """The timeout counts from the start of the flight, whenever a caller joined."""
    clock = FakeClock()
    gate = Gate()

    @dedupe_inflight(timeout=30, clock=clock)
    def fetch(name: str) -> str:
        gate.wait()
        return name

    leader = Running(lambda: fetch("a"))
    gate.reached()
    clock.advance(20)
    joiner = Running(lambda: fetch("a"))
    until(lambda: clock.waiting() == 1)
    clock.advance(9)
    assert joiner.thread.is_alive()
    clock.advance(1)
    assert isinstance(joiner.error(), InflightTimeout)
    gate.open()
    assert leader.result() == "a"


def test_what_a_waiter_no_longer_needs_is_taken_back_from_the_clock() -> None:
    """Joiners that got their result leave no timer with the clock."""
    clock = FakeClock()
    gate = Gate()

    @dedupe_inflight(timeout=30, clock=clock)
    def fetch(name: str) -> str:
        gate.wait()
        return name

    calls = lead_and_join(fetch, gate, 5, "a")
    until(lambda: clock.waiting() == 5)
    gate.open()
    assert [call.result() for call in calls] == ["a"] * 6
    assert clock.waiting() == 0


def test_cleanup_of_a_registry_reaps_what_no_caller_touches() -> None:
    """Each cleanup() removes the flights past their function's own timeout, and reports them by function."""
    clock = FakeClock()
    registry = Registry()
    gates = {"first": Gate(), "second": Gate(), "third": Gate()}

    def work(name: str) -> str:
        gates[name].wait()
        return name

    single = dedupe_inflight(timeout=30, registry=registry, clock=clock, name="single")(work)
    cache = bounded(max=8, timeout=60, registry=registry, clock=clock, name="cache")(work)
    leaders = [Running(lambda: single("first")), Running(lambda: cache("second"))]
    gates["first"].reached()
    gates["second"].reached()
    clock.advance(20)
    leaders.append(Running(lambda: single("third")))
    gates["third"].reached()
    report = registry.cleanup()
    assert (report.flights, report.total) == (0, 0)
    clock.advance(10)
    report = registry.cleanup()
    assert report.flights == 1
    assert dict(report.functions)["single"]
    assert [flight.key for flight in single.inflight.pending()] == ["third"]
    clock.advance(30)
    assert registry.cleanup().flights == 2
    assert registry.cleanup().flights == 0
    for gate in gates.values():
        gate.open()
    assert [leader.result() for leader in leaders] == ["first", "second", "third"]
    assert cache.cache.items() == []


def test_without_a_timeout_a_load_of_a_cache_may_take_for_ever() -> None:
    """A thousand days into a load without `timeout`, its joiner waits and gets the result."""
    clock = FakeClock()
    gate = Gate()

    @bounded(max=8, clock=clock)
    def fetch(name: str) -> list[str]:
        gate.wait()
        return [name]

    leader, joiner = lead_and_join(fetch, gate, 1, "a")
    clock.advance("1000 days")
    assert fetch.inflight.cleanup() == 0
    assert waiters(fetch) == [1]
    gate.open()
    assert joiner.result() is leader.result()


# -- forget


@single_make
def test_forget_detaches_and_fences(make: Make) -> None:
    """forget() says whether the key was running, and new callers start an execution that is the one stored."""
    gates = [Gate(), Gate()]
    numbers = itertools.count()

    def work(name: str) -> int:
        number = next(numbers)
        gates[number].wait()
        return number

    fetch = make(work)
    assert fetch.inflight.forget("a") is False
    leader, joiner = lead_and_join(fetch, gates[0], 1, "a")
    assert fetch.inflight.forget("b") is False
    assert fetch.inflight.forget(name="a") is True
    assert fetch.inflight.forget("a") is False
    assert waiters(fetch) == []
    newcomer = Running(lambda: fetch("a"))
    gates[1].reached()
    gates[1].open()
    assert newcomer.result() == 1
    gates[0].open()
    assert leader.result() == joiner.result() == 0
    if hasattr(fetch, "cache"):
        assert fetch.cache.items() == [("a", 1)]
    assert_idle(fetch)


# -- stacking


@pytest.mark.parametrize("make", [remembered_deduped, deduped_remembered], ids=lambda make: make.__name__)
def test_a_stack_shows_the_outermost_table_and_runs_the_function_once(make: Make) -> None:
    """Ten threads through two layers are one flight, one run and one miss."""
    gate = Gate()
    executions = []

    def work(name: str) -> list[str]:
        executions.append(name)
        gate.wait()
        return [name]

    fetch = make(work)
    calls = lead_and_join(fetch, gate, 9, "a")
    assert len(fetch.inflight) == 1
    gate.open()
    results = [call.result() for call in calls]
    assert all(result is results[0] for result in results)
    assert executions == ["a"]
    assert fetch("a") is results[0]
    assert executions == ["a"]
    assert fetch.cache.stats().misses == 1
    assert fetch.inflight.stats().joined == 9


def test_a_window_in_the_stack_changes_nothing() -> None:
    """In any order with a cache and single flight, a window lets four threads share one run."""
    sliding_window = getattr(memo, "sliding_window", None)
    if sliding_window is None:
        pytest.skip("sliding_window does not exist yet")
    orders = itertools.permutations([bounded(max=8), dedupe_inflight(timeout=30), sliding_window("24h")])
    for order in orders:
        gate = Gate()
        executions: list[str] = []

        def made(gate: Gate, executions: list[str]) -> Any:
            def work(name: str) -> list[str]:
                executions.append(name)
                gate.wait()
                return [name]

            return work

        fetch: Any = made(gate, executions)
        for decorator in order:
            fetch = decorator(fetch)
        calls = lead_and_join(fetch, gate, 3, "a")
        gate.open()
        results = [call.result() for call in calls]
        assert all(result is results[0] for result in results)
        assert executions == ["a"]
        assert len(fetch.inflight) == 0
