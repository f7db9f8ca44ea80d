"""The window's own time: it goes on with a clock, stands still where that goes back or fails, and is dated."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memo._window.own_time import OwnTime


def shown(readings: list[Any]) -> Callable[[], float]:
    """A clock that shows each of these in turn, or raises it."""
    left = iter(readings)

    def clock() -> float:
        reading = next(left)
        if isinstance(reading, Exception):
            raise reading
        return float(reading)

    return clock


@settings(deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=2))
def test_goes_on_by_what_the_clock_goes_forward(readings: list[int]) -> None:
    """Steps forward add up, and steps back are left out."""
    time = OwnTime(shown(readings), lambda: 0.0, "f")
    begun = readings[1]
    forward = 0
    for before, reading in zip([begun, *readings[1:]], readings[1:], strict=False):
        forward += max(0, reading - before)
        assert time.follow() == reading
        assert time.now(is_empty=False) == begun + forward


def test_a_step_back_is_told_once() -> None:
    """Time goes on from where the clock then is."""
    time = OwnTime(shown([10, 10, 12, 4, 4, 6]), lambda: 0.0, "f")
    time.follow()
    assert not time.went_back()
    assert time.went_back()
    assert not time.went_back()
    assert time.now(is_empty=False) == 10
    time.follow()
    assert time.now(is_empty=False) == 12


def test_a_glance_changes_nothing() -> None:
    """A call that interrupted another does not find that the clock went back."""
    time = OwnTime(shown([10, 10, 4, 11, 12]), lambda: 0.0, "f")
    time.follow()
    assert (time.glance(), time.glance()) == (10, 11)
    assert (time.high, time.offset) == (10, 0)


@pytest.mark.parametrize("broken", [OSError("no clock"), math.nan, math.inf])
def test_stands_still_without_a_clock(broken: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What the clock does not tell is logged, and the latest that is known holds."""
    time = OwnTime(shown([10, 10, broken, 11]), lambda: 0.0, "f")
    time.follow()
    assert time.follow() == 10
    assert [record.name for record in caplog.records] == ["memo"]
    assert time.follow() == 11


def test_dated_by_the_first_reading_that_works(caplog: pytest.LogCaptureFixture) -> None:
    """An anchor that was made without a clock is made anew, though events are kept."""
    wall = iter([1000.0, 2000.0])
    time = OwnTime(shown([OSError("no clock"), 7, 8]), lambda: next(wall), "f")
    assert time.anchor == 1000
    time.follow()
    time.now(is_empty=False)
    assert time.anchor == 1993
    time.follow()
    time.now(is_empty=False)
    assert time.anchor == 1993
    assert len(caplog.records) == 1
