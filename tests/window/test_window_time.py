"""The span of a window: exact to the clock, whatever the clock does."""

import asyncio
import gc
import math
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kit.processes import fork, status_of

from memo import Registry, sliding_window
from memo.testing import FakeClock


class Thing:
    """An argument, a result, an attribute of an error."""


class ThingError(Exception):
    def __init__(self, thing: Thing) -> None:
        super().__init__("a thing broke")
        self.thing = thing


@contextmanager
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_nothing_is_kept_alive(is_async: bool) -> None:
    """Arguments, results, exceptions and instances go by reference counting alone as soon as the caller lets go."""

    class Owner:
        @sliding_window("1h")
        def sync(self, thing: Thing, fails: bool = False) -> Thing:
            if fails:
                raise ThingError(thing)
            return Thing()

        @sliding_window("1h")
        async def coro(self, thing: Thing, fails: bool = False) -> Thing:
            return Owner.sync.__wrapped__(self, thing, fails)

    refs: list[weakref.ref[Any]] = []

    def run(owner: Any, *args: Any) -> Any:
        if not is_async:
            return owner.sync(*args)
        coroutine = owner.coro(*args)
        try:  # by hand: an event loop has reference cycles of its own
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("it waits for nothing")

    def use() -> None:
        owner, thing = Owner(), Thing()
        refs.extend(map(weakref.ref, (owner, thing, run(owner, thing))))
        try:
            run(owner, thing, True)
        except ThingError as error:
            refs.append(weakref.ref(error))

    with collector_off():
        use()
        assert [ref() for ref in refs] == [None] * 4
    window = Owner.coro.window if is_async else Owner.sync.window
    assert window.count() == 2
    assert window.errors()[0].message == "a thing broke"


def test_decorated_closure_dies() -> None:
    """A decorated closure that nobody holds goes, and its record with it; one whose handle is held stays."""
    registry = Registry()

    def make(name: str) -> Any:
        @sliding_window("1h", registry=registry, name=name)
        def closure() -> None: ...

        return closure

    dying, handle = make("dying"), make("held").window
    dying()
    assert {record.name for record in registry} == {"dying", "held"}
    del dying
    gc.collect()
    assert [record.name for record in registry] == ["held"]
    assert handle.stats().name == "held"


def test_events_leave_at_exactly_the_span(clock: FakeClock) -> None:
    """A call is in the window until just before its end is the span ago, and out at exactly the span."""

    @sliding_window("1m", clock=clock)
    def work() -> None: ...

    work()
    clock.advance(59)
    assert (work.window.count(), len(work.window)) == (1, 1)
    clock.advance(1)
    assert (work.window.count(), len(work.window), work.window.events()) == (0, 0, [])
    assert work.window.cleanup() == 1


def test_last_part_of_the_window(clock: FakeClock) -> None:
    """``last`` narrows every answer."""

    @sliding_window("1h", clock=clock)
    def work(fails: bool) -> None:
        clock.advance(1)
        if fails:
            raise ValueError

    work(False)
    clock.advance("30m")
    with pytest.raises(ValueError, match=r"^$"):
        work(True)
    window = work.window
    assert [window.count(last) for last in (None, "15m", 60, timedelta(minutes=45), "1h")] == [2, 1, 1, 2, 2]
    assert (window.error_ratio(), window.error_ratio("15m")) == (0.5, 1.0)
    assert (len(window.events()), len(window.events("15m")), len(window.errors("15m"))) == (2, 1, 1)
    assert window.rate() == 2 / 3600
    assert window.rate(per="1h") == 2
    assert window.rate(per="1m", last="15m") == pytest.approx(1 / 15)
    p50 = window.percentile(50, last="15m")
    assert p50 is not None
    assert p50 == pytest.approx(1.0, rel=0.05)


