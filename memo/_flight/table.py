"""The table of running calls: who leads, who waits, and how a flight ends.

Invariants:

- ``table`` maps a key to its *current* flight.  Only that flight's result may be stored, and a
  flight removes itself only if it is still the current one.  To fence a flight is to take it out.
- A flight is born with ``current`` set.  Who takes it out of a table of single flight deletes that first, which is
  one step and succeeds once: between the two nobody else takes it out, and nothing ever replaces it (``setdefault``),
  so that its leader may remove its key without the lock and removes no other flight.
- A flight leaves the table, then RUNNING, once, and whoever does that wakes its waiters: either under ``lock``, or,
  without it, its leader that has deleted ``current``.  Whoever holds the lock and fails to delete it sees by
  ``fenced`` whether another took the flight out or its leader is at the end; then hands off, unless that leader is
  ``over`` or dead, and so not at anything any more.
- Tables with a store or without sharing are changed under ``lock`` alone, but for newcomers' ``setdefault``.
- The function, callbacks and wake-ups run outside ``lock``.
- An ``Exception`` belongs to the flight and is shared.  Any other end of the work belongs to the
  one it struck: the flight is ABANDONED, the first of those who waited succeeds it (``heir``), and
  the others wait for that one.

Counters are plain additions to attributes: with the interpreter's global lock no other thread
runs between reading and writing one, since no call stands in between.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable
from typing import Any

from memo._base import (
    Aside,
    Clock,
    Pair,
    Stage,
    call_elsewhere,
    caller,
    caller_lives,
    greenlet_of,
    hold,
    refuse_one_shot,
    renew,
    set_at_once,
    shared_copy,
    thread_ident,
)
from memo._call import Known, stored_key
from memo._flight.flight import ABANDONED, RAISED, RETURNED, RUNNING, TIMED_OUT, InFlight, TaskFlight, set_apart
from memo._flight.lost_work import lay_to_rest
from memo._flight.stats import Flight, InflightStats
from memo._flight.waiters import running_loop, wake_ended
from memo.errors import InflightTimeout

__all__ = ("Counters", "FlightTable")


class Counters:
    """What ``InflightStats`` defines, and how many of the first two were refreshes."""

    __slots__ = (
        "called_off", "cancelled", "completed", "failed", "joined", "refreshes", "refreshes_joined", "started",
        "timeouts",
    )  # fmt: skip

    called_off: int
    cancelled: int
    completed: int
    failed: int
    joined: int
    refreshes: int
    refreshes_joined: int
    started: int
    timeouts: int

    def __init__(self) -> None:
        self.started = self.joined = self.completed = self.failed = self.cancelled = self.timeouts = 0
        self.refreshes = self.refreshes_joined = 0
        self.called_off = 0
        """Of the cancelled ones, those whose task was cancelled before it was too old: nobody wanted it any more."""


class FlightTable:
    """The running calls of one function.

    Args:
        name: The function's qualified name, for messages.
        call: The function.
        clock: Measures the age of a flight, for newcomers and ``cleanup()``.
        timeout_s: Age in seconds at which a flight counts as stuck; None: never.
        lock: Guards the table and the flights; a store that must change together with the table
            shares it.
        share: False: every call leads its own execution; the last begun is the current one.
    """

    counters: Counters
    lock: threading.RLock

    def __init__(
        self,
        name: str,
        call: Callable[..., Any],
        clock: Clock,
        timeout_s: float | None,
        lock: threading.RLock | None = None,
        share: bool = True,
    ) -> None:
        self.name = name
        self.call = call
        self.clock = clock
        self.timeout_s = timeout_s
        self.lock = lock if lock is not None else threading.RLock()
        self.share = share
        self.refuse: Callable[[str, Any], None] = refuse_one_shot
        """Raises if a result, which is given with the function's name, cannot be shared."""
        self.copy: Callable[[Any], Any] | None = None
        """Copies a result once before it is kept, and once more for each caller; None: it is handed out as it is."""
        self.explain: Callable[[Hashable], TypeError | None] | None = None
        """Says why a key cannot be hashed, in terms of the function's parameters."""
        self.table: dict[Hashable, InFlight] = {}
        self.known: Known = {}
        """The boxes in keys, of flights and of what a store keeps."""
        self.tags_of: Callable[..., tuple[str, ...] | None] | None = None
        """Computes the tags of a call; None if they are fixed."""
        self.index: dict[Hashable, Any] = {}
        """Keys that a second look may find in a store."""
        self.counters = Counters()
        self._timed: dict[TaskFlight, None] = {}
        """Flights that have a timer."""
        caller()  # looks for greenlets
        hold(Stage.FLIGHTS, self, self.lock)
        renew(Stage.FLIGHTS, self)

    # -- what a store adds; called without the lock

    def look_again(self, flight: InFlight) -> bool:
        """Whether another leader finished just before *flight* began; if so, sets ``flight.value``."""
        return False

    def landed(self, flight: InFlight, value: Any) -> None:
        """End a flight whose work returned *value*; called once, in the thread of its leader."""
        if not self.settle(flight, RETURNED, value, count=True):
            self.counters.completed += 1  # too late for those who waited, but it has returned

    def load_failed(self, flight: InFlight, error: Exception) -> None:
        """Learn that the work of *flight* raised *error*, before its end is told; or that it is too old, after."""

    def hand_out(self, value: Any) -> Any:
        """What a caller gets of a flight that returned *value*."""
        return value

    # -- joining and succeeding

    def _count_joined(self, refresh: bool) -> None:
        self.counters.joined += 1
        if refresh:
            self.counters.refreshes_joined += 1

    def _take_place(self, mine: InFlight) -> InFlight:
        """The current flight of *mine*'s key: *mine*, unless it is to share with one that runs."""
        if mine.refresh:
            with self.lock:
                current = self.table.get(mine.key)
                if current is not None and current.refresh:
                    return current
                self.table[mine.key] = mine  # a refresh supersedes a running load
                return mine
        if self.share:
            return self.table.setdefault(mine.key, mine)
        self.table[mine.key] = mine
        return mine

    def _succeed(self, lost: InFlight, mine: InFlight, was_present: bool) -> InFlight:
        """Who goes on for *lost*, which was abandoned: *mine*, unless another of those who waited was faster.

        All who were present when *lost* ended have joined that one from now on, however fast it ends, and
        though it should be abandoned in its turn.
        """
        with self.lock:
            if lost.heir is None:
                mine.started = self.clock.read()
                newer = mine
                if lost.was_current:
                    newer = self.table.setdefault(lost.key, mine)  # newcomers enter without the lock
                else:
                    set_apart(mine)
                heirs = lost.joined - (was_present if newer is mine else 0)
                newer.present += heirs
                newer.joined += heirs
                lost.heir = newer
            return lost.heir

    def _withdraw(self, flight: InFlight) -> None:
        """Take a joiner out, wherever those who joined *flight* are to go on; called with the lock held."""
        while flight.state is ABANDONED and flight.heir is not None:
            flight = flight.heir
        flight.present -= 1
        flight.joined -= 1

    def _refuse_unhashable(self, key: Hashable) -> None:
        if self.explain is not None:
            refusal = self.explain(key)
            if refusal is not None:
                raise refusal from None

    def _raise_shared(self, flight: InFlight) -> None:
        """Raise to a joiner what ended *flight* without a value."""
        if flight.state is TIMED_OUT:
            raise self._timed_out(flight)
        error = flight.error
        assert error is not None, "only those who were present when it ended come here"
        try:
            raise shared_copy(error, flight.traceback)
        finally:
            error = None  # the traceback holds this frame, which must not hold the error
            self._forget_error(flight)

    def _forget_error(self, flight: InFlight) -> None:
        """Let go of the error once everyone who waited has it: it holds frames that hold the flight."""
        with self.lock:
            flight.present -= 1
            if flight.present <= 0:
                flight.error = flight.traceback = None

    def _timed_out(self, flight: InFlight) -> InflightTimeout:
        return InflightTimeout(
            f"{self.name}(): the call that this one waited for did not end within {self.timeout_s:g} s "
            f"and was detached; the next call starts a new one.",
            flight.key,
            self.timeout_s,
        )

    # -- ending

    def settle(
        self,
        flight: InFlight,
        state: str,
        value: Any = None,
        error: BaseException | None = None,
        count: bool = False,
    ) -> bool:
        """End *flight*: take it out of the table if it is current, publish its end, wake who waits.

        For its leader, and for others once that is over or dead.  Cut short, it can be done again.

        Args:
            count: Add one to the counter of what ends so, if it has not ended yet.

        Returns:
            Whether it had not ended yet.
        """
        with self.lock:
            was_current = self._take_out(flight, over=True)
            ends = flight.state is RUNNING
            if ends:
                shared = error if flight.present else None
                traceback = None if shared is None else shared.__traceback__
                # one step: no call stands between these, so nothing strikes
                if state is RETURNED:
                    flight.value = value
                flight.error = shared
                flight.traceback = traceback
                flight.was_current = was_current
                flight.heir = None
                flight.state = state
                if count:
                    counters = self.counters
                    if state is RETURNED:
                        counters.completed += 1
                    elif state is RAISED:
                        counters.failed += 1
                    else:
                        counters.cancelled += 1
        wake_ended(flight)
        return ends

    def expire(self, flight: InFlight) -> bool:
        """Detach a stuck flight: waiters get ``InflightTimeout``, an async leader's task is cancelled.

        Returns False if it has ended, or its leader is ending it at this moment.
        """
        ended = False
        try:
            with self.lock:
                was_current = self._take_out(flight)
                if flight.state is not RUNNING or not flight.fenced:
                    return False
                flight.was_current = was_current
                flight.state = TIMED_OUT
                self.counters.timeouts += 1
                ended = True
            self._tell_expired(flight)
        except BaseException:
            if ended:
                self._tell_expired(flight)
            raise
        return True

    def _tell_expired(self, flight: InFlight) -> None:
        """Tell whom it concerns that *flight* has timed out; cut short, it can be done again."""
        try:
            self.load_failed(flight, self._timed_out(flight))
        finally:
            wake_ended(flight)
            if isinstance(flight, TaskFlight) and flight.task is not None:
                if running_loop() is flight.loop:
                    flight.task.cancel()
                else:
                    call_elsewhere(flight.loop, flight.task.cancel)

    def at_hand(self, key: Hashable) -> Hashable:
        """*key* as tables hold it, compared with what they hold, to be looked up under the lock."""
        key = stored_key(key, self.known)
        self.index.get(key)
        self.table.get(key)
        return key

    def detach(self, key: Hashable) -> bool:
        """Fence the flight of *key*: those who wait still get its result, newcomers start anew."""
        key = self.at_hand(key)
        with self.lock:
            flight = self.table.get(key)
            return flight is not None and self._take_out(flight)

    def detach_tagged(self, tag: str) -> None:
        """Fence the flights that bear *tag*, and those of which that is not known."""
        with self.lock:
            for flight in list(self.table.values()):
                tags = getattr(flight, "tags", ())  # unset: its work has not begun
                if tags is None or tag in tags:
                    self._take_out(flight)

    def detach_all(self) -> int:
        """Fence every flight."""
        with self.lock:
            return sum([self._take_out(flight) for flight in list(self.table.values())])

    def renew(self) -> None:
        """Forget the running calls: a forked child has none of the threads that led or awaited them."""
        for flight in list(self.table.values()):  # no look at a key here: its __hash__ may be anybody's
            flight.fenced = True
            if hasattr(flight, "current"):
                del flight.current
        self.table.clear()  # whole: a leader that is not here may have been about to take its own out
        self._timed.clear()
        self.forget_work()

    def forget_work(self) -> None:
        """Forget what other threads were doing: after a fork the child has none of them."""

    def follow(self, read: Callable[[], float]) -> None:
        """Go by another clock: what began later than it shows counts as begun now."""
        now = read()
        with self.lock:
            for flight in list(self.table.values()):
                flight.started = min(flight.started, now)

    def set_aside(self, aside: Aside) -> None:
        """Fence every flight and count anew, until *aside* is put back."""
        with self.lock:
            self._fence_for(aside)
            aside.exchange(self._held(aside))

    def put_back(self, aside: Aside) -> None:
        """Fence every flight, and go on with the counts set aside and the flights that run still.

        What was never set aside stays as it is; cut short, it can be done again.
        """
        with self.lock:
            if aside.is_out:
                self.detach_all()
                aside.exchange(self._held(aside))
            self._resume(aside)

    def _held(self, aside: Aside) -> list[Pair]:
        """What is exchanged with *aside*."""
        return [aside.pair(self.counters, Counters.__slots__, Counters)]

    def _fence_for(self, aside: Aside) -> None:
        for key, flight in list(self.table.items()):
            aside.flights[key] = flight  # before it leaves
            if not self._take_out(flight):
                del aside.flights[key]

    def _resume(self, aside: Aside) -> None:
        """Go on with the flights that were set aside and run still."""
        for key, flight in aside.flights.items():
            runs = flight.state is RUNNING and not flight.over and flight.fenced
            if runs and self.table.setdefault(key, flight) is flight:
                # current last: from then on its leader ends it without the lock
                set_at_once([(flight, "fenced", False), (flight, "current", True)])
        aside.flights.clear()

    def cleanup(self) -> int:
        """Detach what is stuck or has lost its thread or loop; returns how many."""
        count = 0
        for flight in self.running():
            if self._is_stuck(flight) and self.expire(flight):
                count += 1
            elif self._is_dead(flight, None):
                count += self._abandon_dead(flight)
        return count

    def running(self) -> list[InFlight]:
        """The current flights, at this moment."""
        with self.lock:
            # list() first: it is one step, while a comprehension gives way to threads that enter without the lock
            return [flight for flight in list(self.table.values()) if not flight.over]

    def asked_for(self) -> list[InFlight]:
        """What will run as soon as there is a thread for it, as flights that stand for it."""
        return []

    def pending(self, flights: list[InFlight], reveal: Callable[[Any], Any]) -> list[Flight]:
        """Snapshots of *flights*, longest running first."""
        now = self.clock.read()
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        rows = [
            Flight(reveal(flight.key), max(0.0, now - flight.started), flight.joined, _leader_name(flight, names))
            for flight in flights
        ]
        return sorted(rows, key=lambda row: -row.age)

    def stats(self, name: str) -> InflightStats:
        """What the counters say now."""
        c = self.counters
        flights = self.running() + self.asked_for()
        now = self.clock.read()
        return InflightStats(
            name=name,
            active=len(flights),
            waiting=sum(flight.joined for flight in flights),
            started=c.started,
            joined=c.joined,
            completed=c.completed,
            failed=c.failed,
            cancelled=c.cancelled,
            timeouts=c.timeouts,
            oldest=max((max(0.0, now - flight.started) for flight in flights), default=None),
        )

    def _take_out(self, flight: InFlight, over: bool = False) -> bool:
        """Take *flight* out of the table; whether it was the current one of its key.  Called with the lock held.

        Args:
            over: Its leader takes it out no more, even if it was about to.
        """
        try:
            del flight.current
            left = False
        except AttributeError:
            left = not flight.fenced  # by its leader, without the lock, at this moment or before
            if not (left and over):
                return False
        try:
            found = self.table.get(flight.key) is flight
            flight.fenced = True
            if found:
                del self.table[flight.key]
        except BaseException:  # interrupted, or by a key that cannot be hashed any more: as if never begun
            flight.fenced = False
            if not left:
                flight.current = True
            raise
        return found or left

    def _is_stuck(self, flight: InFlight) -> bool:
        return self.timeout_s is not None and self.clock.read() >= flight.started + self.timeout_s

    def _is_dead(self, flight: InFlight, loop: asyncio.AbstractEventLoop | None) -> bool:
        """Whether nobody can finish *flight* any more, as seen from *loop* (None: from no loop)."""
        if not isinstance(flight, TaskFlight):
            return flight.over or not caller_lives(flight.leader)
        if flight.loop is loop:
            return False
        if flight.loop.is_closed():
            return True
        if flight.loop.is_running():
            return False
        return not caller_lives(flight.leader) or (loop is not None and flight.leader == thread_ident())

    def _abandon_dead(self, flight: InFlight) -> bool:
        """Give up a flight whose thread or loop died; whether it was still thought to run."""
        was_running = self.settle(flight, ABANDONED, count=True)
        flight.over = True  # counted: should its task be ended later, it is not counted again
        if was_running and isinstance(flight, TaskFlight) and flight.task is not None and flight.loop.is_closed():
            lay_to_rest(flight.task)
        return was_running


def _leader_name(flight: InFlight, names: dict[int | None, str]) -> str:
    if isinstance(flight, TaskFlight) and flight.task is not None:
        return flight.task.get_name()
    if flight.leader is None:
        return "waits for a thread"
    if isinstance(flight.leader, int):
        return names.get(flight.leader, f"thread {flight.leader}")
    greenlet = greenlet_of(flight.leader)
    return str(getattr(greenlet, "name", None) or "greenlet" if greenlet is not None else "dead greenlet")
