"""Single flight for threads and greenlets: the leader runs the function where it was called, the others wait."""

from collections.abc import Hashable
from typing import Any

from memo._base import PLAIN, Caller, call_when, caller, caller_lives, claim, gate_for, real
from memo._call import PLAIN_KEYS, stored_key
from memo._flight.circles import circle_of_callers, graph, waiting
from memo._flight.flight import ABANDONED, LOOK_S, RAISED, RETURNED, RUNNING, TIMED_OUT, InFlight, set_apart
from memo._flight.table import FlightTable
from memo._flight.waiters import add_waiter, remove_waiter, wake_all

__all__ = ("ThreadFlights",)

_PATIENCE = 20
"""Looks for which a waiter leaves a leader whose work is over the time to say so."""


class ThreadFlights(FlightTable):
    """The running calls of a plain function.

    A call goes ``enter``, the function, ``finish`` or ``failed``; a generated wrapper does that inline,
    and ``lead`` for whoever has no wrapper.
    """

    def enter(self, mine: InFlight, key: Hashable, now: float, refresh: bool = False, background: bool = False) -> bool:
        """Lead the flight of *key* as *mine*, begun *now*, or wait for the one that runs.

        Args:
            refresh: It supersedes a running load.
            background: It is no call, and does not count as one.

        Returns:
            True: the caller leads: it runs the function and then calls ``landed`` or ``failed``.
            False: ``mine.value`` is the answer.

        Raises:
            InflightTimeout: The flight that the caller had joined is older than the timeout.
            Exception: What the work of the flight that the caller had joined raised.
        """
        mine.over = mine.led = mine.fenced = False
        mine.current = True
        mine.refresh = refresh
        mine.waiters = None
        mine.present = mine.joined = 0
        mine.state = RUNNING
        mine.started = now
        me = mine.leader = caller()
        mine.key = key
        while True:
            try:
                if type(key) not in PLAIN_KEYS:
                    mine.key = key = stored_key(key, self.known)
                direct = self.share and not refresh
                current = self.table.setdefault(key, mine) if direct else self._take_place(mine)
            except TypeError:
                mine.key = None
                self._refuse_unhashable(key)
                raise
            if current is mine:
                if key in self.index and not refresh and self.look_again(mine):
                    self.settle(mine, RETURNED, mine.value)  # for those who joined meanwhile
                    return False
                break
            if type(me) is not int:
                claim(me, InFlight)
            if current.over and (current.leader == me or current.state is not RUNNING):
                self._abandon_dead(current)  # its leader, perhaps this caller himself, could not take it out
                continue
            if current.leader == me:
                set_apart(mine)
                break  # a recursion with the same key: run straight through, outside the table
            # Its leader is about to take it out, without the lock.  A fence may have passed it by, so what it
            # returns is not for this call; but to wait it must, or two would run at the same time.
            leaving = not hasattr(current, "current") and not current.fenced
            if not leaving and self._is_stuck(current):
                self.expire(current)
                continue
            inherited = False
            while (joined := self._wait(current, me, inherited)) is not None:
                if leaving and current.state is RETURNED:
                    break
                if current.state is RETURNED or (joined and current.state is not ABANDONED):
                    self._count_joined(refresh or background)
                    if current.state is not RETURNED:
                        self._raise_shared(current)
                    mine.value = self.hand_out(current.value)
                    return False
                if current.state is not ABANDONED:
                    break  # it failed before this call could join it
                current = self._succeed(current, mine, joined)
                if current is mine:
                    break
                inherited = joined
                leaving = False
            if joined is None:
                set_apart(mine)
                break  # this call must not wait: run straight through, outside the table
            if current is mine:
                break  # lead as the successor
        mine.led = True
        self.counters.started += 1
        if refresh or background:
            self.counters.refreshes += 1
        return True

    def finish(self, mine: InFlight, value: Any) -> Any:
        """End the flight that the caller led; returns what it is to get of *value*."""
        if type(value) not in PLAIN:
            self.refuse(self.name, value)
        with self.lock:
            self._take_out(mine)
            # from here on nothing strikes: it has ended, or it has not and ``failed()`` counts it
            self.counters.completed += 1
            if mine.state is RUNNING:
                mine.value = value
                mine.state = RETURNED
        if mine.waiters is not None:
            wake_all(mine, self.lock)
        return value

    def lead(
        self,
        key: Hashable,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        refresh: bool = False,
        background: bool = False,
        mine: InFlight | None = None,
    ) -> Any:
        """Answer one call of a plain function, as a generated wrapper does inline.

        Args:
            key: What to load.
            args: The call's arguments.
            kwargs: Likewise.
            refresh: It supersedes a running load.
            background: It is no call, and does not count as one.
            mine: A new flight, for who asks afterwards whether it led.
        """
        mine = InFlight() if mine is None else mine
        mine.background = background
        try:
            if not self.enter(mine, key, self.clock.read(), refresh, background):
                return mine.value
            if self.tags_of is not None:
                mine.tags = self.tags_of(*args, **kwargs)
            return self.finish(mine, self.call(*args, **kwargs))
        except BaseException as error:
            try:
                mine.over = True
                self.failed(mine, error)
            except BaseException:  # as in FAILED
                try:
                    if mine.state is RUNNING:
                        mine.was_current = False
                        try:
                            del mine.current
                            if self.table.get(mine.key) is mine:
                                del self.table[mine.key]
                                mine.was_current = True
                        except BaseException:
                            pass
                        mine.heir = None
                        mine.state = ABANDONED
                        self.counters.cancelled += mine.led
                except AttributeError:  # it was struck before it entered
                    pass
                raise
            raise

    def failed_names(self) -> dict[str, Any]:
        """What the words in FAILED mean."""
        return {
            "failed": self.failed,
            "AttributeError": AttributeError,
            "table": self.table,
            "counters": self.counters,
            "RUNNING": RUNNING,
            "ABANDONED": ABANDONED,
            "BaseException": BaseException,
        }

    def failed(self, mine: InFlight, error: BaseException) -> None:
        """End a flight that its leader's work raised *error* from; nothing if it never led or has ended.

        Cut short, it has ended the flight, or it is to be ended as FAILED does.
        """
        if not hasattr(mine, "key"):
            return  # interrupted before it entered
        if not mine.led:
            self.settle(mine, ABANDONED)  # a caller who was interrupted, or got another's error, before it led
            return
        if mine.state is not RUNNING and mine.state is not TIMED_OUT:
            if mine.waiters:  # interrupted after the end of the flight and before they were woken
                wake_all(mine, self.lock)
            return
        counters = self.counters
        if isinstance(error, Exception):
            ended = True
            try:
                self.load_failed(mine, error)
            finally:
                ended = self.settle(mine, RAISED, error=error, count=True)
            counters.failed += not ended and mine.state is TIMED_OUT
        else:
            ended = self.settle(mine, ABANDONED, count=True)
            counters.cancelled += not ended and mine.state is TIMED_OUT

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
        if gate is None and flight.state is RUNNING and self._is_dead(flight, None):
            self._abandon_dead(flight)
        if gate is None and flight.state is not RUNNING:
            return inherited
        alarm = None
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
                    with self.lock:
                        self._withdraw(flight)
                return None
            with self.lock:
                if flight.state is not RUNNING:
                    return inherited
                add_waiter(flight, gate.open)
                if not inherited:
                    flight.present += 1
                    flight.joined += 1
                    present = True
            ends = None
            looks = 0
            if self.timeout_s is not None:
                ends = real.monotonic() + flight.started + self.timeout_s - self.clock.read()
                alarm = call_when(self.clock.read, flight.started + self.timeout_s, gate.open)
            while flight.state is RUNNING:
                left = LOOK_S if ends is None else min(LOOK_S, ends - real.monotonic())
                if left > 0:
                    gate.wait(left)
                if flight.state is not RUNNING:
                    break
                looks += flight.over
                if (ends is not None and real.monotonic() >= ends) or self._is_stuck(flight):
                    if self.expire(flight):
                        break
                    ends = None  # its leader is at the end
                if looks > _PATIENCE or not caller_lives(flight.leader):
                    self._abandon_dead(flight)
        except BaseException:
            waiting.pop(me, None)
            with self.lock:
                if flight.state is RUNNING and gate is not None:
                    remove_waiter(flight, gate.open)
                if present:
                    self._withdraw(flight)
            raise
        finally:
            waiting.pop(me, None)
            if alarm is not None:
                alarm()
        return True
