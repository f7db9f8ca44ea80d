"""Single flight between threads: one execution for equal calls, and nobody is left waiting."""

import _thread
import contextlib
import ctypes
import gc
import itertools
import opcode
import random
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.flights import (
    Make,
    assert_idle,
    check_circle,
    deduped,
    deduped_remembered,
    every_make,
    lead_and_join,
    remembered_deduped,
    single_make,
    tables,
    waiters,
)
from kit.instructions import WRAPPER, at_every_instruction, stopped
from kit.places import ROOT
from kit.threads import LIMIT_S, Gate, Running, depth_of, interrupt_main, switching_often, until

import memo
from memo import InflightTimeout, Registry, bounded, dedupe_inflight
from memo._base import Aside
from memo.testing import FakeClock

# -- one execution


@every_make
def test_equal_calls_at_the_same_time_share_one_execution(make: Make) -> None:
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
    numbers = itertools.count()

    @dedupe_inflight
    def fetch(name: str) -> int:
        return next(numbers)

    assert [fetch("a"), fetch("a"), fetch("a")] == [0, 1, 2]
    stats = fetch.inflight.stats()
    assert (stats.started, stats.completed, stats.joined, stats.active) == (3, 3, 0, 0)


def test_an_ended_flight_keeps_nothing_alive() -> None:
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
    def key(name: str) -> str:
        assert Running(lambda: len(fetch.inflight)).result() == 0
        return name.lower()

    @dedupe_inflight(key=key)
    def fetch(name: str) -> str:
        return name

    assert fetch("A") == "A"


def test_an_unhashable_argument_is_refused_and_leaves_nothing() -> None:
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
    def fetch(name: str) -> None:
        raise NotImplementedError

    with pytest.raises(error, match=f"^dedupe_inflight: .*{message}"):
        dedupe_inflight(**options)(fetch)


def test_bare_means_half_a_minute() -> None:
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


# -- what stays with the one that it struck


@every_make
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_stays_with_the_leader_and_a_joiner_takes_over(make: Make, kind: type[BaseException]) -> None:
    gates = [Gate(), Gate()]
    executions: list[threading.Thread] = []

    def work(name: str) -> str:
        executions.append(threading.current_thread())
        number = len(executions) - 1
        gates[number].wait()
        if number == 0:
            raise kind
        return name

    fetch = make(work)
    leader, *joiners = lead_and_join(fetch, gates[0], 4, "a")
    gates[0].open()
    assert type(leader.error()) is kind
    gates[1].reached()
    until(lambda: waiters(fetch) == [3])
    gates[1].open()
    assert [joiner.result() for joiner in joiners] == ["a"] * 4
    assert len(executions) == 2
    assert executions[0] is leader.thread
    assert executions[1] in [joiner.thread for joiner in joiners]
    stats = fetch.inflight.stats()
    assert (stats.started, stats.joined, stats.completed, stats.failed, stats.cancelled) == (2, 3, 1, 0, 1)
    assert_idle(fetch)


def test_interruptions_strike_one_after_the_other() -> None:
    gate = Gate()
    executions = itertools.count()

    @dedupe_inflight
    def fetch(name: str) -> str:
        number = next(executions)
        gate.wait()
        if number < 4:
            raise SystemExit(number)
        return name

    calls = lead_and_join(fetch, gate, 7, "a")
    gate.open()
    ends: list[Any] = []
    for call in calls:
        call.join()
        try:
            ends.append(call.result())
        except SystemExit as error:
            ends.append(error.code)
    assert ends[0] == 0
    assert sorted(ends, key=str) == [0, 1, 2, 3, "a", "a", "a", "a"]
    assert_idle(fetch)


