"""A child of ``os.fork()`` starts with no running calls and fresh locks, whatever other threads were about."""

import asyncio
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from typing import Any

import pytest
from kit.coroutines import until_elsewhere
from kit.flights import Make, assert_idle, every_make, lead_and_join, tables, waiters
from kit.instructions import WRAPPER, at_every_instruction, stopped
from kit.processes import HANG_S, fork, in_a_child, status_of
from kit.threads import Gate, Running, switching_often, until

from memo import Registry, bounded, dedupe_inflight, registry

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Since 3.12 Python warns of forking with threads about, which is just what is tested here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]


@every_make
def test_a_child_answers_a_key_that_another_thread_leads(make: Make) -> None:
    """A forked child sees no running calls and loads by itself, while the parent's joiners still wait."""
    gate = Gate()
    parent = os.getpid()

    def work(name: str) -> int:
        if os.getpid() == parent:
            gate.wait()
        return os.getpid()

    fetch = make(work)
    calls = lead_and_join(fetch, gate, 3, "a")

    def act() -> bool:
        empty = all((len(table), table.pending()) == (0, []) for table in tables(fetch))
        return empty and fetch("a") == os.getpid() and fetch("b") == os.getpid()

    assert in_a_child(act) == 0
    assert waiters(fetch) == [3]
    gate.open()
    assert [call.result() for call in calls] == [parent] * 4
    assert_idle(fetch)


@every_make
def test_a_child_has_threads_and_flights_of_its_own(make: Make) -> None:
    """Threads of a forked child share one execution of the child's."""
    gate = Gate()
    parent = os.getpid()
    executions: list[int] = []

    def work(name: str) -> int:
        executions.append(os.getpid())
        gate.wait()
        return os.getpid()

    fetch = make(work)
    leader = Running(lambda: fetch("a"))
    gate.reached()

    def act() -> bool:
        mine = Gate()
        nonlocal gate
        gate = mine
        calls = lead_and_join(fetch, mine, 3, "a")
        mine.open()
        return [call.result() for call in calls] == [os.getpid()] * 4 and executions == [parent, os.getpid()]

    assert in_a_child(act) == 0
    gate.open()
    assert leader.result() == parent


@every_make
def test_a_grandchild_too(make: Make) -> None:
    """A child of a forked child answers a key that a thread of the first process leads."""
    gate = Gate()
    parent = os.getpid()

    def work(name: str) -> int:
        if os.getpid() == parent:
            gate.wait()
        return os.getpid()

    fetch = make(work)
    leader = Running(lambda: fetch("a"))
    gate.reached()

    def act() -> bool:
        own = in_a_child(lambda: fetch("a") == os.getpid())
        return own == 0 and fetch("a") == os.getpid()

    assert in_a_child(act) == 0
    gate.open()
    assert leader.result() == parent


@every_make
def test_the_function_itself_may_fork(make: Make) -> None:
    """When a function forks while it runs, parent and child each get the result made in their own process."""
    results: list[int] = []

    def work(name: str) -> int:
        nonlocal child
        child = os.fork()
        if not child:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(HANG_S)
        return os.getpid()

    child = 0
    fetch = make(work)
    parent = os.getpid()
    try:
        results.append(fetch("a"))
        if os.getpid() != parent:
            idle = all(len(table) == 0 for table in tables(fetch))
            child = -1
            os._exit(0 if idle and results == [os.getpid()] else 1)
    finally:
        if os.getpid() != parent:
            os._exit(3)
    assert results == [parent]
    assert status_of(child) == 0
    assert_idle(fetch)


@every_make
def test_a_thread_may_fork_while_the_main_thread_leads(make: Make) -> None:
    """A child forked by another thread during a call of the main thread answers for itself."""
    parent = os.getpid()
    statuses: list[int] = []

    def work(name: str) -> int:
        if os.getpid() == parent:
            statuses.append(Running(lambda: in_a_child(lambda: fetch("a") == os.getpid())).result())
        return os.getpid()

    fetch = make(work)
    assert fetch("a") == parent
    assert statuses == [0]


