"""What a recorder answers is what the libraries of others answer."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.recorders import Clock, make, note


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