@every_make
def test_a_leader_whose_thread_is_ended_is_taken_over(make: Make) -> None:
    gate = Gate()
    leaders: list[int] = []

    def work(name: str) -> str:
        leaders.append(threading.get_ident())
        if len(leaders) == 1:
            gate.wait()
            _thread.exit()
        return name

    fetch = make(work)
    _thread.start_new_thread(fetch, ("a",))
    gate.reached()
    joiners = [Running(lambda: fetch("a")) for _ in range(3)]
    until(lambda: waiters(fetch) == [3])
    gate.open()
    assert [joiner.result() for joiner in joiners] == ["a"] * 3
    assert len(leaders) >= 2
    assert len(set(leaders)) == len(leaders)
    assert_idle(fetch)


@pytest.mark.parametrize("decorator", ["dedupe_inflight", "bounded(max=8)", "bounded(max=8, timeout=30)"])
def test_a_daemon_that_vanishes_at_shutdown_is_taken_over(decorator: str) -> None:
    program = f"""
        import os, sys, threading, types
        from memo import bounded, dedupe_inflight

        led = threading.Event()
        main = threading.get_ident()

        @{decorator}
        def fetch(name):
            if threading.get_ident() != main:
                led.set()
                threading.Event().wait()
            return name

        class Last:
            def __del__(self, fetch=fetch, write=os.write):
                write(1, fetch("a").encode())

        threading.Thread(target=fetch, args=("a",), daemon=True).start()
        led.wait()
        sys.modules["early"] = early = types.ModuleType("early")
        early.last = Last()
        del early  # dies while the interpreter shuts down, after the daemon
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "a", "")


@every_make
def test_ctrl_c_in_a_waiter_stays_with_it(make: Make) -> None:
    gate = Gate()

    def work(name: str) -> str:
        gate.wait()
        return name

    fetch = make(work)
    leader, other = lead_and_join(fetch, gate, 1, "a")

    def interrupt() -> None:
        until(lambda: waiters(fetch) == [2])
        interrupt_main()

    interrupter = Running(interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch("a")
    interrupter.result()
    assert waiters(fetch) == [1]
    gate.open()
    assert [leader.result(), other.result()] == ["a", "a"]
    assert_idle(fetch)


@every_make
def test_ctrl_c_in_the_leader_lets_a_waiter_take_over(make: Make) -> None:
    gate = Gate()
    executions: list[bool] = []

    def work(name: str) -> str:
        main = threading.current_thread() is threading.main_thread()
        executions.append(main)
        if main:
            gate.wait()
        return name

    fetch = make(work)

    def join_and_interrupt() -> Any:
        gate.reached()
        joiner = Running(lambda: fetch("a"))
        until(lambda: waiters(fetch) == [1])
        interrupt_main()
        return joiner

    helper = Running(join_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch("a")
    assert helper.result().result() == "a"
    assert executions == [True, False]
    assert_idle(fetch)


class Struck(BaseException):
    """Raised in another thread, at any instruction."""


@contextlib.contextmanager
def ignoring_struck_finalizers() -> Iterator[None]:
    """Say nothing of a ``Struck`` that came up in a finalizer or a callback of the collector, and was lost there."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None if unraisable.exc_type is Struck else hook(unraisable)
    try:
        yield
    finally:
        sys.unraisablehook = hook


@every_make
def test_an_interruption_at_any_instruction_leaves_no_waiter_behind(make: Make) -> None:
    def work(name: int) -> int:
        return name

    fetch = make(work)
    stop = threading.Event()
    strikes = random.Random(7)
    struck: list[int] = []

    def use() -> None:
        while not stop.is_set():
            try:
                for name in range(1000):
                    assert fetch(name % 3) == name % 3
                    if hasattr(fetch, "cache"):
                        fetch.cache.invalidate(name % 3)
            except Struck:
                struck.append(1)

    def user() -> None:
        while not stop.is_set():
            try:
                use()
            except Struck:
                pass  # it struck while the one before was handled

    def bystander() -> int:
        calls = 0
        while not stop.is_set() or calls <= 100:
            calls += 1
            assert fetch(calls % 3) == calls % 3
        return calls

    def strike() -> bool:
        chosen = strikes.randrange(2)
        if not victims[chosen].thread.is_alive():  # it was struck twice at once, and so not only within use()
            victims[chosen] = Running(user)
        ident = ctypes.c_ulong(victims[chosen].thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Struck))
        return len(struck) >= 300

    with switching_often(), ignoring_struck_finalizers():
        victims = [Running(user) for _ in range(2)]
        others = [Running(bystander) for _ in range(2)]
        until(strike, 4 * LIMIT_S)
        stop.set()
        for victim in victims:
            victim.join()
        for other in others:
            assert other.result() > 100
    assert [fetch(name) for name in range(3)] == [0, 1, 2]
    assert [table.pending() for table in tables(fetch)] == [[]] * len(tables(fetch))


