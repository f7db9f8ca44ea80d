"""The engine of the sliding window: exact against a plain list, bounded, harmless, and safe from any thread."""

from __future__ import annotations

import gc
import math
import sys
import threading
import tracemalloc
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import cachetools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from memo import sliding_window
from memo._base import failure_text, stored_key
from memo._base.shortened import short_text
from memo._window.events import BATCH, Columns, EventCache, Raw
from memo._window.intake import LIMIT, Intake
from memo._window.recorder import Recorder
from memo._window.stats import Bucket, Event, Outcome, WindowStats
from memo._window.totals import BUCKETS, PER_SLICE, cells_of


class Clock:
    """A clock that shows what the test sets."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def make(
    span_s: float = 60.0,
    max_events: int = 1000,
    clock: Clock | None = None,
    wall: Clock | None = None,
) -> tuple[Recorder, Clock]:
    clock = clock or Clock()
    intake = Intake(span_s=span_s, max_events=max_events, only=None, clock=clock, wall=wall or Clock(1e9))
    return Recorder(intake), clock


def note(
    recorder: Recorder,
    clock: Clock,
    duration: float = 0.0,
    outcome: Outcome = "ok",
    key: object = "k",
    error: BaseException | None = None,
) -> None:
    """Record a call that ends now, as a generated wrapper and what it calls do."""
    detail = failure_text(error) if outcome == "error" else outcome
    recorder.intake.note(clock.now - duration, clock.now, detail, stored_key(key))


def nearest_rank(durations: list[float], q: float) -> float | None:
    ordered = sorted(durations)
    return ordered[max(1, math.ceil(q * len(ordered) / 100)) - 1] if ordered else None


# Against a brute-force list

# Times are multiples of 1/64 s, so that sums are exact and an edge is hit exactly, not nearly.
ticks = st.integers(0, 64 * 200).map(lambda n: n / 64)


class AgainstList(RuleBasedStateMachine):
    """The recorder beside a list of every event, under a clock that runs, leaps and goes back."""

    span_s = 120.0
    max_events = 1_000

    def __init__(self) -> None:
        super().__init__()
        self.recorder, self.clock = make(self.span_s, self.max_events, clock=Clock(1000.0))
        self.all: list[tuple[float, float, Outcome, int]] = []
        self.high = -math.inf
        self.offset = 0.0
        self.dropped = 0  # before the last clear(), which leaves that counter as it is

    def own_now(self) -> float:
        """The model of the window's own time: it stands still where the clock goes back, and runs on from there."""
        if self.clock.now < self.high:
            self.offset += self.high - self.clock.now
        self.high = self.clock.now
        return self.clock.now + self.offset

    def within(self, last: float | None = None) -> list[tuple[float, float, Outcome, int]]:
        now, last_s = self.own_now(), min(last or self.span_s, self.span_s)
        return [event for event in self.all if event[0] + last_s > now]

    @rule(step=ticks)
    def advance(self, step: float) -> None:
        self.clock.now += step

    @rule(step=st.integers(1, 40))
    def creep(self, step: int) -> None:
        self.clock.now += step / 64

    @rule(step=ticks)
    def step_back(self, step: float) -> None:
        self.clock.now -= step

    @rule(
        duration=st.integers(0, 64 * 30).map(lambda n: n / 64),
        outcome=st.sampled_from(("ok", "ok", "error", "cancelled")),
        key=st.integers(0, 3),
        times=st.sampled_from((1, 1, 1, 7, 300)),
    )
    def record(self, duration: float, outcome: Outcome, key: int, times: int) -> None:
        now = self.own_now()
        for _ in range(times):
            note(self.recorder, self.clock, duration, outcome, key, OSError("x") if outcome == "error" else None)
        self.all.extend([(now, duration, outcome, key)] * times)

    @rule()
    def cleanup(self) -> None:
        self.recorder.intake.cleanup()
        self.own_now()

    @rule()
    def clear(self) -> None:
        self.dropped = self.recorder.stats("f").dropped
        self.recorder.intake.clear()
        self.own_now()
        self.all.clear()

    @rule(last=st.none() | st.sampled_from((0.015625, 0.5, 1.0, 30.0, 119.0, 120.0, 500.0)) | ticks.filter(bool))
    def read(self, last: float | None) -> None:
        expected = self.within(last)
        kept = expected[-self.max_events :]
        errors = sum(event[2] == "error" for event in expected)
        got = self.recorder.events(last)
        assert [(e.duration, e.outcome, e.key) for e in got] == [(d, o, str(k)) for _, d, o, k in reversed(kept)]
        assert [e.outcome for e in self.recorder.errors(last)] == ["error"] * sum(e[2] == "error" for e in kept)
        if len(self.all) <= self.max_events:  # nothing was dropped
            assert self.recorder.count(last) == len(expected)
            assert self.recorder.error_ratio(last) == (errors / len(expected) if expected else 0.0)
            assert self.recorder.rate(60.0, last) == pytest.approx(len(expected) * 60 / min(last or 120.0, 120.0))
            for q in (0, 37, 50, 95, 100):
                exact = nearest_rank([event[1] for event in expected], q)
                assert self.recorder.percentile(q, last) == (exact if exact is None else pytest.approx(exact, rel=0.05))
        else:  # exact to one bucket
            width = self.span_s / BUCKETS
            now, last_s = self.own_now(), min(last or self.span_s, self.span_s)
            most = sum(event[0] + last_s + width > now for event in self.all)
            assert len(expected) <= self.recorder.count(last) <= most

    @precondition(lambda self: len(self.all) <= self.max_events)
    @rule(buckets=st.sampled_from((1, 7, 24, 120, 300)))
    def plot(self, buckets: int) -> None:
        expected = self.within()
        begin = self.own_now() - self.span_s
        series = self.recorder.series(buckets)
        counts = [0] * buckets
        seconds = [0.0] * buckets
        for ended, duration, _, _ in expected:
            part = min(int((ended - begin) // (self.span_s / buckets)), buckets - 1)
            counts[part] += 1
            seconds[part] += duration
        assert [bucket.count for bucket in series] == counts
        assert [b.mean for b in series] == [
            pytest.approx(s / n) if n else None for s, n in zip(seconds, counts, strict=True)
        ]
        assert sum(bucket.errors for bucket in series) == sum(event[2] == "error" for event in expected)

    @invariant()
    def figures(self) -> None:
        self.recorder._check()
        expected = self.within()
        stats = self.recorder.stats("f")
        assert len(self.recorder) == stats.kept == min(len(expected), self.max_events)
        if len(self.all) <= self.max_events:
            assert (stats.count, stats.dropped) == (len(expected), self.dropped)
            assert stats.cancelled == sum(event[2] == "cancelled" for event in expected)
            assert dict(self.recorder.by_key()) == Counter(str(event[3]) for event in expected)


class AgainstListSmall(AgainstList):
    """The same with so few events kept that most are dropped."""

    max_events = 5


TestAgainstList = AgainstList.TestCase
TestAgainstList.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAgainstListSmall = AgainstListSmall.TestCase
TestAgainstListSmall.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@settings(max_examples=100, deadline=None)
@given(
    span_s=st.floats(1e-3, 1e7),
    steps=st.lists(st.floats(0, 1.2), min_size=1, max_size=80),
    begin=st.floats(-1e6, 1e6),
)
def test_counts_are_exact_for_any_span_and_step(span_s: float, steps: list[float], begin: float) -> None:
    """With times that no binary fraction hits, the recorder still agrees with the comparison `now < ended + span`."""
    recorder, clock = make(span_s, clock=Clock(begin))
    ends: list[float] = []
    for step in steps:
        clock.now += step * span_s
        note(recorder, clock)
        ends.append(clock.now)
        for last in (span_s, span_s / 3, span_s / 1000):
            assert recorder.count(last) == sum(clock.now < ended + last for ended in ends)
    recorder._check()


@settings(max_examples=100, deadline=None)
@given(
    durations=st.lists(st.floats(1e-7, 6e4), min_size=1, max_size=600),
    q=st.floats(0, 100),
    max_events=st.sampled_from((1, 10_000)),
)
def test_percentiles_are_within_five_percent(durations: list[float], q: float, max_events: int) -> None:
    """Nearest-rank percentiles over 0.1 µs to 16 h err by at most 5 percent, whether or not events were dropped."""
    recorder, clock = make(86_400.0, max_events)
    for duration in durations:
        note(recorder, clock, duration)
    exact = nearest_rank(durations, q)
    assert recorder.percentile(q) == pytest.approx(exact, rel=0.05)


@settings(max_examples=200, deadline=None)
@given(
    usual=st.lists(st.floats(1e-3, 1.0), max_size=64),
    others=st.lists(st.sampled_from((0.0, 5e-324, 1e-9, 2.0**-24, 3e-5, 2.0, 65535.0, 65536.0, 1e300)), max_size=6),
)
def test_durations_are_counted_alike_whatever_their_order(usual: list[float], others: list[float]) -> None:
    """The histogram of a batch is that of its events one by one, also where their durations differ by orders."""
    raws: list[Raw] = [(0.0, seconds, "ok", None) for seconds in usual + others]
    cells: Counter[int] = Counter()
    for raw in raws:
        cells.update(dict(cells_of(Columns.of([raw]).codes)))
    together: Counter[int] = Counter()
    for cell, times in cells_of(Columns.of(raws).codes):
        together[cell] += times
    assert +together == cells
    assert together.total() == len(raws)


# The edges of the window


def test_at_exactly_the_span_an_event_is_out() -> None:
    """An event that ended a span ago is out; a moment before, it is in."""
    recorder, clock = make(60.0)
    clock.now = 0.1
    note(recorder, clock)
    clock.now = math.nextafter(0.1 + 60.0, 0)
    assert (recorder.count(), len(recorder), len(recorder.events())) == (1, 1, 1)
    clock.now = 0.1 + 60.0
    assert (recorder.count(), len(recorder), recorder.events()) == (0, 0, [])
    assert recorder.percentile(50) is None


def test_a_look_back_shorter_than_a_bucket() -> None:
    """`last` may be far below 1/120 of the span, and is exact for the kept events even past a drop."""
    recorder, clock = make(86_400.0, max_events=4)
    for clock.now in (0.0, 0.25, 0.5, 0.75, 1.0, 1.25):
        note(recorder, clock)
    assert [recorder.count(last) for last in (0.25, 0.3, 0.75, 0.76)] == [1, 2, 3, 4]
    assert recorder.count() == 6


def test_a_window_shorter_than_any_bucket_it_could_have() -> None:
    """A window of a microsecond is right too."""
    recorder, clock = make(1e-6, clock=Clock(1e5))
    note(recorder, clock)
    assert recorder.count() == 1
    clock.now += 2e-6
    assert recorder.count() == 0
    recorder._check()


def test_last_beyond_the_window_means_the_window() -> None:
    """A longer `last` changes neither count nor rate."""
    recorder, clock = make(60.0)
    for clock.now in (0.0, 50.0, 70.0):
        note(recorder, clock)
    assert recorder.count(1e9) == recorder.count() == 2
    assert recorder.rate(last=1e9) == recorder.rate() == pytest.approx(2 / 60)


def test_a_gap_longer_than_the_window_empties_it() -> None:
    """After a gap of many windows only what came after it is there, also when events were dropped before."""
    recorder, clock = make(60.0, max_events=10)
    for _ in range(1000):
        note(recorder, clock)
        clock.now += 0.05
    clock.now += 100 * 60.0
    assert (recorder.count(), len(recorder), recorder.percentile(50)) == (0, 0, None)
    note(recorder, clock, 2.0)
    assert recorder.count() == 1
    assert recorder.percentile(50) == pytest.approx(2.0, rel=0.05)
    recorder._check()


def test_past_a_drop_the_edge_is_exact_to_one_bucket() -> None:
    """With one event kept, counts stay within one bucket of a list's at every moment."""
    recorder, clock = make(120.0, max_events=1)
    for _ in range(400):
        note(recorder, clock)
        clock.now += 0.5
        exact = sum(clock.now < i * 0.5 + 120.0 for i in range(400) if i * 0.5 < clock.now)
        assert exact <= recorder.count() <= exact + 2  # a bucket of one second holds two
    recorder._check()


def test_a_clock_that_goes_back_neither_loses_nor_freezes_events() -> None:
    """The window's own time stands still at a step back and runs on from there."""
    recorder, clock = make(60.0, clock=Clock(10_000.0))
    note(recorder, clock, key="before")
    clock.now = 10.0
    note(recorder, clock, key="after")
    assert recorder.count() == 2
    clock.now = 69.75
    assert recorder.count() == 2
    clock.now = 70.0
    assert recorder.count() == 0
    recorder._check()


def test_a_step_back_that_only_a_read_saw() -> None:
    """A step back below the last read, but not below the last event, is noticed."""
    recorder, clock = make(60.0, clock=Clock(100.0))
    note(recorder, clock)
    clock.now = 150.0
    assert recorder.count() == 1
    clock.now = 120.0
    note(recorder, clock)
    clock.now = 129.75
    assert recorder.count() == 2
    clock.now = 130.0
    assert recorder.count() == 1


def test_a_thread_that_comes_late_is_no_step_back() -> None:
    """An event recorded after a later one keeps its own end, and takes its place in the order."""
    recorder, clock = make(60.0, clock=Clock(100.0))
    recorder.intake.note(99.0, 100.0, "ok", "newer")
    recorder.intake.note(70.0, 80.0, "ok", "late")
    recorder.intake.note(89.0, 90.0, "ok", "later")
    assert [event.key for event in recorder.events()] == ["'newer'", "'later'", "'late'"]
    clock.now = 140.0
    assert recorder.count() == 2
    recorder._check()


def test_late_events_when_the_store_is_full() -> None:
    """A late event that is older than all kept ones counts, and does not push a newer one out."""
    recorder, _ = make(60.0, max_events=2, clock=Clock(100.0))
    for ended in (98.0, 99.0, 60.0, 97.0, 98.5):
        recorder.intake.note(ended, ended, "ok", ended)
    assert [event.key for event in recorder.events()] == ["99.0", "98.5"]
    assert (recorder.count(), recorder.stats("f").dropped) == (5, 3)
    recorder._check()


def test_durations_are_never_negative() -> None:
    """A clock that went back during a call gives that call a duration of zero."""
    recorder, clock = make(60.0, clock=Clock(10.0))
    recorder.intake.note(50.0, 10.0, "ok", None)
    assert recorder.events()[0].duration == 0.0
    assert recorder.percentile(100) == 0.0
    assert recorder.series(1)[0].mean == 0.0
    assert clock.now == 10.0


# The semantics of other libraries' windows


def test_agrees_with_dropwizard_on_a_sliding_time_window() -> None:
    """Dropwizard's SlidingTimeWindowReservoir: every measurement newer than the window counts, ties included."""
    recorder, clock = make(10.0)
    for clock.now in (0.0, 5.0, 10.0, 15.0, 20.0):
        note(recorder, clock, key=int(clock.now))
    assert [event.key for event in recorder.events()] == ["20", "15"]
    recorder, clock = make(10.0, clock=Clock(20.0))
    note(recorder, clock, key=1)
    note(recorder, clock, key=2)
    assert [event.key for event in recorder.events()] == ["2", "1"]


class NanosecondsWindow:
    """Dropwizard's SlidingTimeWindowReservoir as its source has it: each measurement has a number of its own, the time
    with room for 255 more of the same moment; each look takes a number too, and drops what is a window below it."""

    def __init__(self, span: int, now: int) -> None:
        self.span = span * 256
        self.latest = now * 256
        self.values: dict[int, int] = {}

    def number(self, now: int) -> int:
        self.latest = max(now * 256, self.latest + 1)
        return self.latest

    def update(self, now: int, value: int) -> None:
        self.values[self.number(now)] = value

    def look(self, now: int) -> list[int]:
        begin = self.number(now) - self.span
        self.values = {number: value for number, value in self.values.items() if number >= begin}
        return list(self.values.values())


@settings(max_examples=100, deadline=None)
@given(span=st.integers(1, 12), steps=st.lists(st.sampled_from((0, 0, 1, 1, 2, 3, 7, 30)), max_size=60))
def test_agrees_with_dropwizard_and_a_list(span: int, steps: list[int]) -> None:
    """The same measurements are in the window; those of exactly its age are out here, and there once looked at often
    enough."""
    recorder, clock = make(float(span))
    theirs = NanosecondsWindow(span, 0)
    ends: list[int] = []
    now = 0
    for value, step in enumerate(steps):
        clock.now = now = now + step
        note(recorder, clock, key=value)
        theirs.update(now, value)
        ends.append(now)
        exact = [value for value, ended in enumerate(ends) if now < ended + span]
        at_the_edge = [value for value, ended in enumerate(ends) if now == ended + span]
        found = theirs.look(now)
        assert [event.key for event in reversed(recorder.events())] == [str(value) for value in exact]
        assert recorder.count() == len(exact)
        assert found in [at_the_edge[i:] + exact for i in range(len(at_the_edge) + 1)]
    recorder._check()


class SecondsWindow:
    """Resilience4j's time-based window as its documentation describes it: one partial sum for each of the last N
    whole seconds, and a total from which the oldest partial sum is taken when its second ends."""

    def __init__(self, seconds: int, second: int) -> None:
        self.partial = deque([[0, 0] for _ in range(seconds)], maxlen=seconds)
        self.second = second
        self.calls = self.failures = 0

    def move_to(self, second: int) -> None:
        for _ in range(second - self.second):
            calls, failures = self.partial[0]
            self.calls -= calls
            self.failures -= failures
            self.partial.append([0, 0])
        self.second = second

    def record(self, failed: bool) -> None:
        self.partial[-1][0] += 1
        self.partial[-1][1] += failed
        self.calls += 1
        self.failures += failed


@settings(max_examples=60, deadline=None)
@given(
    seconds=st.integers(1, 15),
    script=st.lists(st.tuples(st.sampled_from((0, 0, 1, 1, 2, 5, 40)), st.booleans()), max_size=60),
)
def test_agrees_with_resilience4j_at_whole_seconds(seconds: int, script: list[tuple[int, bool]]) -> None:
    """Where events fall on whole seconds, counts and failure rate are those of a list and of partial sums by second."""
    recorder, clock = make(float(seconds))
    theirs = SecondsWindow(seconds, 0)
    events: list[tuple[float, bool]] = []
    for step, failed in script:
        clock.now += step
        theirs.move_to(int(clock.now))
        note(recorder, clock, outcome="error" if failed else "ok")
        theirs.record(failed)
        events.append((clock.now, failed))
        within = [failed for ended, failed in events if clock.now < ended + seconds]
        assert recorder.count() == theirs.calls == len(within)
        assert recorder.error_ratio() == theirs.failures / theirs.calls == sum(within) / len(within)
    recorder._check()


@settings(max_examples=60, deadline=None)
@given(
    seconds=st.integers(2, 15),
    steps=st.lists(st.sampled_from((0, 1, 1, 2, 3, 5, 6, 19, 160)).map(lambda n: n / 4), max_size=60),
)
def test_differs_from_resilience4j_by_the_oldest_second(seconds: int, steps: list[float]) -> None:
    """Between whole seconds an event leaves at its own age here, and up to a second earlier there, with its second."""
    recorder, clock = make(float(seconds))
    theirs = SecondsWindow(seconds, 0)
    ends: list[float] = []
    for step in steps:
        clock.now += step
        theirs.move_to(int(clock.now))
        note(recorder, clock)
        theirs.record(False)
        ends.append(clock.now)
        assert recorder.count() == sum(clock.now < ended + seconds for ended in ends)
        assert recorder.count(seconds - 1.0) <= theirs.calls <= recorder.count()


# Threads


@contextmanager
def eager_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


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
    with eager_switching():
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


OUTCOMES: tuple[Outcome, ...] = ("ok", "error", "cancelled")


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


# Memory, and what is kept alive


def fill(recorder: Recorder, clock: Clock, number: int, span_s: float) -> None:
    for i in range(number):
        clock.now += span_s / number
        recorder.intake.note(clock.now - (i % 1000) / 100, clock.now, "ok", "key")
    recorder.count()


def heap_of(number: int, max_events: int) -> int:
    clock = Clock()
    gc.collect()
    tracemalloc.start()
    try:
        recorder, _ = make(86_400.0, max_events, clock=clock)
        fill(recorder, clock, number, 2 * 86_400.0)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_memory_does_not_depend_on_the_number_of_events() -> None:
    """Ten times the events over the same time take the same memory; the totals at most 200 kB."""
    few, many = heap_of(20_000, 1_000), heap_of(200_000, 1_000)
    assert many < 1.2 * few
    assert heap_of(20_000, 1) <= 200_000


def test_an_idle_window_is_small_and_gives_back_its_memory() -> None:
    """Histograms exist only for slices with events, and go with cleanup()."""
    recorder, clock = make(60.0)
    fill(recorder, clock, 5_000, 60.0)
    assert len(recorder.intake.contents.totals._slices) >= BUCKETS // PER_SLICE
    clock.now += 70.0
    assert recorder.intake.cleanup() == 1000
    assert recorder.intake.contents.totals._slices == {}
    assert len(recorder.intake.contents.kept) == 0
    recorder._check()


def test_cleanup_tells_how_many_events_were_out() -> None:
    """Only events past the span go, also when there are more than one slice of them."""
    recorder, clock = make(60.0, max_events=10_000)
    for _ in range(5_000):
        note(recorder, clock)
    clock.now = 30.0
    note(recorder, clock)
    assert recorder.intake.cleanup() == 0
    clock.now = 60.0
    assert recorder.intake.cleanup() == 5_000
    assert (recorder.intake.cleanup(), recorder.count()) == (0, 1)


def test_keeps_nothing_alive() -> None:
    """Neither key, nor what a key contains, nor the exception or its traceback survives by being recorded."""

    class Thing:
        pass

    class Word(str):
        pass

    class Trouble(Exception):
        def __str__(self) -> str:
            return Word("tell-tale")

    thing, word, trouble = Thing(), Word("w"), Trouble()
    refs: list[weakref.ref[object]] = [weakref.ref(thing), weakref.ref(word), weakref.ref(trouble)]
    recorder, clock = make()
    for key in (thing, (1, thing), [thing], {"a": thing}, word, (word,)):
        try:
            raise trouble
        except Trouble as error:
            note(recorder, clock, 0.0, "error", key, error)
    recorder.count()
    for key in (thing, (1, thing), word):
        note(recorder, clock, key=key)  # still queued
    del thing, word, trouble, key
    gc.collect()
    assert [ref() for ref in refs] == [None, None, None]
    event = recorder.errors()[0]
    assert all(type(text) is str for text in (event.key, event.error, event.message))
    assert event.message == "tell-tale"


def test_keys_are_text_of_the_moment_of_the_call() -> None:
    """A later change of a mutable key does not show."""
    recorder, clock = make()
    key = ["before"]
    note(recorder, clock, key=key)
    key.append("after")
    assert recorder.events()[0].key == "['before']"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_raising_repr_and_str_are_harmless() -> None:
    """They leave a mark in place of the text."""
    recorder, clock = make()
    note(recorder, clock, 0.0, "error", Unprintable(), UnprintableError())
    (event,) = recorder.errors()
    assert event.key == "<Unprintable>"
    assert event.message == "<unprintable UnprintableError>"
    assert event.error == f"{__name__}.UnprintableError"
    assert short_text([1, Unprintable()]) == "[1, <Unprintable>]"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        (b"ab", "b'ab'"),
        ((), "()"),
        ((1,), "(1,)"),
        (("a", 2, None), "('a', 2, None)"),
        ([1, [2, [3, [4]]]], "[1, [2, [3, ...]]]"),
        ({"a": {1}}, "{'a': {1}}"),
        (set(), "set()"),
        (frozenset({1}), "frozenset({1})"),
        (list(range(10)), "[0, 1, 2, 3, 4, 5, 6, 7, ...]"),
        (deque([1, 2]), "deque([1, 2])"),
        (Counter(range(9)), "Counter({0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1, ...})"),
        pytest.param(10**5000, f"<int of {(10**5000).bit_length()} bits>", id="huge"),
        (timedelta(hours=1), "datetime.timedelta(seconds=3600)"),
    ],
)
def test_text_of_keys(key: object, text: str) -> None:
    """Keys read as their repr, shortened where that is long."""
    recorder, clock = make()
    note(recorder, clock, key=key)
    assert recorder.events()[0].key == text == short_text(key)


