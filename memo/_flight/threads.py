"""Single flight for threads and greenlets: the leader runs the function where it was called, the others wait."""

import enum
import functools
from collections.abc import Callable, Hashable
from typing import Any

from memo._base import Caller, call_when, caller, caller_lives, claim, gate_for, real
from memo._call import PLAIN_KEYS, stored_key
from memo._flight.circles import circle_of_callers, graph, waiting
from memo._flight.flight import (
    ABANDONED,
    ANY_TIME,
    CALL,
    LATE_CALL,
    RAISED,
    REFRESH,
    RETURNED,
    RUNNING,
    TIMED_OUT,
    InFlight,
    Purpose,
    born,
    look_in,
    set_apart,
)
from memo._flight.flights import Flights
from memo._flight.role import Role
from memo._flight.upstream import Upstream
from memo._flight.waiters import add_waiter, remove_waiter, wake_all

__all__ = ("ThreadFlights",)

_PATIENCE = 20
"""Looks for which a waiter leaves a leader whose work is over the time to say so."""


class _Next(enum.Enum):
    """What a caller does who found another's flight."""

    LEAD = enum.auto()
    """Run the function."""
    ANSWERED = enum.auto()
    """Return what that flight returned."""
    LOOK = enum.auto()
    """Look again which flight is the current one."""