# -- recursion


@single_make
def test_recursion_with_the_same_key_runs_straight_through(make: Make) -> None:
    gate = Gate()
    depth = 0

    def work(name: str) -> int:
        nonlocal depth
        depth += 1
        if depth < 5:
            return int(fetch(name)) + 1
        gate.wait()
        return 0

    fetch = make(work)
    leader, *joiners = lead_and_join(fetch, gate, 2, "a")
    gate.open()
    assert leader.result() == 4
    assert [joiner.result() for joiner in joiners] == [4, 4]
    assert depth == 5
    assert_idle(fetch)


@every_make
def test_two_functions_that_call_each_other(make: Make) -> None:
    def even_work(n: int) -> bool:
        return n == 0 or bool(odd(n - 1))

    def odd_work(n: int) -> bool:
        return n != 0 and bool(even(n - 1))

    even, odd = make(even_work), make(odd_work)
    calls = [Running(lambda n=n: even(n)) for n in range(40)]
    assert [call.result() for call in calls] == [n % 2 == 0 for n in range(40)]
    assert_idle(even)
    assert_idle(odd)


@every_make
@pytest.mark.parametrize("size", [2, 3, 5])
def test_threads_that_would_wait_for_each_other_in_a_circle(make: Make, size: int) -> None:
    entered = threading.Barrier(size)
    inside = threading.local()

    def work(number: int) -> int:
        if getattr(inside, "nested", False):
            return number
        inside.nested = True
        entered.wait(LIMIT_S)  # each leads its own key before any asks for the next one's
        return number + 10 * int(fetch(number % size + 1))

    fetch = make(work)
    calls = [Running(lambda number=number: fetch(number)) for number in range(1, size + 1)]
    check_circle([call.result() for call in calls])
    assert_idle(fetch)


@every_make
def test_two_functions_whose_threads_would_wait_for_each_other(make: Make) -> None:
    entered = threading.Barrier(2)
    inside = threading.local()

    def guarded(name: str, other: Callable[[], Any]) -> list[str]:
        if getattr(inside, "nested", False):
            return [name]
        inside.nested = True
        entered.wait(LIMIT_S)
        return [name, *other()]

    f = make(lambda key: guarded("f", lambda: g(key)))
    g = make(lambda key: guarded("g", lambda: f(key)))
    calls = [Running(lambda: f("a")), Running(lambda: g("a"))]
    results = [call.result() for call in calls]
    assert results in ([["f", "g"], ["g", "f", "g"]], [["f", "g", "f"], ["g", "f"]])
    assert_idle(f)
    assert_idle(g)


@every_make
def test_a_chain_of_240_nested_decorated_calls(make: Make) -> None:
    def work(n: int) -> int:
        return 0 if n == 0 else int(fetch(n - 1)) + 1

    fetch = make(work)
    levels = 240 // len(tables(fetch))  # in a stack each level is as many decorated calls as there are layers
    assert sys.getrecursionlimit() == 1000
    assert Running(lambda: fetch(levels)).result() == levels
    assert_idle(fetch)


