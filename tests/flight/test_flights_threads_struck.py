"""What strikes one caller stays with that one."""

import _thread
import contextlib
import ctypes
import itertools
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kit.flights import (
    Make,
    assert_idle,
    every_make,
    lead_and_join,
    tables,
    waiters,
)
from kit.flights_threads import Struck
from kit.places import ROOT
from kit.threads import LIMIT_S, Gate, Running, interrupt_main, switching_often, until

from memo import dedupe_inflight


@every_make
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interruption_stays_with_the_leader_and_a_joiner_takes_over(make: Make, kind: type[BaseException]) -> None:
    """The leader alone gets the interruption, and one joiner runs the work for the rest."""
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
    """Of eight callers the four that led an interrupted run get it, and the others the result."""
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
    """When the leading thread ends itself, a joiner runs the work."""
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
    """A call during the interpreter's shutdown does not wait for a daemon thread that is gone."""
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
    """KeyboardInterrupt in a waiting main thread leaves leader and other joiners their result."""
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
    """KeyboardInterrupt in the leading main thread makes a waiting thread run the work."""
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


@contextlib.contextmanager
def ignoring_struck_finalizers() -> Iterator[None]:
    """Say nothing of a ``Struck`` that came up in a finalizer or a callback of the collector, and was lost there."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None if unraisable.exc_type is Struck else hook(unraisable)
    try:
        yield
    finally:
        sys.unraisablehook = hook


LEVELS = 3
"""Strikes that may come before a victim has handled the first of them."""


@every_make
def test_an_interruption_at_any_instruction_leaves_no_waiter_behind(make: Make) -> None:
    """After three hundred strikes at random instructions all other threads got their results."""

    def work(name: int) -> int:
        return name

    fetch = make(work)
    stop = threading.Event()
    strikes = random.Random(7)
    struck: list[int] = []
    tries, struck_in = [0, 0], [(0, 0), (0, 0)]  # of each victim; and in which try it was struck last, how often

    def use(victim: int) -> None:
        while not stop.is_set():
            try:
                tries[victim] += 1
                for name in range(1000):
                    assert fetch(name % 3) == name % 3
                    if hasattr(fetch, "cache"):
                        fetch.cache.invalidate(name % 3)
            except Struck:
                struck.append(1)

    def user(victim: int, levels: int = LEVELS) -> None:
        while not stop.is_set():
            try:
                user(victim, levels - 1) if levels else use(victim)
            except Struck:
                pass  # it struck while the one before was handled

    def bystander() -> int:
        calls = 0
        while not stop.is_set() or calls <= 100:
            calls += 1
            assert fetch(calls % 3) == calls % 3
        return calls

    def strike() -> bool:
        victim = strikes.randrange(2)
        tried, (last, times) = tries[victim], struck_in[victim]
        if tried > last or 0 < times < LEVELS:  # never where it begins or ends, as a thread of the interpreter's
            struck_in[victim] = tried, times + 1 if tried == last else 1
            ident = ctypes.c_ulong(victims[victim].thread.ident or 0)
            assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Struck)) == 1
        return len(struck) >= 300

    def are_back() -> bool:
        return all(tried > last for tried, (last, _) in zip(tries, struck_in, strict=True))

    with switching_often(), ignoring_struck_finalizers():
        victims = [Running(lambda: user(0)), Running(lambda: user(1))]
        others = [Running(bystander) for _ in range(2)]
        until(strike, 4 * LIMIT_S)
        until(are_back)
        stop.set()
        for victim in victims:
            victim.result()
        for other in others:
            assert other.result() > 100
    assert [fetch(name) for name in range(3)] == [0, 1, 2]
    assert [table.pending() for table in tables(fetch)] == [[]] * len(tables(fetch))