@pytest.mark.parametrize(
    "key", ["x" * 10**6, b"x" * 10**6, bytearray(10**6), ("y" * 150, "z" * 150), [["x" * 99] * 9] * 9]
)
def test_long_keys_are_cut(key: object) -> None:
    """No text is longer than 200 characters, and little of the key is kept."""
    recorder, clock = make()
    note(recorder, clock, key=key)
    assert 20 < len(recorder.events()[0].key) <= 200


def test_a_huge_container_is_not_made_text_whole() -> None:
    """Only its first elements are shown, and none is asked for its repr."""

    class Element:
        def __repr__(self) -> str:
            raise AssertionError

    class Many(list):  # type: ignore[type-arg]
        pass

    elements = [Element() for _ in range(1000)]
    for key in (elements, tuple(elements), set(elements), dict.fromkeys(elements), Many(elements), deque(elements)):
        assert len(short_text(key)) <= 200
        assert 0 < short_text(key).count("<Element>") <= 10
        assert "..." in short_text(key)


def test_errors_are_their_type_and_a_short_message() -> None:
    """Builtin types go by their bare name; a message is cut at 200 characters."""
    recorder, clock = make()
    note(recorder, clock, 0.0, "error", None, ValueError("m" * 500))
    note(recorder, clock, 0.0, "error", None, None)
    note(recorder, clock, 0.0, "cancelled", None, None)
    cancelled, told, raised = recorder.events()
    assert (raised.error, raised.message) == ("ValueError", "m" * 200)
    assert (told.outcome, told.error, told.message) == ("error", None, None)
    assert (cancelled.outcome, cancelled.error) == ("cancelled", None)
    assert recorder.errors() == [told, raised]


