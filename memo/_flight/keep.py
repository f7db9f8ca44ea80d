"""Work that goes on for a while though the last of its callers has left: ``keep=``.

- Whoever leaves last notes when (``left_at``) under the table's lock, instead of giving the flight up.  It stays in the
  table, so that newcomers join it, and its result is stored, if nothing fences it.
- The flight ends if nobody has joined it once the span has passed since the last one left, by the function's clock.
  Whether somebody has is seen by ``present`` alone, under the lock: to join takes nothing back here.
- Nothing here holds a flight longer than its task runs.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from contextvars import Context

from memo._base import Clock, Stage, Timer, call_elsewhere, call_in, call_when, is_advanced_by_hand, renew
from memo._flight.flight import RUNNING, TaskFlight
from memo._flight.lost_work import keep_quiet
from memo._flight.table import FlightTable
from memo._flight.waiters import running_loop

__all__ = ("Keep", "cancel_task")


class Keep:
    """The flights of one function that nobody waits for, and that go on.

    Args:
        table: The flights.
        keep_s: Seconds for which they do.
    """

    def __init__(self, table: FlightTable, keep_s: float) -> None:
        self.keep_s = keep_s
        self._table = table
        self._clock: Clock = table.clock
        self._kept: dict[TaskFlight, Timer | Callable[[], object] | None] = {}
        """What each is looked at by: a timer of its loop, or (what revokes) a wake-up of a clock advanced by hand."""
        renew(Stage.FLIGHTS, self)

    def begin(self, flight: TaskFlight) -> None:
        """Look after *flight*, whose last caller has just left; called without the lock, in any thread."""
        task, loop = flight.task, flight.loop
        if task is None or task.done():
            return
        if running_loop() is loop:
            self._begin(flight)
        else:
            call_elsewhere(loop, self._begin, flight)

    def _begin(self, flight: TaskFlight) -> None:
        task = flight.task
        if task is None or task.done() or flight in self._kept:
            return  # what looks after it since it was left before will see how long this time
        self._kept[flight] = None
        keep_quiet(task)  # nobody asked for it: the loop may end before it does
        task.add_done_callback(functools.partial(self._forget, flight), context=Context())
        self._look_in(flight, self.keep_s)

    def _look_in(self, flight: TaskFlight, seconds: float) -> None:
        """Look at *flight* in so many seconds; called in the thread of its loop, or under a clock advanced by hand."""
        read, look = self._clock.read, functools.partial(_look, weakref.ref(self), weakref.ref(flight))
        if is_advanced_by_hand(read):
            self._kept[flight] = call_when(read, read() + seconds, look)
        else:
            self._kept[flight] = call_in(flight.loop, seconds, look)

    def look(self, flight: TaskFlight) -> None:
        """End *flight* if its time has passed and nobody has joined it."""
        with self._table.lock:
            left_at = flight.left_at
            if flight.state is not RUNNING or left_at is None:
                return
            left_s = left_at + self.keep_s - self._clock.read()
            ends = left_s <= 0 and self._table.give_up(flight)
        if ends:
            cancel_task(flight)
        elif flight in self._kept:
            self._look_in(flight, left_s if left_s > 0 else self.keep_s)

    def _forget(self, flight: TaskFlight, task: object) -> None:
        _revoke(self._kept.pop(flight, None))

    def follow(self) -> None:
        """Go by the clock as it is now."""
        now = self._clock.read()
        for flight, looks in list(self._kept.items()):
            _revoke(looks)
            if flight.left_at is not None:
                flight.left_at = min(flight.left_at, now)
            if running_loop() is flight.loop or is_advanced_by_hand(self._clock.read):
                self.look(flight)
            else:
                call_elsewhere(flight.loop, self.look, flight)

    def forget_closed(self) -> None:
        """Forget flights whose loops are closed."""
        for flight in list(self._kept):  # list() is one step: the threads of other loops add theirs meanwhile
            if flight.loop.is_closed():
                self._kept.pop(flight, None)

    def renew(self) -> None:
        """Forget all: a forked child has none of the loops in whose threads they run."""
        self._kept.clear()


def _look(keep: weakref.ref[Keep], flight: weakref.ref[TaskFlight]) -> None:
    keeper, late = keep(), flight()
    if keeper is not None and late is not None:
        keeper.look(late)


def _revoke(looks: Timer | Callable[[], object] | None) -> None:
    if isinstance(looks, Timer):
        looks.cancel()
    elif looks is not None:
        looks()


def cancel_task(flight: TaskFlight) -> None:
    """Cancel the task of *flight*, from any thread."""
    if flight.task is None:
        return
    if running_loop() is flight.loop:
        flight.task.cancel()
    else:
        call_elsewhere(flight.loop, flight.task.cancel)
