"""Background loads that hang, and threads that cannot be had."""

import logging
import threading
import time
from typing import Any

import pytest
from kit.refresh_pool import SWR, Gates
from kit.threads import LIMIT_S, Gate, Running, switching_often, until

from memo import InflightTimeout, Registry, bounded
from memo._cache import refresh_pool
from memo._cache.refresh_pool import RefreshPool
from memo.testing import FakeClock

pytestmark = pytest.mark.usefixtures("_others_first")


# -- loads that hang


def test_a_thread_past_its_patience_counts_no_more(gates: Gates) -> None:
    """Another takes its place, at most as many as there may be; when they come back the surplus ends."""
    pool = RefreshPool()
    pool.resize(2)
    for _ in range(10):
        pool.submit(gates.hang, 0.001)
    until(lambda: pool.stir() or gates.running == 4)
    until(lambda: all(until_s <= time.monotonic() for until_s in pool._until.values()))
    pool.stir()
    assert (pool.threads, pool.queued) == (4, 6)
    gates.opened.set()
    until(lambda: not pool.queued and pool.threads <= 2)
    assert gates.most == 4


def test_a_hung_load_with_a_timeout_does_not_block_others(gates: Gates) -> None:
    """With one thread in all, another function's load runs as soon as the hung one is past its timeout."""
    clock, here = FakeClock(1000.0), Registry()
    here.configure(refresh_threads=1)

    @bounded(**SWR, timeout=0.01, clock=clock, registry=here)
    def hanging(x: int) -> int:
        if clock() > 1005:
            gates.hang()
        return x

    @bounded(**SWR, clock=clock, registry=here)
    def other(x: int) -> float:
        return clock()

    hanging(1), other(1)
    clock.advance(10)
    assert hanging(1) == 1
    until(lambda: gates.running == 1)
    assert other(1) == 1000

    def refreshed() -> bool:
        clock.advance(1 / 1024)
        return other(1) > 1000

    until(refreshed)
    assert gates.running == 1


def test_a_limited_caller_gets_the_thread_that_becomes_free(gates: Gates) -> None:
    """He waits behind a hung load, and once that is past its timeout his own runs, within his limit."""
    here = Registry()
    here.configure(refresh_threads=1)

    @bounded(max=8, timeout=0.1, registry=here)
    def hanging(x: int) -> int:
        gates.hang()
        return x

    @bounded(max=8, registry=here)
    def other(x: int) -> int:
        return x

    hung = Running(lambda: hanging.cache.within(LIMIT_S).call(1))
    until(lambda: gates.running == 1)
    assert other.cache.within(LIMIT_S).call(2) == 2
    assert isinstance(hung.error(), InflightTimeout)


def test_many_hung_loads_without_timeout_never_block_plain_calls(gates: Gates) -> None:
    """Stale values answer at once, first calls load in their own threads, and limits hold."""
    clock, here = FakeClock(1000.0), Registry()
    here.configure(refresh_threads=2)

    @bounded(**SWR, clock=clock, registry=here)
    def hanging(x: int) -> int:
        if clock() > 1005 and threading.current_thread().name == "memo-refresh":
            gates.hang()
        return x

    for x in range(50):
        hanging(x)
    clock.advance(10)
    assert [hanging(x) for x in range(50)] == list(range(50))
    until(lambda: gates.running == 2)
    assert here.pool.queued == 48
    clock.advance(1)
    assert [hanging(x) for x in range(50)] == list(range(50))
    assert here.pool.queued == 48
    assert [hanging(x) for x in range(50, 60)] == list(range(50, 60))
    with pytest.raises(InflightTimeout):
        hanging.cache.within(0.01).call(77)
    assert hanging(77) == 77
    clock.advance(19)
    assert [hanging(x) for x in range(2, 50)] == list(range(2, 50))  # 0 and 1 are those that hang
    assert gates.running == 2


def test_a_load_in_the_pool_may_wait_for_another() -> None:
    """With one thread in all: the one that waits makes room for the load that it waits for."""
    here = Registry()
    here.configure(refresh_threads=1)

    @bounded(max=8, registry=here)
    def inner(x: int) -> int:
        return x + 1

    @bounded(max=8, registry=here)
    def outer(x: int) -> int:
        return inner.cache.within(LIMIT_S).call(x)

    assert outer.cache.within(LIMIT_S).call(1) == 2
    until(lambda: not here.pool.busy)
    done = threading.Event()
    here.pool.submit(done.set, None)
    assert done.wait(LIMIT_S)
    until(lambda: here.pool.threads <= 1)


def test_a_limited_caller_gives_up_a_load_past_its_timeout(gates: Gates, caplog: pytest.LogCaptureFixture) -> None:
    """timeout= ends his wait before his own limit does, with its own message, and the log tells of the hung load."""
    clock, here = FakeClock(1000.0), Registry()

    @bounded(max=8, timeout=3, clock=clock, registry=here)
    def fetch(x: int) -> int:
        gates.hang()
        return x

    call = Running(lambda: fetch.cache.within(LIMIT_S).call(1))
    until(lambda: gates.running == 1 and clock.waiting() == 1)
    with caplog.at_level(logging.WARNING, "memo"):
        clock.advance(3)
        error = call.error()
    assert isinstance(error, InflightTimeout)
    assert error.timeout == 3
    assert fetch.inflight.stats().timeouts == 1
    assert fetch.cache.stats().requests == 1
    assert fetch.inflight.pending() == []


