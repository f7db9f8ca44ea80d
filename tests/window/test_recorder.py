"""What a recorder answers is what a plain list of the events answers."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from kit.recorders import Clock, make, note

from memo._window.events import Columns, Raw
from memo._window.stats import Outcome
from memo._window.totals import BUCKETS, cells_of


def nearest_rank(durations: list[float], q: float) -> float | None:
    ordered = sorted(durations)
    return ordered[max(1, math.ceil(q * len(ordered) / 100)) - 1] if ordered else None


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