@every_make
def test_a_recursion_error_inside_leaves_nothing_stuck(make: Make) -> None:
    numbers = itertools.count()

    def work(n: int) -> int:
        return int(fetch(next(numbers)))

    fetch = make(work)
    for _ in range(5):
        assert isinstance(Running(lambda: fetch(next(numbers))).error(), RecursionError)
        assert_idle(fetch)


@every_make
def test_the_recursion_limit_at_any_depth_leaves_nothing_stuck(make: Make) -> None:
    def work(name: str) -> str:
        return name

    fetch = make(work)

    def at(depth: int) -> Any:
        if depth:
            return at(depth - 1)
        return fetch("a")

    def probe() -> int:
        failures = 0
        for depth in range(sys.getrecursionlimit() - 60, sys.getrecursionlimit()):
            if hasattr(fetch, "cache"):
                fetch.cache.clear()
            try:
                assert at(depth) == "a"
            except RecursionError:
                failures += 1
            assert Running(lambda: fetch("a")).result() == "a", depth
            assert [len(table) for table in tables(fetch)] == [0] * len(tables(fetch)), depth
        return failures

    assert 0 < Running(probe).result() < 60
    assert fetch("a") == "a"


# -- timeout


@every_make
def test_at_the_deadline_waiters_are_released_and_newcomers_start_anew(make: Make) -> None:
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
    now = [1000.0]
    gate = Gate()

    @dedupe_inflight(timeout=30, clock=lambda: now[0])
    def fetch(name: str) -> list[str]:
        gate.wait()
        return [name]

    leader = Running(lambda: fetch("a"))
    gate.reached()
    now[0] += 29.99
    joiner = Running(lambda: fetch("a"))
    until(lambda: waiters(fetch) == [1])
    now[0] -= 29.99
    gate.open()
    assert joiner.result() is leader.result()


@every_make
def test_a_wait_follows_real_time(make: Make) -> None:
    clock = FakeClock()  # stands still: only real time can release the waiter
    gate = Gate()

    def work(name: str) -> str:
        gate.wait()
        return name

    fetch = make(work, timeout="50ms", clock=clock)
    leader, joiner = lead_and_join(fetch, gate, 1, "a")
    assert isinstance(joiner.error(), InflightTimeout)
    assert leader.thread.is_alive()
    gate.open()
    assert leader.result() == "a"
    assert_idle(fetch)


def test_a_late_joiner_waits_for_what_is_left() -> None:
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


# -- a leader ends its flight without the lock: every interleaving of two threads in which one is stopped once


PACKAGE = str(Path(memo.__file__).parent)


def flight_of(frame: Any) -> Any:
    """The flight of a wrapper that stands still; None before it has one."""
    return next((value for name, value in frame.f_locals.items() if name.endswith("_flight")), None)


def stands_still(call: Running, flight: Any) -> None:
    """Wait until *call* has ended or waits for *flight*."""
    until(lambda: not call.thread.is_alive() or getattr(flight, "waiters", None))


