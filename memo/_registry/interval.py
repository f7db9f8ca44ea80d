"""The interval of the janitor: when the next clean-up is due, by a clock that may be advanced by hand."""

import functools
import math
from collections.abc import Callable

from memo._base import Clock, call_when

__all__ = ("Interval",)


class Interval:
    """From the end of one clean-up to the beginning of the next.  To be used under the janitor's lock.

    Args:
        clock: What reads the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = 0.0
        """By the clock, when it is over."""
        self._number = 0
        """Which one this is: a wake-up that was asked for in an earlier one is void."""
        self._revoke: Callable[[], object] | None = None
        """Takes back the wake-up that a clock advanced by hand was asked for; None while the clock runs by itself."""
        self.was_reached = False
        """A clock that is advanced by hand has come to its end."""

    def begin(self, every_s: float, reached: Callable[[int], object]) -> None:
        """Begin anew.

        Args:
            every_s: Its length.
            reached: Called with its number, without the lock, by what advances the clock past its end by hand.
        """
        self.end()
        read = self._clock.read
        self._due = read() + every_s
        self._revoke = call_when(read, self._due, functools.partial(reached, self._number))

    def end(self) -> None:
        """Be over, or be given up."""
        self._number += 1
        self.was_reached = False
        revoke, self._revoke = self._revoke, None
        if revoke is not None:
            revoke()

    def is_number(self, number: int) -> bool:
        """Whether it is the one of that number still."""
        return number == self._number

    @property
    def left_s(self) -> float:
        """Seconds until it is over, 0 or less if it is; infinite if a clock will tell that is advanced by hand."""
        if self.was_reached:
            return 0.0
        return math.inf if self._revoke is not None else self._due - self._clock.read()

    def forget_wake_up(self) -> None:
        """After a fork: the wake-up is the parent's."""
        self._revoke = None