def test_unequal_keys_that_compare_equal_stay_apart() -> None:
    """1, 1.0 and True are three keys."""
    recorder, clock = make()
    key: object
    for key in (1, 1.0, True, (1,), (True,), 1):
        note(recorder, clock, key=key)
    assert recorder.by_key() == [("1", 2), ("(True,)", 1), ("(1,)", 1), ("True", 1), ("1.0", 1)]
    assert recorder.by_key(1) == [("1", 2)]


def test_kept_events_are_a_bounded_cachetools_cache() -> None:
    """The store is a `cachetools.Cache` of the latest events, by number and age."""
    recorder, clock = make(60.0, max_events=3)
    for clock.now in (0.0, 1.0, 2.0, 3.0, 4.0):
        note(recorder, clock, key=clock.now)
    assert len(recorder) == 3
    store = recorder.intake.contents.kept
    assert isinstance(store, cachetools.Cache)
    assert (len(store), store.maxsize, store.currsize) == (3, 3, 3)
    assert list(store) == [2, 3, 4]
    assert [store[key][3] for key in store] == [2.0, 3.0, 4.0]
    assert store.get(1) is None
    assert 1 not in store
    with pytest.raises(KeyError, match="oldest first"):
        del store[3]
    with pytest.raises(KeyError, match="not the next key"):
        store[9] = store[2]
    store[5] = (5.0, 5.0, "ok", "new")
    assert [key for key, _ in store.items()] == [3, 4, 5]
    assert store.popitem()[0] == 3
    assert store.pop(4)[0] == 4.0
    assert store.expire(65.0, 10) == 1
    with pytest.raises(KeyError):
        store.popitem()
    empty = EventCache(3, 60.0)
    empty[0] = (0.0, 0.0, "ok", None)
    copy = empty.__copy__()
    empty.clear()
    assert (len(empty), list(copy)) == (0, [0])