@pytest.fixture
def without_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiters do not look by themselves, so that a lost wake-up is a hang."""
    monkeypatch.setattr("memo._flight.threads.LOOK_S", 1000.0)


def numbered() -> tuple[Any, list[int]]:
    """A decorated function that returns the number of its execution, and those numbers."""
    begun: list[int] = []

    @dedupe_inflight(registry=Registry())
    def fetch(name: str) -> int:
        begun.append(len(begun))
        return begun[-1]

    return fetch, begun


@pytest.mark.usefixtures("without_looks")
def test_a_call_at_any_instruction_of_a_leader_gets_a_result() -> None:
    """Whoever calls while a leader stands between two instructions joins it or leads, and neither hangs."""
    joined = 0

    def trial(at: int) -> bool:
        nonlocal joined
        fetch, begun = numbered()
        others: list[Running] = []

        def act(frame: Any) -> None:
            others.append(Running(lambda: fetch("a")))
            stands_still(others[0], flight_of(frame))

        mine, reached = Running(stopped(lambda: fetch("a"), at, act, WRAPPER)).result()
        results = [mine] + [other.result() for other in others]
        assert set(results) == set(begun) == set(range(len(begun)))
        joined += len(results) - len(begun)
        assert_idle(fetch)
        return bool(reached)

    assert at_every_instruction(trial) > 60
    assert joined > 20


@pytest.mark.usefixtures("without_looks")
def test_a_joiner_that_has_found_a_flight_registers_at_any_instruction_of_its_leader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call that stood still between finding a flight and waiting for it gets what its leader made."""

    def trial(at: int) -> bool:
        found = Gate()
        joiners: list[Running] = []

        def lock_once_let_through() -> Any:
            found.wait()
            return threading.Lock()

        def work(name: str) -> list[str]:
            joiners.append(Running(lambda: fetch("a")))
            found.reached()
            return [name]

        fetch = deduped(work)

        def act(frame: Any) -> None:
            found.open()
            for joiner in joiners:
                stands_still(joiner, flight_of(frame))

        monkeypatch.setattr("memo._base.callers._allocate_lock", lock_once_let_through)
        mine, reached = Running(stopped(lambda: fetch("a"), at, act, WRAPPER)).result()
        found.open()
        (joiner,) = joiners
        assert joiner.result() is mine
        assert_idle(fetch)
        return bool(reached)

    at_every_instruction(trial)


@pytest.mark.usefixtures("without_looks")
def test_a_call_after_forget_at_any_instruction_of_a_leader_starts_anew() -> None:
    """What had run before ``forget()`` returned is no answer to a call after it."""

    def trial(at: int) -> bool:
        fetch, begun = numbered()
        others: list[Running] = []
        results: list[int] = []

        def act(frame: Any) -> None:
            Running(lambda: fetch.inflight.forget("a")).result()
            before = len(begun)

            def call() -> None:
                results.append(fetch("a"))
                assert results[-1] >= before

            others.append(Running(call))
            stands_still(others[0], flight_of(frame))

        mine, reached = Running(stopped(lambda: fetch("a"), at, act, WRAPPER)).result()
        for other in others:
            other.result()
        assert {mine, *results} == set(begun)
        assert_idle(fetch)
        return bool(reached)

    at_every_instruction(trial)


def changes() -> list[Any]:
    """What may happen to a table at any moment."""

    def forget(fetch: Any, clock: FakeClock) -> None:
        fetch.inflight.forget("a")

    def forget_and_lead(fetch: Any, clock: FakeClock) -> None:
        fetch.inflight.forget("a")
        leader = Running(lambda: fetch("a"))
        leader.thread.join(0.001)

    def clean(fetch: Any, clock: FakeClock) -> None:
        clock.advance(60)
        fetch.inflight.cleanup()

    def late_call(fetch: Any, clock: FakeClock) -> None:
        clock.advance(60)
        leader = Running(lambda: fetch("a"))
        leader.thread.join(0.001)

    def detach_all(fetch: Any, clock: FakeClock) -> None:
        fetch.inflight._flights.table.detach_all()

    def set_aside_and_back(fetch: Any, clock: FakeClock) -> None:
        flights = fetch.inflight._flights.table
        aside = Aside()
        flights.set_aside(aside)
        flights.put_back(aside)

    def set_aside_and_back_later(fetch: Any, clock: FakeClock) -> None:
        flights = fetch.inflight._flights.table
        aside = Aside()
        flights.set_aside(aside)
        leader = Running(lambda: fetch("a"))
        leader.thread.join(0.001)
        flights.put_back(aside)

    acts = [forget, forget_and_lead, clean, late_call, detach_all, set_aside_and_back, set_aside_and_back_later]
    return [pytest.param(act, id=act.__name__) for act in acts]