def test_counts_stay_exact_past_max(clock: FakeClock) -> None:
    """Past ``max`` the latest calls are kept, and counts, errors and percentiles still tell of all."""

    @sliding_window("1h", max=10, clock=clock)
    def work(number: int) -> None:
        clock.advance(0.25 if number < 900 else 1.0)
        if number % 4 == 0:
            raise ValueError(number)

    for number in range(1000):
        try:
            work(number)
        except ValueError:
            pass
    stats = work.window.stats()
    assert (stats.count, stats.errors, stats.kept, stats.dropped) == (1000, 250, 10, 990)
    assert stats.error_ratio == 0.25
    assert (stats.p50, stats.p95) == (pytest.approx(0.25, rel=0.05), pytest.approx(1.0, rel=0.05))
    assert [event.key for event in work.window.events()] == [str(number) for number in range(999, 989, -1)]
    assert sum(bucket.count for bucket in work.window.series(24)) == 1000


def test_window_shorter_than_any_bucket(clock: FakeClock) -> None:
    """A window of a microsecond is exact as well."""

    @sliding_window("1us", clock=clock)
    def work() -> None: ...

    work()
    work()
    assert work.window.count() == 2
    clock.advance("1ms")
    assert work.window.count() == 0


class SetClock:
    """Shows, returns or raises whatever the test sets."""

    def __init__(self, now: Any = 1000.0) -> None:
        self.now = now

    def __call__(self) -> Any:
        if isinstance(self.now, BaseException):
            raise self.now
        return self.now


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, "soon", RuntimeError("no clock")])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_broken_clock_breaks_no_call(bad: Any, is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A clock that fails, at either end of a call or at decoration, breaks no call; that is logged, and it recovers."""
    clock = SetClock(bad if isinstance(bad, Exception) else 999.0)

    @sliding_window("1m", clock=clock)
    def work(then: Any, error: Exception | None = None) -> str:
        clock.now = then
        if error is not None:
            raise error
        return "done"

    @sliding_window("1m", clock=clock)
    async def coroutine(then: Any, error: Exception | None = None) -> str:
        return work.__wrapped__(then, error)

    def call(*args: Any) -> Any:
        return asyncio.run(coroutine(*args)) if is_async else work(*args)

    function: Any = coroutine if is_async else work
    clock.now = bad
    assert call(bad) == "done"  # at both ends
    assert call(1000.0) == "done"  # at the beginning
    assert call(bad) == "done"  # at the end
    clock.now = 1000.0
    error = ValueError("its own")
    with pytest.raises(ValueError, match="its own") as caught:
        call(bad, error)
    assert caught.value is error
    assert function.window.count() == 0
    clock.now = 1001.0
    assert call(1002.0) == "done"
    assert function.window.count() == 1
    (event,) = function.window.events()
    assert event.duration == 1.0
    assert abs(event.at - datetime.now(UTC)) < timedelta(hours=1)
    assert {record.name for record in caplog.records} == {"memo"}
    assert len(caplog.records) >= 4


def test_reading_under_a_broken_clock(caplog: pytest.LogCaptureFixture) -> None:
    """While the clock fails the window stands still, and its figures can still be had."""
    clock = SetClock()

    @sliding_window("1m", clock=clock)
    def work() -> None: ...

    work()
    assert work.window.count() == 1
    clock.now = math.nan
    assert work.window.stats().count == 1
    clock.now = RuntimeError()
    assert len(work.window.events()) == 1
    clock.now = 1059.0
    assert work.window.count() == 1
    clock.now = 1060.0
    assert work.window.count() == 0
    assert len(caplog.records) == 2


def test_clock_that_goes_back(clock: FakeClock) -> None:
    """A clock that goes back neither loses calls nor keeps them for ever; no duration is negative."""
    clock = SetClock()  # type: ignore[assignment]

    @sliding_window("1m", clock=clock)
    def work(then: float) -> None:
        clock.now = then  # type: ignore[attr-defined]

    work(1001.0)
    work(400.0)
    work(410.0)
    assert work.window.count() == 3
    assert [event.duration for event in work.window.events()] == [10.0, 0.0, 1.0]
    clock.now = 470.0  # type: ignore[attr-defined]
    assert work.window.count() == 0


class Interruption:
    """Runs something at the n-th line that this thread comes to within a window, as a signal handler might."""

    inside = ("/memo/_window/", "/memo/_sliding_window.py", "<memo ")

    def __init__(self, line: int, action: Callable[[], object]) -> None:
        self.left = line
        self.action = action

    def trace(self, frame: Any, event: str, arg: object) -> Any:
        if not any(part in frame.f_code.co_filename for part in self.inside):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                sys.settrace(self.before)  # there is nothing to wait for any more
                self.action()
        return self.trace if self.left > 0 else None

    def __enter__(self) -> None:
        self.before = sys.gettrace()
        sys.settrace(self.trace)

    def __exit__(self, *exception: object) -> None:
        sys.settrace(self.before)


@pytest.mark.parametrize("step", [0, 30], ids=["at once", "later"])
def test_interrupted_at_any_line(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler or finaliser that calls, reads and cleans up, at any line of a call or look, harms neither."""
    batch = 16
    monkeypatch.setattr("memo._window.intake.BATCH", batch)
    clock = FakeClock()

    def interrupt() -> None:
        clock.advance(step)
        work()
        work.window.stats()
        work.window.events()
        work.window.cleanup()

    line = 0
    reached = True
    while reached:
        line += 1

        @sliding_window("1m", max=batch + 8, clock=clock)
        def work() -> None: ...

        for _ in range(10):  # in slices of their own, half of which the interruption puts out of the window
            work()
            clock.advance(4)
        work.window.stats()
        clock.advance(15)
        for _ in range(batch - 1):
            work()
        interruption = Interruption(line, interrupt)
        with interruption:
            work()  # a batch is full
            work.window.stats()
            work.window.events("30s")
            work.window.percentile(50, "30s")
        reached = interruption.left <= 0
        work.window._recorder._check()
        assert work.window.count(10 + step * reached) == batch + reached
    assert line > 200


def test_eight_threads_lose_no_call() -> None:
    """Eight threads, failing now and then, while a ninth reads: every call is counted."""
    each, threads = 3_000, 8
    start = threading.Barrier(threads + 1)
    done = threading.Event()

    @sliding_window("1h", max=500)
    def work(number: int) -> int:
        if number % 3 == 0:
            raise ValueError
        return number

    def run() -> None:
        start.wait(30)
        for number in range(each):
            try:
                work(number)
            except ValueError:
                pass

    def read() -> None:
        start.wait(30)
        while not done.is_set():
            work.window.stats()
            work.window.cleanup()
            len(work.window.errors())

    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        workers = [threading.Thread(target=run) for _ in range(threads)]
        reader = threading.Thread(target=read)
        for thread in (*workers, reader):
            thread.start()
        for thread in workers:
            thread.join()
        done.set()
        reader.join()
    finally:
        sys.setswitchinterval(old)
    stats = work.window.stats()
    assert (stats.count, stats.errors, stats.kept) == (threads * each, threads * each // 3, 500)
    assert stats.dropped == stats.count - stats.kept


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # the point of the test, from 3.12 on
def test_fork_while_another_thread_holds_the_lock() -> None:
    """A forked child goes on with the window, whoever held its lock in the parent."""

    @sliding_window("1h")
    def work() -> None: ...

    work()
    assert work.window.count() == 1
    work()  # still waits to be entered
    held, release = threading.Event(), threading.Event()
    intake = work.window._recorder.intake

    def hold() -> None:
        with intake._lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)

    def goes_on() -> bool:
        work()
        return work.window.count() == 3

    child = fork(goes_on)
    release.set()
    thread.join()
    assert status_of(child) == 0
    assert work.window.count() == 2
