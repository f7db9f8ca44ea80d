"""Single flight: equal calls that run at the same time share one execution.

No decorator in it.  Here is what holds for threads and for coroutines; ``threads`` and ``tasks`` say how each waits.

- Whose call closes a circle of those who wait runs straight through; see ``circles``.
- An ``Exception`` belongs to the flight and is shared.  Any other end of the work belongs to the
  one it struck: the flight is ABANDONED, the first of those who waited succeeds it (``heir``), and
  the others wait for that one.
- The function, the keeper and wake-ups run outside the lock of the table.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from itertools import starmap
from operator import call as call_it
from typing import Any

from memo._base import Clock, seconds_in_words, shared_copy
from memo._call import stored_key
from memo._flight.flight import ABANDONED, CALL, RETURNED, RUNNING, TIMED_OUT, InFlight, Purpose
from memo._flight.keeper import Keeper
from memo._flight.role import Role
from memo._flight.table import FlightTable
from memo._flight.waiters import wake_ended
from memo._flight.watch import Watch
from memo.errors import InflightTimeout

__all__ = ("Flights",)


class Flights:
    """The running calls of one function, of either colour.

    Args:
        name: The function's qualified name, for messages.
        call: The function.
        table: The flights.
        keeper: Decides what becomes of results.
        timeout_s: Age in seconds at which a flight counts as stuck; None: never.
        explain: Says why a key cannot be hashed, in terms of the function's parameters.
        tags_of: Computes the tags of a call; None if they are fixed.
    """

    def __init__(
        self,
        name: str,
        call: Callable[..., Any],
        table: FlightTable,
        keeper: Keeper,
        timeout_s: float | None,
        explain: Callable[[Hashable], TypeError | None],
        tags_of: Callable[..., tuple[str, ...] | None] | None,
    ) -> None:
        self.name = name
        self.call: Callable[..., Any] = call
        self.table = table
        self.keeper = keeper
        self.timeout_s = timeout_s
        self.clock: Clock = table.clock
        self._upstream = keeper.upstream
        self._kept = keeper.kept
        self._hand_out = keeper.hand_out if keeper.copies else None
        """Makes what a caller gets of a value; None: the value itself."""
        self._by_key = table.by_key
        self._counters = table.counters
        self._lock = table.lock
        self._explain = explain
        self._tags_of = tags_of
        self.watch: Watch | None = None
        """Told of executions; None: nobody watches."""

    def serve(self, call: Callable[..., Any]) -> None:
        """Run *call* from now on."""
        self.call = call

    def be_watched(self, watch: Watch | None) -> None:
        """Tell *watch* of executions from now on, or (None) nobody."""
        self.watch = watch

    # -- for those who wait

    def hashed(self, key: Hashable) -> Hashable:
        """*key* as tables hold it, so that its hash is asked for once."""
        try:
            return stored_key(key, self.table.known)
        except TypeError:
            self.refuse_unhashable(key)
            raise

    def refuse_unhashable(self, key: Hashable) -> None:
        """Raise why *key* cannot be hashed, if that can be told better than it was."""
        refusal = self._explain(key)
        if refusal is not None:
            raise refusal from None

    def _share(self, flight: Any, purpose: Purpose, role: Role | None) -> Any:
        """What a joiner gets of *flight*, which has ended; raises what ended it without a value."""
        if role is not None:
            role.joined = True
        if purpose is CALL:
            self._counters.joins += 1
        else:
            self._counters.join(purpose)
        if self.watch is not None:
            self.watch.joined(flight)
        if flight.state is RETURNED:
            return self._taken(flight)
        if flight.state is TIMED_OUT:
            raise self.timed_out(flight.key)
        error = flight.error
        assert error is not None, "only those who were present when it ended come here"
        try:
            raise shared_copy(error, flight.traceback)
        finally:
            error = None  # the traceback holds this frame, which must not hold the error
            self.table.forget_error(flight)

    def _taken(self, flight: Any) -> Any:
        """What one of those who were present gets of a flight that returned."""
        return flight.value if self._hand_out is None else self._hand_out(flight.value)

    def _is_too_old(self, flight: InFlight, purpose: Purpose, after: float) -> bool:
        """Whether *flight* has returned what will not do for a joiner, who takes only what came later than *after*.

        What a function returned is new; it may be old where it was found upstream.
        """
        if self._upstream is None or purpose is CALL or flight.state is not RETURNED:
            return False
        return not self.keeper.is_new_enough(flight, after)

    def timed_out(self, key: Hashable) -> InflightTimeout:
        """The error of those who waited for a flight of *key* that is too old."""
        within = seconds_in_words(self.timeout_s or 0.0)
        return InflightTimeout(
            f"{self.name}(): the call that this one waited for did not end within {within} "
            f"and was detached; the next call starts a new one.",
            key,
            self.timeout_s,
        )

    # -- what is stuck or dead

    def is_stuck(self, flight: InFlight) -> bool:
        """Whether *flight* is too old."""
        return self.timeout_s is not None and self.clock.read() >= flight.started + self.timeout_s

    def is_dead(self, flight: Any, loop: asyncio.AbstractEventLoop | None = None) -> bool:
        """Whether nobody can finish *flight* any more, as seen from *loop* (None: from no loop)."""
        raise NotImplementedError

    def expire(self, flight: InFlight) -> bool:
        """Detach a stuck flight: waiters get ``InflightTimeout``, an async leader's task is cancelled.

        Returns False if it has ended, or its leader is ending it at this moment.
        """
        ended = False
        watch = self.watch
        told = starmap(call_it, () if watch is None else watch.steps_of_timeout(flight, self.clock.read()))
        try:
            with self._lock:
                was_current = self.table.take_out(flight)
                if flight.state is not RUNNING or not flight.fenced:
                    return False
                flight.was_current = was_current
                flight.state = TIMED_OUT
                self._counters.timeouts += 1
                ended = True
                deque(told, 0)  # one step
            self._tell_expired(flight)
        except BaseException:
            if ended:
                self._tell_expired(flight)
            raise
        return True

    def _tell_expired(self, flight: InFlight) -> None:
        """Tell whom it concerns that *flight* has timed out; cut short, it can be done again."""
        try:
            self.keeper.failed(flight, self.timed_out(flight.key))
        finally:
            wake_ended(flight)
            self._stop(flight)

    def _stop(self, flight: Any) -> None:
        """Stop the work of *flight*, as far as that can be done."""

    def abandon(self, flight: InFlight) -> bool:
        """Give up a flight whose thread or loop died; whether it was still thought to run."""
        was_running = self.table.settle(flight, ABANDONED, count=True)
        flight.over = True  # counted: should its task be ended later, it is not counted again
        return was_running

    def cleanup(self) -> int:
        """Detach what is stuck or has lost its thread or loop, and what ended unseen; returns how many."""
        count = self.table.drop_lost()
        for flight in self.table.running():
            if self.is_stuck(flight) and self.expire(flight):
                count += 1
            elif self.is_dead(flight):
                count += self.abandon(flight)
        return count

    def follow(self, read: Callable[[], float]) -> None:
        """Go by another clock, which may have been put back."""
        self.table.follow(read)