# Dates


def test_dates_come_from_the_wall_clock_and_do_not_jump_with_it() -> None:
    """A correction of the wall clock moves no event, neither a past one nor a later one against it."""
    wall = Clock(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp())
    recorder, clock = make(3600.0, clock=Clock(7.0), wall=wall)
    clock.now += 10.0
    note(recorder, clock, duration=4.0)
    wall.now += 86_400.0
    (first,) = recorder.events()
    assert first.at == datetime(2024, 5, 1, 12, 0, 6, tzinfo=UTC)
    assert first.at.utcoffset() == timedelta(0)
    clock.now += 5.0
    note(recorder, clock)
    second, again = recorder.events()
    assert again == first
    assert second.at - first.at == timedelta(seconds=9)


def test_dates_follow_the_wall_clock_again_once_nothing_is_kept() -> None:
    """An empty window takes up a corrected wall clock."""
    wall = Clock(1e9)
    recorder, clock = make(60.0, wall=wall)
    note(recorder, clock)
    clock.now, wall.now = 100.0, 2e9
    recorder.intake.cleanup()
    assert recorder.count() == 0
    note(recorder, clock)
    assert recorder.events()[0].at == datetime.fromtimestamp(2e9, UTC)


# The other reads


def test_only_records_nothing_but_those_failures() -> None:
    """Successes, cancellations and other failures leave no trace."""
    clock = Clock()

    @sliding_window("1m", only=(OSError, KeyError), clock=clock)
    def work(error: BaseException | None) -> None:
        if error is not None:
            raise error

    for error in (OSError("a"), KeyError("b"), FileNotFoundError("c"), ValueError("d"), None, KeyboardInterrupt()):
        with suppress(OSError, KeyError, ValueError, KeyboardInterrupt):
            work(error)
    work.window.record_error(ValueError("e"))
    assert [event.error for event in work.window.errors()] == ["FileNotFoundError", "KeyError", "OSError"]
    assert work.window.count() == 3


