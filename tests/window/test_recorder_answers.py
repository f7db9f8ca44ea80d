"""Dates, series, sparklines and refusals of a recorder."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kit.recorders import Clock, make, note

from memo import sliding_window
from memo._window.stats import Bucket, Event, Outcome, WindowStats

OUTCOMES: tuple[Outcome, ...] = ("ok", "error", "cancelled")


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
