"""Single flight between threads: one execution and one failure for equal calls."""

import gc
import itertools
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from kit.flights import (
    Make,
    assert_idle,
    every_make,
    lead_and_join,
    single_make,
    tables,
    waiters,
)
from kit.threads import LIMIT_S, Gate, Running, depth_of, switching_often, until

from memo import InflightTimeout, dedupe_inflight
from memo.testing import FakeClock

# -- one execution


@every_make
def test_equal_calls_at_the_same_time_share_one_execution(make: Make) -> None:
    """Threads with equal calls, however spelled, get one object of the leader's execution."""
    gate = Gate()
    executions = []

    def work(name: str, lang: str = "en") -> list[str]:
        executions.append(threading.current_thread().name)
        gate.wait()
        return [name]

    fetch = make(work)
    running = lead_and_join(fetch, gate, 31, "a")
    running += [Running(lambda: fetch(name="a")), Running(lambda: fetch("a", lang="en"))]
    until(lambda: waiters(fetch) == [33])
    gate.open()
    results = [call.result() for call in running]
    assert results[0] == ["a"]
    assert all(result is results[0] for result in results)
    assert executions == ["leader"]
    stats = fetch.inflight.stats()
    assert (stats.started, stats.joined, stats.completed) == (1, 33, 1)
    assert (stats.failed, stats.cancelled, stats.timeouts) == (0, 0, 0)
    assert_idle(fetch)


@every_make
def test_threads_that_start_together_share_executions_and_get_what_they_asked_for(make: Make) -> None:
    """No key runs twice at a time, and each thread gets its own key's result."""
    rounds, threads = 60, 8
    running_now: dict[tuple[int, int], int] = {}
    most: list[int] = []

    def work(round_: int, number: int) -> tuple[int, int]:
        key = (round_, number)
        running_now[key] = running_now.get(key, 0) + 1
        most.append(running_now[key])
        running_now[key] -= 1
        return key

    fetch = make(work)
    barrier = threading.Barrier(threads)

    def use(me: int) -> None:
        for round_ in range(rounds):
            barrier.wait(LIMIT_S)
            assert fetch(round_, me % 2) == (round_, me % 2)

    with switching_often():
        for call in [Running(lambda me=me: use(me)) for me in range(threads)]:
            call.result()
    assert set(most) == {1}
    stats = fetch.inflight.stats()
    assert stats.started == stats.completed
    assert 2 * rounds <= len(most) <= threads * rounds
    assert_idle(fetch)


@every_make
def test_other_keys_do_not_wait(make: Make) -> None:
    """A call of another key returns while a slow one runs."""
    gate = Gate()

    def work(name: str) -> str:
        if name == "slow":
            gate.wait()
        return name

    fetch = make(work)
    slow = Running(lambda: fetch("slow"))
    gate.reached()
    assert fetch("quick") == "quick"
    assert [flight.key for flight in fetch.inflight.pending()] == ["slow"]
    gate.open()
    assert slow.result() == "slow"


def test_nothing_is_remembered() -> None:
    """Each call after the end of another runs the function anew."""
    numbers = itertools.count()

    @dedupe_inflight
    def fetch(name: str) -> int:
        return next(numbers)

    assert [fetch("a"), fetch("a"), fetch("a")] == [0, 1, 2]
    stats = fetch.inflight.stats()
    assert (stats.started, stats.completed, stats.joined, stats.active) == (3, 3, 0, 0)


def test_an_ended_flight_keeps_nothing_alive() -> None:
    """Argument and result of a finished call are freed."""

    class Value:
        pass

    @dedupe_inflight
    def fetch(name: Any) -> Value:
        return Value()

    name = Value()
    seen = [weakref.ref(name), weakref.ref(fetch(name))]
    del name
    gc.collect()
    assert [ref() for ref in seen] == [None, None]