def test_nothing_recorded() -> None:
    """Every read of an empty window has an answer."""
    recorder, _ = make()
    assert recorder.count() == len(recorder) == recorder.intake.cleanup() == 0
    assert recorder.rate() == recorder.error_ratio() == 0.0
    assert recorder.percentile(50) is None
    assert recorder.events() == recorder.errors() == []
    assert recorder.by_key() == []
    assert [bucket.count for bucket in recorder.series(3)] == [0, 0, 0]
    assert recorder.sparkline(3) == "▁▁▁"
    assert bool(recorder)
    assert recorder.stats("f") == WindowStats("f", 60.0, 0, 0, 0, 0.0, 0.0, None, None, None, 0, 0)
    recorder._check()


def test_series_is_the_window_in_parts() -> None:
    """Parts are equal, oldest first, dated, and an error counts in its part."""
    recorder, clock = make(60.0, wall=Clock(1000.0))
    clock.now = 100.0
    for clock.now, duration, outcome in ((100.0, 1.0, "ok"), (125.0, 2.0, "error"), (130.0, 4.0, "cancelled")):
        note(recorder, clock, duration, outcome)  # type: ignore[arg-type]
    clock.now = 150.0
    dates = [datetime.fromtimestamp(1000.0 + begin, UTC) for begin in (90.0, 110.0, 130.0)]
    assert recorder.series(3) == [
        Bucket(dates[0], 20.0, 1, 0, 1.0),
        Bucket(dates[1], 20.0, 1, 1, 2.0),
        Bucket(dates[2], 20.0, 1, 0, 4.0),
    ]


