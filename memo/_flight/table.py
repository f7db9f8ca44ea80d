"""The table of running calls: which flight is the current one of its key, who succeeds it, and how it leaves.

Invariants:

- ``by_key`` maps a key to its *current* flight.  Only that flight's result may be stored, and a
  flight removes itself only if it is still the current one.  To fence a flight is to take it out.
- A flight is born with ``current`` set.  Who takes it out of a table of single flight deletes that first, which is
  one step and succeeds once: between the two nobody else takes it out, and nothing ever replaces it (``setdefault``),
  so that its leader may remove its key without the lock and removes no other flight.
- A flight leaves the table, then RUNNING, once, and whoever does that wakes its waiters: either under ``lock``, or,
  without it, its leader that has deleted ``current``.  Whoever holds the lock and fails to delete it sees by
  ``fenced`` whether another took the flight out or its leader is at the end; then hands off, unless that leader is
  ``over`` or dead, and so not at anything any more.
- Tables with a store or without sharing are changed under ``lock`` alone, but for newcomers' ``setdefault``.
- Callbacks and wake-ups run outside ``lock``.
- A flight in the table runs, unless the hash of its key has changed meanwhile, so that nobody found it to take it out:
  such a one is *lost*.  It counts as none, and ``drop_lost()`` is rid of it.
- Whatever fences the flight of a key also forgets the load of it that was *asked* for and does not run yet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from memo._base import Clock, Stage, caller, hold, renew, rlock
from memo._call import Known, Undecided, belongs_to, comparing_outside, stored_key
from memo._flight.figures import Counters, figures
from memo._flight.flight import ABANDONED, RAISED, REFRESH, RETURNED, RUNNING, Company, InFlight, TaskFlight, set_apart
from memo._flight.running import running_calls
from memo._flight.stats import InflightStats
from memo._flight.waiters import wake_ended

__all__ = ("Asked", "FlightTable")


class Asked:
    """Loads that were asked for and may not run yet: none, but for who begins them in the background.

    Each method but one is called with the lock of the table held.
    """

    def look(self, key: Hashable) -> None:
        """Compare *key* with what is held under others; the one method that is called without the lock."""

    def forget(self, key: Hashable) -> None:
        """Let no newcomer wait for that of *key*."""

    def forget_all(self) -> None:
        """Let no newcomer wait for any; also in a child after a fork, which has no other threads."""

    def waiting(self) -> list[InFlight]:
        """Those that run as soon as there is a thread, as flights that stand for them."""
        return []

    def waiters(self) -> dict[InFlight, int]:
        """How many callers more wait for a flight that a load has joined which they asked for.

        The load itself is none: less than nothing where nobody waits for it any more.
        """
        return {}

    def follow(self, now: float) -> None:
        """Go by another clock: what was asked for later than it shows counts as asked for now."""


class FlightTable:
    """The current flight of each key of one function.

    Args:
        clock: Measures the age of a flight.
        lock: Guards the table and the flights; a store that must change together with the table shares it.
        share: False: every call leads its own execution; the last begun is the current one.
        asked: Loads that wait for a thread.
        many: The store may come to have very many keys.
        in_caller: Work runs in the task of whoever leads it.
    """

    lock: threading.RLock

    def __init__(
        self,
        clock: Clock,
        lock: threading.RLock | None = None,
        share: bool = True,
        asked: Asked | None = None,
        many: bool = False,
        in_caller: bool = False,
    ) -> None:
        self.clock = clock
        self.lock = lock if lock is not None else rlock()
        self.share = share
        self.by_key: dict[Hashable, InFlight] = running_calls(in_caller)
        self.known: Known = Known(self.lock, many)
        """The boxes in keys, of flights and of what a store keeps."""
        self.counters: Counters = Counters()
        self.earlier: Counters = Counters()
        """What was counted before the counts of a store were last set to zero."""
        self.asked: Asked = Asked() if asked is None else asked
        caller()  # looks for greenlets
        hold(Stage.FLIGHTS, self, self.lock)
        renew(Stage.FLIGHTS, self)

    def __len__(self) -> int:
        return len(self.by_key)

    # -- joining and succeeding

    def take_place(self, mine: InFlight) -> InFlight:
        """The current flight of *mine*'s key: *mine*, unless it is to share with one that runs."""
        if mine.purpose is REFRESH:
            return comparing_outside(self.lock, self._supersede, mine)
        if self.share:
            return self.by_key.setdefault(mine.key, mine)
        self.by_key[mine.key] = mine
        return mine

    def _supersede(self, mine: InFlight) -> InFlight:
        with self.lock:
            current = self.by_key.get(mine.key)
            if current is not None and current.purpose is REFRESH:
                return current
            self.by_key[mine.key] = mine  # a refresh supersedes a running load
            if current is not None:  # which has left by that; no call stands between
                current.fenced = True
                if hasattr(current, "current"):
                    del current.current
            return mine

    def succeed(self, lost: InFlight, mine: InFlight, was_present: bool) -> InFlight:
        """Who goes on for *lost*, which was abandoned: *mine*, unless another of those who waited was faster.

        All who were present when *lost* ended have joined that one from now on, however fast it ends, and
        though it should be abandoned in its turn.
        """
        return comparing_outside(self.lock, self._succeed, lost, mine, was_present)

    def _succeed(self, lost: InFlight, mine: InFlight, was_present: bool) -> InFlight:
        with self.lock:
            if lost.heir is None:
                mine.started = self.clock.read()
                newer = mine
                if lost.was_current:
                    newer = self.by_key.setdefault(lost.key, mine)  # newcomers enter without the lock
                else:
                    set_apart(mine)
                if newer is mine:
                    mine.succeeds = True
                heirs = lost.joined - (was_present if newer is mine else 0)
                newer.present += heirs
                newer.joined += heirs
                lost.heir = newer
            return lost.heir

    def withdraw(self, flight: InFlight) -> None:
        """Take a joiner out, wherever those who joined *flight* are to go on; called with the lock held."""
        while flight.state is ABANDONED and flight.heir is not None:
            flight = flight.heir
        flight.present -= 1
        flight.joined -= 1

    def give_up(self, flight: TaskFlight) -> bool:
        """Abandon *flight* if nobody waits for it any more, nor for what is done with it; whether that is so."""
        with self.lock:
            if flight.state is not RUNNING or flight.present > 0:
                return False
            company: Company | None = getattr(flight.work, "company", None)
            if company is not None and company.keeps(flight):
                return False
            flight.was_current = self.take_out(flight)
            flight.heir = None
            flight.state = ABANDONED
            return True

    def forget_error(self, flight: InFlight) -> None:
        """Let go of the error once everyone who waited has it: it holds frames that hold the flight."""
        with self.lock:
            flight.present -= 1
            if flight.present <= 0:
                flight.error = flight.traceback = None

    # -- ending

    def settle(
        self,
        flight: InFlight,
        state: str,
        value: object = None,
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
        try:
            with self.lock:
                was_current = self.take_out(flight, over=True)
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
        except Undecided as met:  # as comparing_outside() does, whose call each end of a flight would pay for
            met.decide(self.lock)
            return self.settle(flight, state, value, error, count)
        wake_ended(flight)
        return ends

    def take_out(self, flight: InFlight, over: bool = False) -> bool:
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
            found = self.by_key.get(flight.key) is flight
            flight.fenced = True
            if found:
                del self.by_key[flight.key]
        except BaseException:  # interrupted, or by a key that cannot be hashed any more: as if never begun
            flight.fenced = False
            if not left:
                flight.current = True
            raise
        return found or left

    # -- fencing

    def at_hand(self, key: Hashable) -> Hashable:
        """*key* as tables hold it, compared with what they hold, to be looked up under the lock."""
        key = stored_key(key, self.known)
        self.asked.look(key)
        self.by_key.get(key)
        return key

    def detach(self, key: Hashable) -> bool:
        """Fence the flight of *key*: those who wait still get its result, newcomers start anew."""
        return self.detach_at_hand(self.at_hand(key))

    def detach_at_hand(self, key: Hashable) -> bool:
        """The same for a key as ``at_hand()`` gives it, or the table holds it; also called with the lock held."""
        return comparing_outside(self.lock, self._detach, key)

    def _detach(self, key: Hashable) -> bool:
        with self.lock:
            self.asked.forget(key)
            flight = self.by_key.get(key)
            return flight is not None and self.take_out(flight)

    def detach_tagged(self, tag: str) -> None:
        """Fence the flights that bear *tag*, and those of which that is not known."""
        with self.lock:
            self.asked.forget_all()
            for flight in self._bearers(tag):
                self.take_out(flight)

    def detach_within(self, scope: Hashable | None) -> None:
        """Fence the flights of one instance, by its token, or (None) all."""
        comparing_outside(self.lock, self._detach_within, scope)

    def _detach_within(self, scope: Hashable | None) -> None:
        with self.lock:
            self.asked.forget_all()
            for key in self._keys_within(scope):
                self.detach_at_hand(key)

    def _bearers(self, tag: str) -> list[InFlight]:
        return [flight for flight in list(self.by_key.values()) if flight.tags is None or tag in flight.tags]

    def _keys_within(self, scope: Hashable | None) -> list[Hashable]:
        return [key for key in list(self.by_key) if belongs_to(key, scope)]

    def detach_all(self) -> int:
        """Fence every flight."""
        with self.lock:
            self.asked.forget_all()
            return sum([self.take_out(flight) for flight in list(self.by_key.values())])

    def renew(self) -> None:
        """Forget the running calls: a forked child has none of the threads that led or awaited them."""
        for flight in list(self.by_key.values()):  # no look at a key here: its __hash__ may be anybody's
            flight.fenced = True
            if hasattr(flight, "current"):
                del flight.current
        self.by_key.clear()  # whole: a leader that is not here may have been about to take its own out
        self.asked.forget_all()

    def drop_lost(self) -> int:
        """Take out the flights that ended and were not found, since the hash of their key has changed; how many.

        Whoever begins a call in that moment leads it alone, at worst: newcomers enter without the lock.
        """
        with self.lock:
            return self._drop(self._lost()) if type(self.by_key) is dict else 0

    def _lost(self) -> set[InFlight]:
        return {flight for flight in list(self.by_key.values()) if flight.state is not RUNNING}

    def _drop(self, lost: set[InFlight]) -> int:
        if lost:
            flights = list(self.by_key.items())
            self.by_key.clear()
            for key, flight in flights:
                if flight not in lost:
                    self.by_key.setdefault(key, flight)
        return len(lost)

    def follow(self, read: Callable[[], float]) -> None:
        """Go by another clock: what began later than it shows counts as begun now."""
        now = read()
        with self.lock:
            self.asked.follow(now)
            for flight in list(self.by_key.values()):
                flight.started = min(flight.started, now)

    # -- what is seen

    def tags(self) -> set[str]:
        """The tags that the current flights bear, as far as that is known."""
        with self.lock:
            return {tag for flight in list(self.by_key.values()) for tag in flight.tags or ()}

    def running(self) -> list[InFlight]:
        """The current flights, at this moment."""
        with self.lock:
            return self._not_over()

    def _not_over(self) -> list[InFlight]:
        # list() first: it is one step, while a comprehension gives way to threads that enter without the lock
        if not self.by_key:
            return []
        return [flight for flight in list(self.by_key.values()) if flight.state is RUNNING and not flight.over]

    def pending(self) -> dict[InFlight, int]:
        """The current flights, and those that stand for what waits for a thread: how many callers wait for each."""
        with self.lock:
            return self._waited_for()

    def _waited_for(self) -> dict[InFlight, int]:
        flights = self._not_over() + self.asked.waiting()
        more = self.asked.waiters() if flights else {}
        # one that is about to join the flight has not done so: less than nobody is nobody
        return {flight: max(0, flight.joined + more.get(flight, 0)) for flight in flights}

    def forget_counts(self) -> None:
        """Have ``counters`` begin anew; what they said is in the figures of flights still."""
        self.counters.move_to(self.earlier)

    def stats(self, name: str) -> InflightStats:
        """What the counters say now."""
        return figures(name, self.earlier, self.counters, self.pending(), self.clock.read())
