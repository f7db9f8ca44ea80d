"""The janitor beside callbacks; it ends with its registry, at a fork and with the interpreter."""

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable

import pytest
from kit.janitors import cached, threads
from kit.places import ROOT
from kit.processes import in_a_child
from kit.threads import LIMIT_S, until

from memo import CleanupReport, EvictionReason, Janitor, Registry
from memo._store.shelf import SLICE
from memo.testing import FakeClock

# -- callbacks


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_it_survives_what_a_callback_raises(
    own: Registry, clock: FakeClock, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    """What a callback raises is logged, and the next clean-up takes place."""
    raising = True

    def on_evict(key: int, value: int, reason: EvictionReason) -> None:
        if raising:
            raise error("in a callback")

    fetch = cached(own, on_evict=on_evict)
    fetch(1)
    janitor = own.janitor()
    clock.advance("1h")
    assert "in a callback" in caplog.text
    assert {record.name for record in caplog.records} == {"memo"}
    assert len(fetch.cache) == 0
    raising = False
    fetch(2)
    clock.advance("1h")
    assert janitor.alive
    assert janitor.last_report is not None
    assert janitor.last_report.expired == 1


def test_it_survives_a_clock_that_raises(own: Registry, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """A function whose clock raises is logged by its name, and the others are cleaned up."""
    broken = False

    def tick() -> float:
        if broken:
            raise OSError("no time")
        return clock()

    one, two = cached(own, "one", clock=tick), cached(own, "two")
    one(1)
    two(1)
    broken = True
    janitor = own.janitor()
    clock.advance("1h")
    assert janitor.last_report is not None
    assert janitor.last_report.functions == {"two": 1}
    assert "one: " in caplog.text
    assert janitor.alive


def test_a_callback_may_stop_it(own: Registry, clock: FakeClock) -> None:
    """``stop()`` in the janitor's own thread returns at once, and the thread ends after the present slice."""
    fetch = cached(own, on_evict=lambda key, value, reason: own.janitor("1h").stop())
    for x in range(5 * SLICE):
        fetch(x)
    janitor = own.janitor()
    thread = threads()[0]
    clock.advance("1h")
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    assert not janitor.alive
    assert janitor.last_report is not None
    assert 0 < janitor.last_report.expired < 5 * SLICE
    assert threads() == []


def test_a_callback_may_stop_and_start_it(own: Registry, clock: FakeClock) -> None:
    """Told to stop and to go on again within a callback, the thread goes on; there is no second one."""
    seen: list[int] = []

    def on_evict(key: int, value: int, reason: EvictionReason) -> None:
        own.janitor("2h").stop()
        own.janitor("2h")
        seen.append(len(threads()))

    fetch = cached(own, on_evict=on_evict)
    fetch(1)
    janitor = own.janitor()
    clock.advance("1h")
    assert (seen, janitor.alive, janitor.every) == ([1], True, 7200.0)
    fetch(1)
    clock.advance("2h")
    assert seen == [1, 1]


def test_a_callback_may_advance_the_clock_and_clean_up(own: Registry, clock: FakeClock) -> None:
    """In the janitor's own thread ``advance()`` waits for nothing, and ``cleanup()`` is no deadlock."""
    calls: list[int] = []

    def on_evict(key: int, value: int, reason: EvictionReason) -> None:
        calls.append(key)
        own.cleanup()
        if key == 1:
            clock.advance("3h")

    fetch = cached(own, on_evict=on_evict)
    fetch(1)
    fetch(2)
    janitor = own.janitor()
    clock.advance("1h")
    assert sorted(calls) == [1, 2]
    clock.advance("1h")
    assert janitor.alive


def test_stopping_ends_a_clean_up_that_is_under_way(own: Registry, clock: FakeClock) -> None:
    """``stop()`` waits for the callback that runs, and the rest stays for later; the report says what was done."""
    entered, leave = threading.Event(), threading.Event()

    def on_evict(key: int, value: int, reason: EvictionReason) -> None:
        if not entered.is_set():
            entered.set()
            assert leave.wait(LIMIT_S)

    functions = [cached(own, name, on_evict=on_evict) for name in ("a", "b")]
    for function in functions:
        for x in range(3 * SLICE):
            function(x)
    janitor = own.janitor()
    advancing = threading.Thread(target=clock.advance, args=("1h",))
    advancing.start()
    assert entered.wait(LIMIT_S)
    stopping = threading.Thread(target=janitor.stop)
    stopping.start()
    until(lambda: not janitor.alive)
    assert stopping.is_alive()
    leave.set()
    stopping.join(LIMIT_S)
    advancing.join(LIMIT_S)
    assert not stopping.is_alive()
    assert not advancing.is_alive()
    assert janitor.last_report is not None
    assert dict(janitor.last_report.functions) == {"a": janitor.last_report.expired}
    assert 0 < janitor.last_report.expired < 3 * SLICE
    assert own.cleanup().expired == 6 * SLICE - janitor.last_report.expired


def test_threads_may_start_and_stop_it_at_once(own: Registry, clock: FakeClock) -> None:
    """Whatever order they come in, there is never a second thread, and at the end one call decides."""
    errors: list[BaseException] = []
    most: list[int] = []

    def turn(number: int) -> None:
        try:
            for i in range(30):
                if (i + number) % 2:
                    own.janitor(1 + number)
                else:
                    own.janitor(5).stop()
                if number == 0:
                    clock.advance(1)
                most.append(len([thread for thread in threads() if thread is own._janitor._thread]))  # type: ignore[union-attr]
        except BaseException as error:
            errors.append(error)

    turns = [threading.Thread(target=turn, args=(number,)) for number in range(4)]
    for thread in turns:
        thread.start()
    for thread in turns:
        thread.join(LIMIT_S)
    assert not any(thread.is_alive() for thread in turns)
    assert errors == []
    assert max(most) <= 1
    janitor = own.janitor(3)
    assert janitor.alive
    clock.advance(3)
    assert janitor.last_run is not None
    janitor.stop()
    assert threads() == []


# -- weak holding


def test_a_registry_that_dies_takes_its_thread_along(clock: FakeClock) -> None:
    """The janitor does not keep its registry, and the thread ends with it."""
    own = Registry()
    janitor = own.janitor()
    thread = threads()[0]
    gone = weakref.ref(own)
    del own
    gc.collect()
    thread.join(LIMIT_S)
    assert (gone(), thread.is_alive(), janitor.alive) == (None, False, False)
    janitor.stop()


def test_functions_may_die_while_it_waits_and_while_it_works(own: Registry, clock: FakeClock) -> None:
    """Neither a waiting janitor nor one that is busy with another function keeps a function alive."""
    entered, leave = threading.Event(), threading.Event()

    def on_evict(key: int, value: int, reason: EvictionReason) -> None:
        entered.set()
        assert leave.wait(LIMIT_S)

    first, second, third = cached(own, "a", on_evict=on_evict), cached(own, "b"), cached(own, "c")
    refs = [weakref.ref(second), weakref.ref(third)]
    first(1)
    janitor = own.janitor()
    del third
    gc.collect()
    assert refs[1]() is None
    advancing = threading.Thread(target=clock.advance, args=("1h",))
    advancing.start()
    try:
        assert entered.wait(LIMIT_S)
        del second
        gc.collect()
        assert refs[0]() is None
        assert [record.name for record in own] == ["a"]
    finally:
        leave.set()
        advancing.join(LIMIT_S)
    assert janitor.last_report is not None
    assert janitor.last_report.expired == 1


# -- fork

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# Since 3.12 Python warns of forking with threads about, which is just what is tested here.
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@needs_fork
@forks
def test_a_child_has_a_janitor_thread_of_its_own(own: Registry, clock: FakeClock) -> None:
    """After a fork both processes are cleaned up, each by itself, and each can stop its own."""
    fetch = cached(own)
    fetch(1)
    janitor = own.janitor()

    def act() -> bool:
        found = [len(threads()), janitor.alive, janitor.every, own.janitor("1h") is janitor]
        clock.advance("1h")
        report = janitor.last_report
        janitor.stop()
        return found == [1, True, 3600.0, True] and report is not None and report.expired == 1 and threads() == []

    assert in_a_child(act) == 0
    assert janitor.last_run is None
    clock.advance("1h")
    assert janitor.last_report is not None
    assert janitor.last_report.expired == 1


@needs_fork
@forks
def test_a_child_runs_on_in_real_time(own: Registry) -> None:
    """The child's thread waits for real time, as the parent's did."""
    turns = threading.Semaphore(0)

    def counted(registry: Registry, enough: Callable[[], bool]) -> CleanupReport:
        turns.release()
        return CleanupReport()

    janitor = Janitor(own, counted)
    janitor.start(0.001)
    try:

        def act() -> bool:
            while turns.acquire(blocking=False):
                pass
            return turns.acquire(timeout=10) and turns.acquire(timeout=10)

        assert in_a_child(act) == 0
    finally:
        janitor.stop()


@needs_fork
@forks
def test_a_stopped_janitor_stays_stopped_in_a_child(own: Registry, clock: FakeClock) -> None:
    """A fork starts nothing that was not running."""
    janitor = own.janitor()
    janitor.stop()
    assert in_a_child(lambda: threads() == [] and not janitor.alive) == 0
    assert in_a_child(lambda: own.janitor("1h").alive and len(threads()) == 1) == 0


@needs_fork
@forks
def test_a_fork_in_the_midst_of_a_clean_up(own: Registry, clock: FakeClock) -> None:
    """Whatever slice the parent's thread is in, the child's store is whole and its thread cleans it up."""
    entered, leave = threading.Event(), threading.Event()

    def on_evict(key: int, value: int, reason: EvictionReason) -> None:
        if not entered.is_set():
            entered.set()
            assert leave.wait(LIMIT_S)

    functions = [cached(own, name, policy=name, on_evict=on_evict) for name in ("lru", "s3fifo")]
    for function in functions:
        for x in range(3 * SLICE):
            function(x)
    janitor = own.janitor()
    advancing = threading.Thread(target=clock.advance, args=("1h",))
    advancing.start()
    try:
        assert entered.wait(LIMIT_S)

        def act() -> bool:
            clock.advance("1h")
            for function in functions:
                function.cache._check()
            assert janitor.last_report is not None
            return janitor.last_report.expired >= 5 * SLICE and own.cleanup().total == 0

        assert in_a_child(act) == 0
    finally:
        leave.set()
        advancing.join(LIMIT_S)
    assert own.cleanup().total == 0


@needs_fork
@forks
def test_a_callback_may_fork(own: Registry, clock: FakeClock) -> None:
    """A child forked by the janitor's own thread has a new one, and goes on with the callback."""
    statuses: list[int] = []

    def on_evict(key: int, value: int, reason: EvictionReason) -> None:
        statuses.append(in_a_child(lambda: len([t for t in threads() if t is not threading.current_thread()]) == 1))

    fetch = cached(own, on_evict=on_evict)
    fetch(1)
    janitor = own.janitor()
    clock.advance("1h")
    assert statuses == [0]
    assert janitor.alive


# -- the interpreter's end

SCRIPTS = {
    "waiting": "janitor = registry.janitor('1h')",
    "real time, again and again": "janitor = registry.janitor(0.0005); fill(2000)",
    "in a callback": "fill(3); janitor = registry.janitor(0.0005); entered.wait(20)",
    "stopped": "janitor = registry.janitor('1h'); janitor.stop()",
    "left by an error that is caught": "try:\n    registry.janitor('1h'); raise SystemExit\nexcept SystemExit: pass",
    "registry gone": "own = Registry(); janitor = own.janitor('1h'); del own",
    "forgotten": "Registry().janitor('1h')",
}

SETUP = """
import threading
from memo import Registry, bounded, registry
entered = threading.Event()

def on_evict(key, value, reason):
    entered.set()
    if {hang}:
        threading.Event().wait()

@bounded(max=5000, ttl=0.0001, on_evict=on_evict)
def fetch(x):
    return object()

def fill(n):
    for x in range(n):
        fetch(x)
"""


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_interpreter_ends_without_a_word(script: str) -> None:
    """Whatever the thread is about, the process ends soon, with status 0 and nothing on its streams."""
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", SETUP.format(hang=False) + SCRIPTS[script]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_interpreter_ends_though_a_callback_hangs() -> None:
    """A callback that never returns delays the end for a bounded time."""
    script = SETUP.format(hang=True) + SCRIPTS["in a callback"]
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