@every_make
def test_a_child_of_a_thread_answers_beside_a_loop_that_leads(make: Make) -> None:
    """Tasks of a forked child get the child's result, while an event loop of the parent leads that key."""
    gate = Gate()
    parent = os.getpid()

    async def work(name: str) -> int:
        if os.getpid() == parent:
            gate.entered.set()
            await until_elsewhere(gate.opened.is_set)
        return os.getpid()

    fetch = make(work)
    leader = Running(lambda: asyncio.run(fetch("a")))
    gate.reached()
    joiner = Running(lambda: asyncio.run(fetch("a")))
    until(lambda: waiters(fetch) == [1])

    async def several() -> list[int]:
        return list(await asyncio.gather(*(fetch("a") for _ in range(3))))

    assert in_a_child(lambda: asyncio.run(several()) == [os.getpid()] * 3) == 0
    gate.open()
    assert leader.result() == joiner.result() == parent
    assert_idle(fetch)


@every_make
def test_forks_while_other_threads_hold_whatever_they_hold(make: Make) -> None:
    """A child answers and clears whatever the parent's threads were doing at the fork."""
    stop = threading.Event()

    def work(number: int) -> int:
        return number

    fetch = make(work)

    def use(me: int) -> int:
        calls = 0
        for number in itertools.count(me):
            if stop.is_set():
                return calls
            assert fetch(number % 5) == number % 5
            calls += 1
            if hasattr(fetch, "cache"):
                if number % 3 == 0:
                    fetch.cache.invalidate(number % 5)
                elif number % 101 == 0:
                    fetch.cache.clear()
            fetch.inflight.cleanup()
            fetch.inflight.stats()
        raise AssertionError

    users = [Running(lambda me=me: use(me)) for me in range(4)]  # type: ignore[misc]

    def act() -> bool:
        fine = all(fetch(number) == number for number in range(5))
        if hasattr(fetch, "cache"):
            fetch.cache.clear()
            fine = fine and all(fetch(number) == number for number in range(5))
        return fine and Running(lambda: fetch(3)).result() == 3

    statuses = [in_a_child(act) for _ in range(15)]
    stop.set()
    assert statuses == [0] * 15
    assert all(user.result() > 0 for user in users)
    assert_idle(fetch)


def test_forks_while_other_threads_decorate_and_clean_up() -> None:
    """A child decorates, cleans up and clears though threads of the parent were at the same when it forked."""
    stop = threading.Event()
    mine = Registry()

    def decorate() -> int:
        count = 0
        while not stop.is_set():
            made = [
                bounded(max=4, registry=mine)(lambda number: number),
                dedupe_inflight(registry=mine)(lambda number: number),
            ]
            assert [function(count) for function in made] == [count] * 2
            mine.cleanup()
            mine.stats()
            count += 1
        return count

    class Client:
        @bounded(max=8, registry=mine)
        def fetch(self, number: int) -> int:
            return number

    def instances() -> int:
        count = 0
        while not stop.is_set():
            client = Client()
            assert client.fetch(count) == count
            client.fetch.cache.clear()
            count += 1
        return count

    users = [Running(decorate), Running(decorate), Running(instances)]

    def act() -> bool:
        function = bounded(max=4, registry=mine)(lambda number: number)
        client = Client()
        mine.cleanup()
        mine.stats()
        mine.clear()
        registry.cleanup()
        return function(1) == 1 and client.fetch(2) == 2 and len(client.fetch.cache) == 1

    statuses = [in_a_child(act) for _ in range(15)]
    stop.set()
    assert statuses == [0] * 15
    assert all(user.result() > 0 for user in users)


