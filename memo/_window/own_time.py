"""The window's own time: the clock's, plus what the clock has ever gone back by; and its dates.

It stands still where the clock goes back and runs on with it from there.  So nothing leaves a window early, and
nothing is stuck in it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from memo._window.fields import TimeFields

__all__ = ("OwnTime",)

log = logging.getLogger("memo")


class OwnTime(TimeFields):
    """The time of one window.  The intake's lock guards it.

    A clock that raises or shows no finite number is logged to logger "memo"; time then stands still.

    Args:
        clock: Monotonic time in seconds.
        wall: Seconds since the epoch.
        where: Whose window it is, for the log.

    Attributes:
        high: The latest reading of the clock.
        offset: What the clock has gone back by, in all.
        anchor: When it was 0, in seconds since the epoch.
    """

    __slots__ = ("_clock", "_dated", "_wall", "_where")

    high: float
    offset: float
    anchor: float

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float], where: str) -> None:
        self._clock = clock
        self._wall = wall
        self._where = where
        self.high = -math.inf
        self.offset = 0.0
        self._dated = True  # whether the anchor comes from a clock that worked
        self.anchor = wall() - self.reading()

    def anew(self) -> OwnTime:
        """Another by the same clocks, for a window that begins now."""
        return OwnTime(self._clock, self._wall, self._where)

    def reading(self) -> float:
        """What the clock shows; the latest known where it cannot be read."""
        try:
            reading = self._clock()
            if math.isfinite(reading):
                return reading
            log.error("%s: clock showed %r, which is not finite; the window stands still", self._where, reading)
        except Exception:
            log.exception("%s: clock raised; the window stands still", self._where)
        self._dated = self._dated and self.high > -math.inf
        return self.high if self.high > -math.inf else 0.0

    def reach(self, reading: float) -> None:
        """Take *reading* for the latest: that of an event, and no earlier than the latest."""
        self.high = reading

    def follow(self) -> float:
        """Go on with the clock, forward or back; what it shows."""
        reading = self.reading()
        self._go_to(reading)
        return reading

    def went_back(self) -> bool:
        """Whether the clock shows less than before; then go on from there."""
        reading = self.reading()
        if reading >= self.high:
            return False
        self._go_to(reading)
        return True

    def _go_to(self, reading: float) -> None:
        if reading < self.high:
            self.offset += self.high - reading
        self.high = reading

    def now(self, *, is_empty: bool) -> float:
        """The window's own time, after ``follow()``.

        Args:
            is_empty: No event is kept, so that nobody can see a difference if the wall clock's corrections are
                followed.
        """
        if is_empty or not self._dated:
            self.anchor = self._wall() - self.high - self.offset
            self._dated = True
        return self.high + self.offset

    def glance(self) -> float:
        """The window's own time for a call that interrupted another, which must not find that the clock went back."""
        return max(self.reading(), self.high) + self.offset