def test_instances_do_not_share_and_a_handle_shows_its_own() -> None:
    """Equal calls share within one instance, and its handle shows that one's flights alone."""
    gate = Gate()

    class Client:
        @dedupe_inflight
        def fetch(self, name: str) -> tuple[object, str]:
            gate.wait()
            return self, name

        @classmethod
        @dedupe_inflight
        def shared(cls, name: str) -> str:
            return name

        @dedupe_inflight
        @staticmethod
        def free(name: str) -> str:
            return name

    one, other = Client(), Client()
    calls = [Running(lambda: one.fetch("a"))]
    gate.reached()
    calls += [Running(lambda: one.fetch("a")), Running(lambda: other.fetch("a"))]
    until(lambda: waiters(one.fetch) == [1] and waiters(other.fetch) == [0])
    assert sorted(waiters(Client.fetch)) == [0, 1]
    assert [flight.key for flight in one.fetch.inflight.pending()] == ["a"]
    gate.open()
    assert [call.result() for call in calls] == [(one, "a"), (one, "a"), (other, "a")]
    assert one.shared("b") == one.free("b") == "b"
    assert len(Client.fetch.inflight) == 0


@single_make
def test_pending_tells_key_age_waiters_and_the_leading_thread(make: Make) -> None:
    """pending() has a row for each running call, the oldest first, and stats() their sums."""
    clock = FakeClock()
    gates = {"a": Gate(), "b": Gate()}

    def work(name: str) -> None:
        gates[name].wait()

    fetch = make(work, clock=clock)
    calls = [Running(lambda: fetch("a"), "first")]
    gates["a"].reached()
    clock.advance(5)
    calls.append(Running(lambda: fetch("b"), "second"))
    gates["b"].reached()
    clock.advance(2)
    calls.append(Running(lambda: fetch("b"), "third"))
    until(lambda: waiters(fetch) == [0, 1])
    rows = [(row.key, row.age, row.waiters, row.leader) for row in fetch.inflight.pending()]
    assert rows == [("a", 7.0, 0, "first"), ("b", 2.0, 1, "second")]
    stats = fetch.inflight.stats()
    assert (stats.active, stats.waiting, stats.oldest) == (2, 1, 7.0)
    for gate in gates.values():
        gate.open()
    for call in calls:
        call.join()
    assert_idle(fetch)


@every_make
def test_no_lock_is_held_while_the_function_runs(make: Make) -> None:
    """The function may wait for a thread that forgets, cleans up, invalidates and counts."""

    def look() -> list[int]:
        fetch.inflight.forget("other")
        fetch.inflight.cleanup()
        if hasattr(fetch, "cache"):
            fetch.cache.invalidate("other")
        return [table.stats().active for table in tables(fetch)]

    def work(name: str) -> list[int]:
        return Running(look).result()  # type: ignore[no-any-return]

    fetch = make(work)
    assert set(fetch("a")) == {1}


def test_the_key_function_runs_outside_the_lock() -> None:
    """The key function may wait for a thread that uses the handle."""

    def key(name: str) -> str:
        assert Running(lambda: len(fetch.inflight)).result() == 0
        return name.lower()

    @dedupe_inflight(key=key)
    def fetch(name: str) -> str:
        return name

    assert fetch("A") == "A"


def test_an_unhashable_argument_is_refused_and_leaves_nothing() -> None:
    """A list as argument of a call or forget() raises TypeError with advice, and starts nothing."""

    @dedupe_inflight
    def fetch(names: list[str]) -> None:
        raise NotImplementedError

    for _ in range(2):
        with pytest.raises(TypeError, match=r"fetch.*names.*list.*key="):
            fetch(["a"])
    with pytest.raises(TypeError, match=r"fetch.*names.*list.*key="):
        fetch.inflight.forget(["a"])
    assert_idle(fetch)
    assert fetch.inflight.stats().started == 0