def test_forks_while_other_threads_make_tables_and_registries() -> None:
    """What a fork looks through may not change meanwhile: its locks would not be taken."""
    stop = threading.Event()
    failures: list[str] = []

    def make() -> int:
        for count in itertools.count():
            if stop.is_set():
                return count
            bounded(max=4, registry=Registry())(lambda number: number)
        raise AssertionError

    hook = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: failures.append(repr(unraisable.exc_value))
    try:
        with switching_often():
            users = [Running(make) for _ in range(3)]
            statuses = [in_a_child(lambda: True) for _ in range(40)]
            stop.set()
            assert all(user.result() > 0 for user in users)
    finally:
        sys.unraisablehook = hook
    assert failures == []
    assert statuses == [0] * 40


@dedupe_inflight
def deduped_square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


held = threading.Event()
released = threading.Event()


@bounded(max=100)
def bounded_square(number: int) -> int:
    if number < 0:
        held.set()
        assert released.wait(60)
    return number * number


def square_of_the_held(number: int) -> int:
    released.set()  # the child's own: nobody in the parent is let go
    return bounded_square(-number)


def test_multiprocessing_in_fork_mode() -> None:
    """Workers and processes of the fork method answer while a thread of the parent leads a key."""
    leader = Running(lambda: bounded_square(-3))
    assert held.wait(60)
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        assert pool.map_async(bounded_square, range(10)).get(60) == [number * number for number in range(10)]
        assert pool.map_async(square_of_the_held, [3, 3, 3]).get(60) == [9, 9, 9]
        results = pool.map_async(deduped_square, [7] * 6).get(60)
        assert {result[0] for result in results} == {49}
        assert os.getpid() not in {result[1] for result in results}
    assert waiters(bounded_square) == [0]
    process = context.Process(target=square_of_the_held, args=(3,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    released.set()
    assert leader.result() == 9


def test_four_workers_forked_from_a_warm_server() -> None:
    """Forked workers keep what the server had stored and load the rest once each."""
    gate = Gate()
    parent = os.getpid()
    loads: list[str] = []

    @bounded(max=100, ttl=3600)
    def load(name: str) -> list[Any]:
        loads.append(name)
        if name == "slow" and os.getpid() == parent:
            gate.wait()
        return [name, os.getpid()]

    @dedupe_inflight
    def handle(name: str) -> list[Any]:
        return load(name)

    for name in "abc":
        load(name)
    loads.clear()
    slow = Running(lambda: handle("slow"))
    gate.reached()
    loads.clear()

    def worker() -> bool:
        warm = all(handle(name) == [name, parent] for name in "abc")  # what the server stored is still there
        calls = [Running(lambda name=name: handle(name)) for name in ("slow", "d", "slow", "d")]  # type: ignore[misc]
        own = [call.result() for call in calls] == [[name, os.getpid()] for name in ("slow", "d", "slow", "d")]
        return warm and own and sorted(loads) == ["d", "slow"] and len(load.cache) == 5

    children = [fork(worker) for _ in range(4)]
    assert [status_of(child) for child in children] == [0] * 4
    assert loads == []
    gate.open()
    assert slow.result() == ["slow", parent]
    assert_idle(handle)
    assert_idle(load)


def test_a_child_of_another_thread_answers_at_any_instruction_of_a_leader() -> None:
    """A leader may be half-way through the end of its flight: in the child it stays there for ever."""

    def trial(at: int) -> bool:
        returned: list[int] = []

        @dedupe_inflight(registry=Registry())
        def fetch(name: str) -> int:
            returned.append(len(returned))
            return returned[-1]

        def act(frame: Any) -> None:
            # before the function has run, a leader holds what other tests here look at
            if returned:
                assert Running(lambda: in_a_child(lambda: fetch("a") == 1 and fetch("a") == 2)).result() == 0

        value, reached = Running(stopped(lambda: fetch("a"), at, act, WRAPPER)).result()
        assert (value, fetch("a")) == (0, 1)
        assert_idle(fetch)
        return bool(reached)

    at_every_instruction(trial)
