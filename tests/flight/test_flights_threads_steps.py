"""A leader ends its flight without the lock: every interleaving of two threads in which one is stopped once."""

import itertools
import opcode
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.flights import (
    Make,
    assert_idle,
    deduped,
    every_make,
    lead_and_join,
    tables,
    waiters,
)
from kit.flights_threads import Struck
from kit.instructions import WRAPPER, at_every_instruction, stopped
from kit.places import ROOT
from kit.threads import LIMIT_S, Gate, Running, switching_often, until

import memo
from memo import InflightTimeout, Registry, dedupe_inflight
from memo._base import Aside
from memo._flight import put_back, set_aside
from memo.testing import FakeClock

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
    monkeypatch.setattr("memo._flight.flight.LOOK_S", 1000.0)


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
        table = fetch.inflight._flights.table
        aside = Aside()
        set_aside(table, aside)
        put_back(table, aside)

    def set_aside_and_back_later(fetch: Any, clock: FakeClock) -> None:
        table = fetch.inflight._flights.table
        aside = Aside()
        set_aside(table, aside)
        leader = Running(lambda: fetch("a"))
        leader.thread.join(0.001)
        put_back(table, aside)

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
                until(lambda: any(waiters(fetch)) or not joiners[0].thread.is_alive())  # a late call may join, too
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
    return call.stands_in() in ("settle", "wake_all")


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