def test_series_past_a_drop_adds_up_to_the_count() -> None:
    """With few events kept the parts come from the buckets, and none is lost."""
    recorder, clock = make(120.0, max_events=3)
    for i in range(3_000):
        clock.now += 0.05
        note(recorder, clock, 0.5, "error" if i % 5 == 0 else "ok")
    series = recorder.series(24)
    assert sum(bucket.count for bucket in series) == recorder.count()
    assert all(90 <= bucket.count <= 130 for bucket in series)
    assert all(bucket.mean == pytest.approx(0.5) for bucket in series)
    assert sum(bucket.errors for bucket in series) == recorder.stats("f").errors


def test_sparkline_shows_every_call() -> None:
    """A part with any call stands above one with none; the tallest is a full block."""
    recorder, clock = make(60.0)
    for clock.now, times in ((0.0, 1), (20.0, 0), (40.0, 100)):
        for _ in range(times):
            note(recorder, clock)
    clock.now = 59.0
    assert recorder.sparkline(3) == "▂▁█"


def test_snapshots_subtract() -> None:
    """Counts are subtracted; rates, percentiles and sizes are the later ones."""
    recorder, clock = make(60.0, max_events=2)
    note(recorder, clock, 1.0)
    earlier = recorder.stats("f")
    for outcome in OUTCOMES:
        note(recorder, clock, 1.0, outcome)
    later = recorder.stats("f")
    difference = later - earlier
    assert (difference.count, difference.errors, difference.cancelled, difference.dropped) == (3, 1, 1, 2)
    assert (difference.rate, difference.p95, difference.kept, difference.error_ratio) == (
        later.rate,
        later.p95,
        2,
        0.25,
    )
    with pytest.raises(TypeError):
        later - 1  # type: ignore[operator]


