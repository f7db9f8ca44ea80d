"""Threads, interruptions and forks lose and double no event."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from kit.recorders import Clock, make, note
from kit.threads import switching_often

from memo._base import failure_text
from memo._window.events import BATCH
from memo._window.intake import LIMIT, Intake
from memo._window.recorder import Recorder


def in_threads(*works: Callable[[], object]) -> None:
    """Run callables at once, and re-raise what one of them raised."""
    barrier = threading.Barrier(len(works))
    raised: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        barrier.wait(30)
        try:
            work()
        except BaseException as error:
            raised.append(error)
            raise

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    with switching_often():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if raised:
        raise raised[0]


@pytest.mark.parametrize("max_events", [7, 100_000])
def test_eight_threads_lose_no_count(max_events: int) -> None:
    """Every event of eight writers is counted, with its outcome and duration, while two readers look on."""
    clock = Ticking()
    recorder = Recorder(Intake(span_s=86_400.0, max_events=max_events, only=None, clock=clock))
    details = ("ok", failure_text(None), "cancelled")
    finished: list[None] = []
    each = 3_000

    def write() -> None:
        try:
            for i in range(each):
                ended = clock()
                recorder.intake.note(ended - 1.0, ended, details[i % 3], i % 10)
        finally:
            finished.append(None)

    def read() -> None:
        seen = 0
        while len(finished) < 8:
            count = recorder.count()
            assert count >= seen
            seen = count
            recorder.stats("f")
            recorder.intake.cleanup()

    in_threads(*[write] * 8, read, read)
    stats = recorder.stats("f")
    assert (stats.count, stats.errors, stats.cancelled) == (8 * each, 8 * each // 3, 8 * each // 3)
    assert stats.kept == min(max_events, 8 * each)
    assert stats.dropped == 8 * each - stats.kept
    assert stats.p50 == pytest.approx(1.0, rel=0.05)
    recorder._check()


class Ticking:
    """A clock that advances a millisecond at each look, in any thread, and never goes back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0

    def __call__(self) -> float:
        with self._lock:
            self._now += 1
            return self._now / 1024


def test_recording_needs_no_lock_until_the_queue_is_full() -> None:
    """While somebody else holds the lock, recording returns at once; nothing is lost."""
    recorder, clock = make(max_events=10_000)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with recorder.intake._lock:
            held.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    for _ in range(LIMIT - 1):
        note(recorder, clock)
    assert len(recorder.intake._pending) == LIMIT - 1
    release.set()
    holder.join(30)
    for _ in range(2 * LIMIT):
        note(recorder, clock)
        assert len(recorder.intake._pending) <= LIMIT
    assert recorder.count() == 3 * LIMIT - 1


def test_a_call_that_interrupts_another_neither_hangs_nor_harms() -> None:
    """A finaliser or signal handler may record and read while its own thread is inside the recorder."""

    class Interrupting(Clock):
        armed = False

        def __call__(self) -> float:
            if self.armed:
                self.armed = False
                for _ in range(2 * BATCH):
                    note(recorder, self, key="inner")
                self.counted = recorder.count()
                self.cleaned = recorder.intake.cleanup()
                recorder.intake.clear()
            return self.now

    clock = Interrupting()
    recorder, _ = make(clock=clock)
    note(recorder, clock, key="outer")
    clock.armed = True
    recorder.count()
    assert (clock.counted, clock.cleaned) == (1, 0)
    assert recorder.count() == 1 + 2 * BATCH
    recorder._check()


def test_after_a_fork_the_child_does_not_wait_for_a_lock_of_the_parent() -> None:
    """With the lock held for ever by a thread that the child lacks, the events are there and recording goes on."""
    recorder, clock = make()
    note(recorder, clock)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with recorder.intake._lock:
            held.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    lock = recorder.intake._lock
    holder.start()
    assert held.wait(30)
    recorder.intake.renew()
    assert recorder.intake._lock is not lock
    note(recorder, clock)
    assert recorder.count() == 2
    recorder._check()
    release.set()
    holder.join(30)


def test_after_a_fork_in_the_middle_of_a_fold_the_child_ends_it() -> None:
    """What a thread of the parent had begun to enter is entered whole, once."""
    recorder, clock = make()
    note(recorder, clock)
    carry_out = recorder.intake._carry_out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Intake, "_carry_out", lambda self: None)  # it goes no further
        recorder.count()
    assert recorder.intake._plan is not None
    recorder.intake.renew()
    assert recorder.count() == 1
    note(recorder, clock)
    assert recorder.count() == 2
    assert carry_out.__self__._plan is None
    recorder._check()