@pytest.mark.usefixtures("without_looks")
@pytest.mark.parametrize("change", changes())
def test_a_change_of_the_table_at_any_instruction_of_a_leader_with_a_joiner(change: Callable[..., None]) -> None:
    """The leader gets its result, the joiner the same or a timeout, and the table ends empty."""
    timeouts = 0

    def trial(at: int) -> bool:
        nonlocal timeouts
        clock = FakeClock()
        joiners: list[Running] = []
        leader = threading.current_thread()

        def work(name: str) -> list[str]:
            if threading.current_thread() is leader and not joiners:
                joiners.append(Running(lambda: fetch("a")))
                until(lambda: waiters(fetch) == [1] or not joiners[0].thread.is_alive())
            return [name]

        fetch = deduped(work, clock=clock)

        ended: list[tuple[Any, str]] = []

        def act(frame: Any) -> None:
            Running(lambda: change(fetch, clock)).result()
            flight = flight_of(frame)
            if getattr(flight, "state", "running") != "running":
                ended.append((flight, flight.state))

        def lead() -> Any:
            nonlocal leader
            leader = threading.current_thread()
            return stopped(lambda: fetch("a"), at, act, WRAPPER)()

        mine, reached = Running(lead).result()
        assert mine == ["a"]
        for joiner in joiners:
            try:
                assert joiner.result() == ["a"]
            except InflightTimeout:
                timeouts += 1
        assert all(flight.state == state for flight, state in ended)
        until(lambda: len(fetch.inflight) == 0)
        assert fetch("a") == ["a"]
        return bool(reached)

    at_every_instruction(trial)
    assert (timeouts > 0) == (change.__name__ in ("clean", "late_call"))