@every_make
def test_a_result_that_can_be_used_once_is_refused_for_all(make: Make) -> None:
    """An iterator as result raises TypeError for leader and joiners."""
    gate = Gate()

    def work(name: str) -> Iterator[str]:
        gate.wait()
        return iter([name])

    fetch = make(work)
    calls = lead_and_join(fetch, gate, 2, "a")
    gate.open()
    for call in calls:
        with pytest.raises(TypeError, match="can be used only once"):
            call.result()
    assert_idle(fetch)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"timeout": None}, TypeError, "timeout=None"),
        ({"timeout": True}, TypeError, "timeout=True"),
        ({"timeout": 0}, ValueError, "timeout=0"),
        ({"timeout": -1}, ValueError, "timeout=-1"),
        ({"timeout": float("inf")}, ValueError, "timeout=inf"),
        ({"timeout": float("nan")}, ValueError, "timeout=nan"),
        ({"timeout": "2h5"}, ValueError, "timeout='2h5'"),
        ({"ignore": ("nobody",)}, ValueError, "nobody"),
        ({"key": 3}, TypeError, "key=3"),
    ],
)
def test_bad_options_fail_at_decoration(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """A bad option raises its error when decorating, with the decorator's name in front."""

    def fetch(name: str) -> None:
        raise NotImplementedError

    with pytest.raises(error, match=f"^dedupe_inflight: .*{message}"):
        dedupe_inflight(**options)(fetch)


def test_bare_means_half_a_minute() -> None:
    """Without parentheses the timeout is thirty seconds."""
    clock = FakeClock()
    gate = Gate()

    @dedupe_inflight(clock=clock)
    def fetch(name: str) -> None:
        gate.wait()

    leader, joiner = lead_and_join(fetch, gate, 1, "a")
    until(lambda: clock.waiting() == 1)
    clock.advance(29.9)
    assert waiters(fetch) == [1]
    clock.advance(0.1)
    error = joiner.error()
    assert isinstance(error, InflightTimeout)
    assert error.timeout == 30
    gate.open()
    leader.result()


# -- failure


@every_make
def test_all_see_the_failure_of_one_execution(make: Make) -> None:
    """The leader gets the error object, the joiners an equal one with its notes, of one execution."""
    gate = Gate()
    raised: list[LookupError] = []

    def work(name: str) -> None:
        gate.wait()
        error = LookupError(name, 7)
        error.add_note("a note")
        raised.append(error)
        raise error

    fetch = make(work)
    leader, *joiners = lead_and_join(fetch, gate, 5, "a")
    gate.open()
    assert leader.error() is raised[0]
    for joiner in joiners:
        error = joiner.error()
        assert type(error) is LookupError
        assert error.args == ("a", 7)
        assert error.__notes__ == ["a note"]
    assert len(raised) == 1
    stats = fetch.inflight.stats()
    assert (stats.started, stats.joined, stats.completed, stats.failed) == (1, 5, 0, 1)
    assert_idle(fetch)


@every_make
def test_a_traceback_is_as_deep_with_fifty_waiters_as_with_one(make: Make) -> None:
    """Neither leader's nor joiners' tracebacks grow with the number of joiners."""

    def depths(joiners: int) -> tuple[set[int], set[int]]:
        gate = Gate()

        def work() -> None:
            gate.wait()
            raise LookupError

        fetch = make(work)
        leader, *others = lead_and_join(fetch, gate, joiners)
        gate.open()
        return {depth_of(leader.error())}, {depth_of(other.error()) for other in others}

    one = depths(1)
    assert depths(50) == one
    assert all(len(each) == 1 for each in one)
    assert max(max(each) for each in one) <= 12


@every_make
def test_a_failure_is_let_go_once_all_have_it(make: Make) -> None:
    """The locals of failed work are freed once its callers dropped the error."""
    gate = Gate()

    class Big:
        pass

    refs: list[weakref.ref[Big]] = []

    def work() -> None:
        big = Big()
        refs.append(weakref.ref(big))
        gate.wait()
        raise LookupError

    fetch = make(work)
    calls = lead_and_join(fetch, gate, 3)
    gate.open()
    for call in calls:
        assert isinstance(call.error(), LookupError)
    del call
    calls.clear()
    gc.collect()
    assert refs[0]() is None
