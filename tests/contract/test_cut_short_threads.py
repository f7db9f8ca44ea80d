"""What an exception that strikes at any point leaves of background threads: no lock, nobody who waits for ever."""

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.strikes import Struck, held_locks, locks_of, strike
from kit.threads import LIMIT_S, until

from memo import Registry, bounded
from memo._base.gates import Bell, Gate, start
from memo._cache import refresh_pool
from memo._cache.jobs import ThreadJob
from memo._cache.refresh_pool import RefreshPool
from memo._flight import ANY_TIME
from memo.testing import FakeClock


@pytest.fixture(autouse=True)
def _threads_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh_pool, "_IDLE_S", 0.01)


def every_point(
    operation: Callable[[], object], locks: list[Any], everywhere: bool = False, step: int = 1
) -> Iterator[str]:
    """Strike *operation* at one point after the other; yields each, with no lock taken."""
    at = 0
    while True:
        where, raised = strike(operation, at, everywhere=everywhere)
        assert not held_locks(locks), where
        del raised
        if where is None:
            return
        yield where
        at += step


long = pytest.mark.parametrize("everywhere", [False, pytest.param(True, marks=pytest.mark.stress)])


@long
def test_a_thread_is_started_or_not(everywhere: bool) -> None:
    """What was noted in the middle of a start tells whether the thread ran."""
    at = 0
    where: str | None = ""
    while where is not None:
        ran, begun = threading.Event(), []  # type: ignore[var-annotated]
        thread = threading.Thread(target=ran.set, daemon=True)
        where, _ = strike(functools.partial(start, thread, begun), at, everywhere=everywhere)
        if begun:
            assert ran.wait(LIMIT_S), where
        else:
            assert not ran.is_set(), where
        at += 1


def test_a_thread_that_cannot_be_started_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the interpreter tells it, and nothing is noted."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    begun: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            start(threading.Thread(target=print), begun)
    assert not begun


def test_gates_and_bells() -> None:
    """An open gate stays open for one to pass; a bell opens those that listen."""
    gate = Gate()
    assert not gate.wait(0)
    gate.open()
    gate.open()
    assert gate.wait(0)
    assert not gate.wait(-1)
    bell = Bell()
    first, second = bell.listen(), bell.listen()
    bell.ring()
    assert first.wait()
    assert second.wait()
    assert not second.wait(0)
    assert len(bell) == 2
    del second
    assert len(bell) == 1


@long
@pytest.mark.parametrize("busy", [0, 1, 4])
def test_a_pool_that_is_cut_short_goes_on(busy: int, everywhere: bool) -> None:
    """Whatever was submitted before and after is run, and no more threads are counted than there are."""
    pool = RefreshPool()
    locks = locks_of(pool)
    opened = threading.Event()
    ran: list[str] = []
    for _ in range(busy):
        pool.submit(lambda: opened.wait(LIMIT_S) and None, None)
    until(lambda: pool.busy == busy)
    points = list(every_point(lambda: pool.submit(lambda: ran.append("struck"), None), locks, everywhere))
    for operation in (lambda: pool.resize(4), pool.stir, pool._grow):
        points += every_point(operation, locks, everywhere)
    assert pool.submit(lambda: ran.append("after"), None)
    opened.set()
    until(lambda: "after" in ran)
    until(lambda: not pool.threads)
    assert len(ran) <= len(points) + 2
    assert (pool.busy, pool.queued, len(pool._idle)) == (0, 0, 0)


@long
def test_a_wait_for_a_job_that_is_cut_short_leaves_nobody_waiting(everywhere: bool) -> None:
    """Others who wait for it are let through when it ends, and a test's clock has nothing left to wake."""
    pool, clock = RefreshPool(), FakeClock()
    opened = threading.Event()
    job = ThreadJob(0.0, ANY_TIME)
    assert job.start(pool, lambda: opened.wait(LIMIT_S), lambda: None, None)
    locks = locks_of(pool, job, clock)
    for where in every_point(lambda: job.wait(0.0, clock), locks, everywhere):
        assert everywhere or not len(job._gates), where  # a strike instead of taking an alarm back is no real one
    left = len(job._gates)
    answers: list[bool] = []
    others = [threading.Thread(target=lambda: answers.append(job.wait(LIMIT_S, clock))) for _ in range(3)]
    for thread in others:
        thread.start()
    until(lambda: len(job._gates) == left + 3)
    opened.set()
    for thread in others:
        thread.join(LIMIT_S)
    assert answers == [True] * 3
    assert len(job._gates) == left


@long
@pytest.mark.parametrize("runs", [False, True])
def test_a_janitor_that_is_cut_short_runs_or_does_not(runs: bool, everywhere: bool) -> None:
    """Whatever is struck of starting it anew and stopping it, it can be started and stopped after, and cleans up."""
    here = Registry()
    clock = FakeClock()

    @bounded(max=10, ttl=60, registry=here, clock=clock)
    def f(x: int) -> int:
        return x

    janitor = here.janitor("1h")
    locks = locks_of(here, janitor)

    def begin() -> None:
        if not runs:
            janitor.stop()

    step = 1 if everywhere else 3
    for operation in (lambda: here.janitor("2h"), janitor.stop):
        at = 0
        where: str | None = ""
        while where is not None:
            here.janitor("1h")
            begin()
            where, raised = strike(operation, at, everywhere=everywhere)
            assert not held_locks(locks), where
            del raised
            if janitor.alive:
                assert janitor._thread in threading.enumerate(), where
            else:
                until(lambda: janitor.alive or janitor._thread is None or not janitor._wanted)
            at += step
    f(1)
    clock.advance(60)
    here.janitor("1ms")
    until(lambda: f.cache.stats().size == 0)
    janitor.stop()
    assert not janitor.alive
    assert not len(janitor._bell)


def test_a_worker_that_is_struck_is_counted_no_more() -> None:
    """A thread of the pool that an exception ends between two jobs leaves, and the next job gets another."""
    pool = RefreshPool()
    told = threading.Event()
    waited = Gate.wait

    def struck(self: Gate, seconds: float | None = None) -> bool:
        if threading.current_thread().name == "memo-refresh" and not told.is_set():
            told.set()
            raise Struck
        return waited(self, seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", lambda args: None)
        patch.setattr(Gate, "wait", struck)
        assert pool.submit(lambda: None, None)
        assert told.wait(LIMIT_S)
        until(lambda: not pool.threads)
        ran = threading.Event()
        assert pool.submit(ran.set, None)
        assert ran.wait(LIMIT_S)
        until(lambda: not pool.threads)
