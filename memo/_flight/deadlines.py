"""When the tasks of flights are too old: by the time of their loops, and by a clock that is advanced by hand."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable

from memo._base import Clock, Stage, call_in, call_when, is_advanced_by_hand, renew
from memo._flight.flight import TaskFlight

__all__ = ("Deadlines",)


class Deadlines:
    """The flights of one function that have a deadline.

    What is asked of a loop and of a clock holds neither the flight nor the function, let alone a caller's context.

    Args:
        clock: The function's.
        timeout_s: Age in seconds at which a flight expires; None: never.
        expire: Detaches a flight; holds nothing of what lies above.
    """

    def __init__(self, clock: Clock, timeout_s: float | None, expire: Callable[[TaskFlight], object]) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._expire = expire
        self._timed: dict[TaskFlight, None] = {}
        renew(Stage.FLIGHTS, self)

    def watch(self, flight: TaskFlight) -> None:
        """Have *flight*, which begins, expire by a clock that is advanced by hand."""
        self._timed[flight] = None
        if is_advanced_by_hand(self._clock.read):
            self._set_alarm(flight)

    def set_timer(self, flight: TaskFlight) -> None:
        """Have *flight* expire at its deadline in real time.

        Asked for after its first step, which is the last of most.
        """
        assert self._timeout_s is not None
        left = flight.started + self._timeout_s - self._clock.read()
        flight.timer = call_in(flight.loop, max(0.0, left), _expire, self._expire, weakref.ref(flight))

    def disarm(self, flight: TaskFlight) -> None:
        """Have *flight* expire no more; called in the thread of its loop."""
        self._timed.pop(flight, None)
        timer, flight.timer = flight.timer, None
        if timer is not None:
            timer.cancel()
        alarm, flight.alarm = flight.alarm, None
        if alarm is not None:
            alarm()

    def forget_closed(self) -> None:
        """Forget flights whose loops are closed."""
        for flight in list(self._timed):  # list() is one step: the threads of other loops add theirs meanwhile
            if flight.loop.is_closed():
                self._timed.pop(flight, None)

    def renew(self) -> None:
        """Forget all: a forked child has none of the loops in whose threads they would end."""
        self._timed.clear()

    def follow(self) -> None:
        """Go by the clock as it is now."""
        for flight in list(self._timed):
            if flight.alarm is not None:
                flight.alarm()
            self._set_alarm(flight)

    def _set_alarm(self, flight: TaskFlight) -> None:
        assert self._timeout_s is not None
        expire = functools.partial(_expire, self._expire, weakref.ref(flight))
        flight.alarm = call_when(self._clock.read, flight.started + self._timeout_s, expire)


def _expire(expire: Callable[[TaskFlight], object], flight: weakref.ref[TaskFlight]) -> None:
    """Detach a flight whose deadline has come, if it is still there."""
    late = flight()
    if late is not None:
        expire(late)