@pytest.mark.usefixtures("without_looks")
@pytest.mark.parametrize("change", ["join", *changes()])
def test_a_leader_ends_at_any_instruction_of_another(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """The leader goes from the end of its function to its return while another thread stands still in the package."""
    act = change if callable(change) else None

    def trial(at: int) -> bool:
        clock = FakeClock()
        gate = Gate()
        first = threading.Event()

        def work(name: str) -> list[str]:
            if not first.is_set():
                first.set()
                gate.wait()
            return [name]

        fetch = deduped(work, clock=clock)
        leader = Running(lambda: fetch("a"))
        gate.reached()
        joiner = None
        if act is not None:
            joiner = Running(lambda: fetch("a"))
            until(lambda: waiters(fetch) == [1])

        def ends(frame: Any) -> None:
            gate.open()
            until(lambda: not leader.thread.is_alive() or waits_for_the_lock(leader))

        class Knocking:
            """A waiter's lock that lets the leader go before it is waited for."""

            def __init__(self) -> None:
                lock = threading.Lock()
                self.release = lock.release
                self._acquire = lock.acquire

            def acquire(self, timeout: float = -1) -> bool:
                if timeout != -1:
                    gate.open()
                return self._acquire(timeout=timeout)

        def other() -> Any:
            if act is not None:
                return act(fetch, clock)
            monkeypatch.setattr("memo._base.callers._allocate_lock", Knocking)
            return fetch("a")

        value, reached = Running(stopped(other, at, ends, PACKAGE if act is not None else "memo")).result()
        gate.open()
        assert leader.result() == ["a"]
        if joiner is None:
            assert value == ["a"]
        else:
            try:
                assert joiner.result() == ["a"]
            except InflightTimeout:
                assert clock() > 0
        until(lambda: len(fetch.inflight) == 0)
        assert fetch("a") == ["a"]
        return bool(reached)

    assert at_every_instruction(trial) > 30


def waits_for_the_lock(call: Running) -> bool:
    """Whether *call* is where a leader takes the lock to end its flight."""
    collects = gc.isenabled()
    gc.disable()  # a collection while the frames are listed may hang 3.11
    try:
        frame: Any = sys._current_frames().get(call.thread.ident or 0)
    finally:
        if collects:
            gc.enable()
    return frame is not None and frame.f_code.co_name in ("settle", "wake_all")


@pytest.mark.usefixtures("without_looks")
def test_an_interruption_at_each_instruction_of_a_leader_with_a_joiner() -> None:
    """The joiner gets the leader's result or its own, whichever instruction of the leader is struck."""
    taken_over = 0

    def trial(at: int) -> bool:
        nonlocal taken_over
        joiners: list[Running] = []
        executions: list[int] = []

        def work(name: str) -> list[str]:
            executions.append(1)
            if not joiners:
                joiners.append(Running(lambda: fetch("a")))
                until(lambda: waiters(fetch) == [1])
            return [name]

        fetch = deduped(work)

        def strike(frame: Any) -> None:
            if frame.f_code.co_code[frame.f_lasti] != opcode.opmap["NOP"]:  # which stand for nothing, a try among them
                raise Struck

        call = Running(stopped(lambda: fetch("a"), at, strike, WRAPPER))
        try:
            value, reached = call.result()
        except Struck:
            value, reached = ["a"], True
        assert value == ["a"]
        assert [joiner.result() for joiner in joiners] == [["a"]] * len(joiners)
        taken_over += len(executions) - 1 if executions else 0
        assert_idle(fetch)
        assert fetch("a") == ["a"]
        return bool(reached)

    at_every_instruction(trial)
    assert taken_over > 5


def test_a_leader_that_is_gone_at_any_instruction_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that never goes on leaves nothing that a newcomer waits for, even half-way through its end."""
    gone: set[int] = set()
    lives = memo._base.callers.thread_lives
    monkeypatch.setattr("memo._base.callers.thread_lives", lambda ident: ident not in gone and lives(ident))

    def trial(at: int) -> bool:
        fetch, begun = numbered()
        gone.clear()

        def act(frame: Any) -> None:
            gone.add(threading.get_ident())
            for _ in range(2):
                before = len(begun)
                assert Running(lambda: fetch("a")).result() >= before or flight_of(frame).state == "returned"
            assert_idle(fetch)

        return bool(Running(stopped(lambda: fetch("a"), at, act, WRAPPER)).result()[1])

    assert at_every_instruction(trial) > 60


def test_a_call_within_its_own_leader_at_any_instruction_runs_straight_through() -> None:
    """A signal handler that calls the function between two instructions of a call with the same key does not hang."""

    def trial(at: int) -> bool:
        fetch, begun = numbered()
        inner: list[int] = []
        value, reached = Running(stopped(lambda: fetch("a"), at, lambda _: inner.append(fetch("a")), WRAPPER)).result()
        assert sorted([value, *inner]) == begun
        assert_idle(fetch)
        return bool(reached)

    at_every_instruction(trial)


class Slow:
    """A key whose hash is code that other threads can come between."""

    def __init__(self) -> None:
        self.hashed = 0
        self.gates: dict[int, Callable[[], None]] = {}

    def __hash__(self) -> int:
        self.hashed += 1
        self.gates.pop(self.hashed, int)()
        return 7


@pytest.mark.usefixtures("without_looks")
@pytest.mark.parametrize("time_", [1, 2])
@pytest.mark.parametrize("fences", [False, True])
def test_other_threads_come_between_while_a_key_is_hashed(time_: int, fences: bool) -> None:
    """A leader that hashes its key, to enter or to leave, removes no other flight and answers no later call."""
    key = Slow()
    begun: list[int] = []
    others: list[Running] = []

    @dedupe_inflight
    def fetch(key: Slow) -> int:
        begun.append(len(begun))
        return begun[-1]

    def come_between() -> None:
        if fences:
            Running(lambda: fetch.inflight.forget(key)).result()
        others.extend(Running(lambda: fetch(key)) for _ in range(2))
        until(lambda: all(not other.thread.is_alive() for other in others) or waiters(fetch) == [2])

    key.gates[time_] = come_between
    mine = fetch(key)
    results = [other.result() for other in others]
    assert set(begun) == {mine, *results}
    assert mine not in results
    assert_idle(fetch)


def test_a_key_that_can_no_longer_be_hashed_is_an_error_and_is_let_go() -> None:
    """A hash that raises when the leader takes its flight out reaches the caller, and a later call works."""
    key = Slow()

    def refuse() -> None:
        raise LookupError

    key.gates[2] = refuse

    @dedupe_inflight
    def fetch(key: Slow) -> str:
        return "a"

    with pytest.raises(LookupError):
        fetch(key)
    assert_idle(fetch)
    assert fetch(key) == "a"


def test_a_fence_that_is_interrupted_has_not_happened() -> None:
    """A hash that raises while a flight is detached leaves that flight to be joined and to end as it would have."""
    gate = Gate()
    key = Slow()

    @dedupe_inflight
    def fetch(key: Slow) -> list[str]:
        gate.wait()
        return ["a"]

    def refuse() -> None:
        raise LookupError

    for hashes in (1, 2, 3):
        gate.__init__()  # type: ignore[misc]
        leader = Running(lambda: fetch(key))
        gate.reached()
        key.gates[key.hashed + hashes] = refuse
        with pytest.raises(LookupError):
            fetch.inflight.forget(key)
        key.gates.clear()
        joiner = Running(lambda: fetch(key))
        until(lambda: waiters(fetch) == [1])
        gate.open()
        assert joiner.result() is leader.result()
        assert_idle(fetch)


@every_make
def test_a_chain_of_240_calls_of_two_functions_in_turn(make: Make) -> None:
    """Mutual recursion is no deeper than recursion."""

    def even_work(n: int) -> bool:
        return n == 0 or bool(odd(n - 1))

    def odd_work(n: int) -> bool:
        return n != 0 and bool(even(n - 1))

    even, odd = make(even_work), make(odd_work)
    levels = 240 // len(tables(even))
    assert sys.getrecursionlimit() == 1000
    assert Running(lambda: even(levels)).result() is (levels % 2 == 0)
    assert_idle(even)
    assert_idle(odd)


@every_make
def test_successors_may_be_struck_in_their_turn(make: Make) -> None:
    """However fast they are, each of the others gets what the last one raised, which all of them wait for."""
    for _ in range(30):
        gate = Gate()
        executions = itertools.count()

        def work(name: str, gate: Gate = gate, executions: "itertools.count[int]" = executions) -> None:
            number = next(executions)
            if number == 0:
                gate.wait()
            if number < 4:
                raise SystemExit(number)
            raise LookupError(name)

        fetch = make(lambda name, work=work: work(name), clock=None)
        with switching_often():
            calls = lead_and_join(fetch, gate, 8, "a")
            gate.open()
            ends = [type(call.error()) for call in calls]
        assert sorted(end.__name__ for end in ends) == ["LookupError"] * 5 + ["SystemExit"] * 4
        assert_idle(fetch)


def test_looking_for_a_thread_while_others_begin_and_end_and_garbage_is_collected_does_not_hang() -> None:
    """Finalizers that run while the threads are listed do not stop the process."""
    program = """
        import gc, sys, threading
        from memo._base.callers import thread_lives

        sys.setswitchinterval(1e-6)
        gc.set_threshold(20, 2, 2)

        class Cycle:
            def __init__(self):
                self.me = self

            def __del__(self):
                [len("a") for _ in range(20)]

        stop = threading.Event()

        def litter():
            while not stop.is_set():
                thread = threading.Thread(target=lambda: [Cycle() for _ in range(30)])
                thread.start()
                thread.join()

        workers = [threading.Thread(target=litter) for _ in range(3)]
        for worker in workers:
            worker.start()
        lives = True
        for _ in range(1000):
            Cycle()
            lives = lives and thread_lives(threading.get_ident())
        stop.set()
        for worker in workers:
            worker.join()
        print(lives, gc.isenabled())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True True\n", "")