# -- no thread to be had


def test_too_many_loads_are_refused(gates: Gates, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """The stale value answers, the log says so, and after the lease it is tried again."""
    monkeypatch.setattr(refresh_pool, "_MOST_QUEUED", 2)
    clock, here = FakeClock(1000.0), Registry()
    here.configure(refresh_threads=1)
    held = [False]

    @bounded(**SWR, clock=clock, registry=here)
    def fetch(x: int) -> float:
        if held[0]:
            gates.hang()
        return clock()

    for x in range(5):
        fetch(x)
    clock.advance(10)
    held[0] = True
    with caplog.at_level(logging.WARNING, "memo"):
        assert fetch(0) == 1000
        until(lambda: gates.running == 1)
        assert [fetch(x) for x in range(1, 5)] == [1000] * 4
    assert len(caplog.records) == 2
    assert "no thread is free" in caplog.records[0].getMessage()
    assert here.pool.queued == 2
    with pytest.raises(InflightTimeout, match="no result within"):
        fetch.cache.within(LIMIT_S).call(99)
    held[0] = False
    gates.opened.set()
    until(lambda: not (here.pool.busy or here.pool.queued))
    assert fetch(4) == 1000
    clock.advance(1)
    assert fetch(4) == 1000
    until(lambda: not (here.pool.busy or here.pool.queued))
    assert fetch(4) == 1011
    stats = fetch.cache.stats()
    assert stats.requests == 5 + 5 + 1 + 3


def test_a_thread_that_cannot_be_started_is_no_failure(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """As at the end of the interpreter: the stale value answers, soft_timeout and within() do not hang."""
    clock, here = FakeClock(1000.0), Registry()

    @bounded(max=8, ttl=10, stale_while_revalidate=5, stale_if_error=20, soft_timeout=7, clock=clock, registry=here)
    def fetch(x: int) -> float:
        return clock()

    fetch(1)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as context, caplog.at_level(logging.WARNING, "memo"):
        context.setattr(threading.Thread, "start", refuse)
        clock.advance(10)
        assert fetch(1) == 1000
        clock.advance(5)
        assert fetch(1) == 1000
        with pytest.raises(InflightTimeout):
            fetch.cache.within(LIMIT_S).call(2)
        assert (here.pool.threads, here.pool.queued) == (0, 0)
        assert fetch(2) == 1015
    assert len(caplog.records) == 3
    assert fetch(1) == 1015
    until(lambda: here.pool.threads == 0)


def test_many_threads_submit_at_once() -> None:
    """No load is lost, none runs twice, and the threads are never too many."""
    pool = RefreshPool()
    pool.resize(3)
    barrier = threading.Barrier(8)
    done: list[tuple[int, int]] = []
    running, most, lock = [0], [0], threading.Lock()

    def submit(number: int) -> None:
        barrier.wait(LIMIT_S)
        for item in range(100):

            def run(item: int = item) -> None:
                with lock:
                    running[0] += 1
                    most[0] = max(most[0], running[0])
                done.append((number, item))
                with lock:
                    running[0] -= 1

            assert pool.submit(run, None)

    with switching_often():
        for call in [Running(lambda number=number: submit(number)) for number in range(8)]:
            call.result()
        until(lambda: len(done) == 800)
    assert sorted(done) == [(number, item) for number in range(8) for item in range(100)]
    assert most[0] <= 3
    until(lambda: pool.threads == 0)
    assert (pool.busy, pool.queued, len(pool._idle)) == (0, 0, 0)


def test_a_gate_shows_that_work_runs_beside_the_caller() -> None:
    """submit() returns before the work is done."""
    pool, gate = RefreshPool(), Gate()
    assert pool.submit(gate.wait, None)
    gate.reached()
    gate.open()
    until(lambda: not pool.busy)


def test_a_hung_refresh_past_its_timeout_is_logged(gates: Gates, caplog: pytest.LogCaptureFixture) -> None:
    """It cannot say so itself; the call that gives it up has the log tell, once."""
    clock, here = FakeClock(1000.0), Registry()

    @bounded(**SWR, timeout=3, clock=clock, registry=here)
    def fetch(x: int) -> int:
        if clock() > 1005:
            gates.hang()
        return x

    fetch(1)
    clock.advance(10)
    fetch(1)
    until(lambda: gates.running == 1)
    clock.advance(3)
    with caplog.at_level(logging.WARNING, "memo"):
        assert [fetch(1), fetch(1)] == [1, 1]
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [InflightTimeout]


def test_forget_lets_the_next_call_refresh_anew(gates: Gates) -> None:
    """Without waiting for the lease: the hung refresh is detached, and another begins."""
    clock, here = FakeClock(1000.0), Registry()
    held = [False]

    @bounded(**SWR, clock=clock, registry=here)
    def fetch(x: int) -> float:
        if held[0]:
            gates.hang()
        return clock()

    fetch(1)
    clock.advance(10)
    held[0] = True
    fetch(1)
    until(lambda: gates.running == 1)
    held[0] = False
    assert fetch.inflight.forget(1) is True
    assert fetch(1) == 1000
    until(lambda: fetch.cache.entry(1).value == 1010)  # type: ignore[union-attr]
    assert gates.running == 1
