"""Threads that load in the background: begun when there is something to do, at most so many."""

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kit.places import ROOT
from kit.refresh_pool import SWR, Gates
from kit.threads import LIMIT_S, until

from memo import Registry, bounded
from memo._cache import refresh_pool
from memo._cache.refresh_pool import RefreshPool
from memo.testing import FakeClock

pytestmark = pytest.mark.usefixtures("_others_first")


def refresh_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "memo-refresh"]


def test_a_pool_has_no_thread_before_the_first_load(gates: Gates) -> None:
    """Decorating, calling and storing start none; the first background load starts one daemon."""
    before = set(refresh_threads())
    clock, here = FakeClock(1000.0), Registry()

    @bounded(**SWR, clock=clock, registry=here)
    def fetch(x: int) -> int:
        if clock() > 1005:
            gates.hang()
        return x

    assert [fetch(1), fetch(1)] == [1, 1]
    assert here.pool.threads == 0
    clock.advance(10)
    assert fetch(1) == 1
    until(lambda: gates.running)
    mine = set(refresh_threads()) - before
    assert [thread.daemon for thread in mine] == [True]
    assert (here.pool.threads, here.pool.busy, here.pool.queued) == (1, 1, 0)


def test_importing_starts_no_thread() -> None:
    """Nor does making a registry."""
    code = "import threading, memo; memo.Registry(); memo.bounded; assert threading.active_count() == 1"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize("most", [1, 2, 4])
def test_never_more_threads_than_configured(gates: Gates, most: int) -> None:
    """What is more waits for a thread, and runs when one is free."""
    pool = RefreshPool()
    pool.resize(most)
    done: list[int] = []

    def work(number: int) -> Callable[[], None]:
        def run() -> None:
            gates.hang()
            done.append(number)

        return run

    assert all(pool.submit(work(number), None) for number in range(20))
    until(lambda: gates.running == most)
    assert (pool.threads, pool.busy, pool.queued) == (most, most, 20 - most)
    gates.opened.set()
    until(lambda: len(done) == 20)
    assert gates.most == most
    assert sorted(done) == list(range(20))
    until(lambda: not pool.busy)


def test_four_threads_unless_configured(gates: Gates) -> None:
    """That is the default."""
    pool = RefreshPool()
    for _ in range(10):
        pool.submit(gates.hang, None)
    until(lambda: gates.running == 4)
    assert (pool.threads, pool.queued) == (4, 6)


def test_more_threads_take_over_what_waits(gates: Gates) -> None:
    """configure() starts them at once; no more than there is work for."""
    here = Registry()
    here.configure(refresh_threads=1)
    for _ in range(3):
        here.pool.submit(gates.hang, None)
    until(lambda: gates.running == 1)
    here.configure(refresh_threads=10)
    until(lambda: gates.running == 3)
    assert here.pool.threads == 3


def test_surplus_threads_end_after_what_they_do(gates: Gates) -> None:
    """Their loads are not cut short."""
    pool = RefreshPool()
    for _ in range(4):
        pool.submit(gates.hang, None)
    until(lambda: gates.running == 4)
    pool.resize(1)
    assert gates.running == 4
    gates.opened.set()
    until(lambda: pool.threads <= 1)


def test_idle_threads_end_and_come_back() -> None:
    """After a while without work there is none, and work starts one again."""
    pool = RefreshPool()
    done: list[int] = []
    for number in range(3):
        pool.submit(lambda: done.append(number), None)  # noqa: B023
        until(lambda: len(done) == number + 1 and pool.threads == 0)  # noqa: B023
    assert done == [0, 1, 2]


def test_an_idle_thread_takes_the_next_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread serves loads that come one after the other."""
    monkeypatch.setattr(refresh_pool, "_IDLE_S", LIMIT_S)
    pool = RefreshPool()
    seen: list[int] = []
    for number in range(20):
        pool.submit(lambda: seen.append(threading.get_ident()), None)
        until(lambda: len(seen) == number + 1 and not pool.busy and len(pool._idle) == 1)  # noqa: B023
    assert len(set(seen)) == 1
    monkeypatch.setattr(refresh_pool, "_IDLE_S", 0.0)
    pool.submit(lambda: None, None)
    until(lambda: pool.threads == 0)


def test_the_registry_shows_its_pool(gates: Gates) -> None:
    """Nothing before there is anything to say; then how many are busy, wait, and may be."""
    here = Registry()
    assert "refresh threads" not in str(here)
    here.configure(refresh_threads=2)
    assert "refresh threads: 0 busy, 0 loads waiting, at most 2" in str(here)
    for _ in range(5):
        here.pool.submit(gates.hang, None)
    until(lambda: gates.running == 2)
    assert "refresh threads: 2 busy, 3 loads waiting, at most 2" in str(here)


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), (1.5, TypeError), ("4", TypeError)]
)
def test_a_bad_number_of_threads_is_refused(value: Any, error: type[Exception]) -> None:
    """The message names the option and the value, and the pool stays as it was."""
    here = Registry()
    with pytest.raises(error, match="refresh_threads") as caught:
        here.configure(refresh_threads=value)
    assert f"refresh_threads={value!r}" in str(caught.value)
    assert here.pool.most == 4
    assert not here.pool.configured


def test_registries_have_pools_of_their_own(gates: Gates) -> None:
    """The hung loads of one do not keep the other's from running."""
    one, other = Registry(), Registry()
    one.configure(refresh_threads=1)
    one.pool.submit(gates.hang, None)
    done = threading.Event()
    other.pool.submit(done.set, None)
    assert done.wait(LIMIT_S)


def test_work_that_ends_its_thread_s_work_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The thread goes on with the next."""
    pool = RefreshPool()
    pool.resize(1)
    done = threading.Event()

    def work() -> None:
        raise SystemExit(3)

    pool.submit(work, None)
    pool.submit(done.set, None)
    assert done.wait(LIMIT_S)
    assert [repr(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["SystemExit(3)"]