def test_clear_forgets_the_events_but_not_the_counter() -> None:
    """After clear() the window is as new, exact again, with `dropped` going on."""
    recorder, clock = make(60.0, max_events=2)
    for _ in range(5):
        note(recorder, clock)
    assert recorder.stats("f").dropped == 3
    recorder.intake.clear()
    assert (recorder.count(), len(recorder), recorder.percentile(50), recorder.stats("f").dropped) == (0, 0, None, 3)
    note(recorder, clock)
    assert recorder.count() == 1
    recorder._check()


def test_records_are_frozen() -> None:
    """Neither event, bucket nor figures can be altered, and none has a `__dict__`."""
    recorder, clock = make()
    note(recorder, clock)
    records: dict[str, object] = {
        "message": recorder.events()[0],
        "mean": recorder.series(1)[0],
        "count": recorder.stats("f"),
    }
    assert [type(record) for record in records.values()] == [Event, Bucket, WindowStats]
    for field, record in records.items():
        assert not hasattr(record, "__dict__")
        with pytest.raises(AttributeError):
            setattr(record, field, None)


@pytest.mark.parametrize("q", [-0.1, 100.1, math.nan, math.inf])
def test_percentiles_outside_the_scale_are_refused(q: float) -> None:
    """q goes from 0 to 100."""
    with pytest.raises(ValueError, match="from 0 to 100"):
        watched().window.percentile(q)


def test_bad_arguments_are_refused() -> None:
    """Each with the value and the remedy."""
    window = watched().window
    for last in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"last={last} is .*positive"):
            window.count(last)
    for call in (lambda: window.series(0), lambda: window.sparkline(0), lambda: window.by_key(0)):
        with pytest.raises(ValueError, match=r"=0 .*1"):
            call()
    with pytest.raises(ValueError, match="per=0"):
        window.rate(0)
    for span_s in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"window={span_s} is .*positive"):
            sliding_window(span_s)
    with pytest.raises(ValueError, match="max=0"):
        sliding_window("1m", max=0)
    with pytest.raises(ValueError, match="only="):
        sliding_window("1m", only=())


def watched() -> Any:
    """A function with a window."""

    @sliding_window("1m")
    def work() -> None: ...

    return work