class ThreadFlights(Flights):
    """The running calls of a plain function.

    A call goes ``enter``, the function, ``finish`` or ``failed``; a generated wrapper does that inline,
    and ``lead`` for whoever has no wrapper.
    """

    def enter(self, mine: InFlight, key: Hashable, now: float, role: Role | None = None) -> bool:
        """Lead the flight of *key* as *mine*, newly born, begun *now*, or wait for the one that runs.

        Returns:
            True: the caller leads: it runs the function and then calls ``finish`` or ``failed``.
            False: ``mine.value`` is the answer.

        Raises:
            InflightTimeout: The flight that the caller had joined is older than the timeout.
            Exception: What the work of the flight that the caller had joined raised.
        """
        mine.started = now
        mine.leader = caller()
        mine.key = key
        purpose = mine.purpose
        direct = purpose is not REFRESH and self.table.share
        while True:
            try:
                if type(key) not in PLAIN_KEYS:
                    mine.key = key = stored_key(key, self.table.known)
                current = self._by_key.setdefault(key, mine) if direct else self.table.take_place(mine)
            except TypeError:
                mine.key = None
                self.refuse_unhashable(key)
                raise
            if current is mine:
                if key in self._kept.index and purpose is not REFRESH and self.found_meanwhile(mine):
                    return False
                break
            after = self._meet(mine, current, role)
            if after is _Next.ANSWERED:
                return False
            if after is _Next.LEAD:
                break
        # beside saying that it leads, with no call in between
        mine.led = True
        if purpose is CALL:
            self._counters.led += 1
        elif purpose is LATE_CALL:
            self._counters.led_late += 1
        else:
            self._counters.refreshes += 1
        return True

    def found_meanwhile(self, mine: InFlight) -> bool:
        """Whether a second look, now that *mine* is in the table, finds a result; then ``mine.value`` is the answer."""
        if not self.keeper.look_again(mine):
            return False
        self.table.settle(mine, RETURNED, mine.value)  # for those who joined meanwhile
        return True

    def _meet(self, mine: InFlight, current: InFlight, role: Role | None) -> _Next:
        """Join *current*, if that may be; *mine* gets its value, or leads after it, or beside it."""
        me = mine.leader
        if type(me) is not int:
            claim(me, InFlight)
        if current.over and (current.leader == me or current.state is not RUNNING):
            self.abandon(current)  # its leader, perhaps this caller himself, could not take it out
            return _Next.LOOK
        if current.leader == me:
            set_apart(mine)
            return _Next.LEAD  # a recursion with the same key: run straight through, outside the table
        # Its leader is about to take it out, without the lock.  A fence may have passed it by, so what it
        # returns is not for this call; but to wait it must, or two would run at the same time.
        leaving = not hasattr(current, "current") and not current.fenced
        if not leaving and self.is_stuck(current):
            self.expire(current)
            return _Next.LOOK
        inherited = False
        while (joined := self._wait_as(current, me, inherited, role)) is not None:
            if leaving and current.state is RETURNED:
                return _Next.LOOK
            if mine.purpose is not CALL and self._is_too_old(current, mine.purpose, mine.after):
                return _Next.LOOK
            if current.state is RETURNED or (joined and current.state is not ABANDONED):
                mine.value = self._share(current, mine.purpose, role)
                return _Next.ANSWERED
            if current.state is not ABANDONED:
                return _Next.LOOK  # it failed before this call could join it
            current = self.table.succeed(current, mine, joined)
            if current is mine:
                return _Next.LEAD  # as the successor
            inherited = joined
            leaving = False
        set_apart(mine)
        return _Next.LEAD  # this call must not wait: run straight through, outside the table

    def finish(self, mine: InFlight, value: Any) -> Any:
        """End the flight that the caller led; returns what it is to get of *value*."""
        keeper = self.keeper
        value = keeper.accept(value)
        keeper.landed(mine, value)
        return keeper.hand_out(value)

    def lead(
        self,
        key: Hashable,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        purpose: Purpose = CALL,
        role: Role | None = None,
        finish: Callable[[Any, Any], Any] | None = None,
    ) -> Any:
        """Answer one call of a plain function, as a generated wrapper does inline.

        Args:
            key: What to load.
            args: The call's arguments.
            kwargs: Likewise.
            purpose: What for.
            role: Learns what the caller turned out to be.
            finish: What does the same as ``finish()`` for this function, in less time.
        """
        mine = born(InFlight(), purpose)
        if purpose is not CALL:
            mine.after = ANY_TIME if role is None else role.after
        try:
            if not self.enter(mine, key, self.clock.read(), role):
                return mine.value
            if self._tags_of is not None:
                mine.tags = self._tags_of(*args, **kwargs)
            if self._upstream is not None:
                return self._lead_through(self._upstream, mine, args, kwargs, role)
            finish = finish or self.finish
            if self.watch is not None:
                return self.watch.lead(mine, self.call, finish, args, kwargs)
            return finish(mine, self.call(*args, **kwargs))
        except BaseException as error:
            try:
                mine.over = True
                self.failed(mine, error)
            except BaseException:  # as in FAILED
                if mine.state is RUNNING:
                    mine.was_current = False
                    try:
                        del mine.current
                        if self._by_key.get(mine.key) is mine:
                            del self._by_key[mine.key]
                            mine.was_current = True
                    except BaseException:
                        pass
                    mine.heir = None
                    mine.state = ABANDONED
                    self._counters.cancelled += mine.led
                raise
            raise
        finally:
            if role is not None:
                role.led = mine.led

    def _lead_through(
        self, upstream: Upstream, mine: InFlight, args: tuple[Any, ...], kwargs: dict[str, Any], role: Role | None
    ) -> Any:
        """Look upstream, run the function if need be, and end the flight; returns what its leader is to get."""
        keeper = self.keeper
        run = functools.partial(self._run, mine, args, kwargs)
        value = upstream.lead(mine, run, keeper.accept, role)
        keeper.landed(mine, value)
        return keeper.hand_out(value)

    def _run(self, mine: InFlight, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the function, and tell who watches; what is accepted of its result."""
        if self.watch is not None:
            return self.watch.lead(mine, self.call, self._accept, args, kwargs)
        return self.keeper.accept(self.call(*args, **kwargs))

    def _accept(self, mine: InFlight, value: Any) -> Any:
        return self.keeper.accept(value)

    def names(self) -> dict[str, Any]:
        """What those words in templates mean that are the function's own."""
        return {
            "enter": self.enter,
            "found_meanwhile": self.found_meanwhile,
            "finish": self.finish,
            "failed": self.failed,
            "table": self._by_key,
            "counters": self._counters,
        }

    def failed(self, mine: InFlight, error: BaseException) -> None:
        """End a flight that its leader's work raised *error* from; nothing if it never led or has ended.

        Cut short, it has ended the flight, or it is to be ended as FAILED does.
        """
        if not mine.led:
            self.table.settle(mine, ABANDONED)  # interrupted, or told another's error, before it led
            return
        if mine.state is not RUNNING and mine.state is not TIMED_OUT:
            if mine.waiters:  # interrupted after the end of the flight and before they were woken
                wake_all(mine, self._lock)
            return
        counters = self._counters
        if isinstance(error, Exception):
            ended = True
            try:
                self.keeper.failed(mine, error)
            finally:
                ended = self.table.settle(mine, RAISED, error=error, count=True)
            counters.failed += not ended and mine.state is TIMED_OUT
        else:
            ended = self.table.settle(mine, ABANDONED, count=True)
            counters.cancelled += not ended and mine.state is TIMED_OUT

    def is_dead(self, flight: Any, loop: Any = None) -> bool:
        """Whether nobody can finish *flight* any more."""
        return flight.over or not caller_lives(flight.leader)

    # -- waiting

    def _wait_as(self, flight: InFlight, me: Caller, inherited: bool, role: Role | None) -> bool | None:
        """Wait as ``_wait()`` does, which *role* tells meanwhile."""
        if role is None:
            return self._wait(flight, me, inherited)
        role.awaits = flight
        try:
            return self._wait(flight, me, inherited)
        finally:
            role.awaits = None

    def _wait(self, flight: InFlight, me: Caller, inherited: bool) -> bool | None:
        """Wait until *flight* is no longer running.

        Args:
            me: Who waits.
            inherited: This caller waited for the flight that *flight* succeeded, and counts as present.

        Returns:
            True: this caller was present when it ended, and so has a claim to its error.  False: it had
            ended already.  None: it might never end, since its leader waits for this caller, or may need the
            event loop that runs in this thread, or the thread itself.
        """
        gate = gate_for(flight.leader)
        if gate is None and flight.state is RUNNING and self.is_dead(flight):
            self.abandon(flight)
        if gate is None and flight.state is not RUNNING:
            return inherited
        present = inherited
        try:
            if gate is not None:
                with graph:
                    if circle_of_callers(flight, me):
                        gate = None
                    else:
                        waiting[me] = flight
            if gate is None:
                if inherited:
                    with self._lock:
                        self.table.withdraw(flight)
                return None
            with self._lock:
                if flight.state is not RUNNING:
                    return inherited
                ahead = flight.joined
                add_waiter(flight, gate.open)
                if not inherited:
                    flight.present += 1
                    flight.joined += 1
                    present = True
            self._stand(flight, gate, ahead)
        except BaseException:
            waiting.pop(me, None)
            with self._lock:
                if flight.state is RUNNING and gate is not None:
                    remove_waiter(flight, gate.open)
                if present:
                    self.table.withdraw(flight)
            raise
        finally:
            waiting.pop(me, None)
        return True

    def _stand(self, flight: InFlight, gate: Any, ahead: int) -> None:
        """Stand at *gate* until *flight* has ended: that is told there; it may be too old, or lose its leader.

        Args:
            ahead: How many joined before.
        """
        ends = alarm = None
        looks = 0
        try:
            if self.timeout_s is not None:
                ends = real.monotonic() + flight.started + self.timeout_s - self.clock.read()
                alarm = call_when(self.clock.read, flight.started + self.timeout_s, gate.open)
            while flight.state is RUNNING:
                left = look_in(flight, ahead)
                if ends is not None:
                    left = min(left, ends - real.monotonic())
                if left > 0:
                    gate.wait(left)
                if flight.state is not RUNNING:
                    break
                looks += flight.over
                if (ends is not None and real.monotonic() >= ends) or self.is_stuck(flight):
                    if self.expire(flight):
                        break
                    ends = None  # its leader is at the end
                if looks > _PATIENCE or not caller_lives(flight.leader):
                    self.abandon(flight)
        finally:
            if alarm is not None:
                alarm()
