"""What becomes of the loads of a ``bounded`` function: the keeper that its flights ask.

The store and the table of running loads share one lock, so that whoever takes an entry out also
fences the load that would bring it back.  User code (the function, ``sizeof``, ``cache_if``,
``copy``, ``on_evict``, predicates) runs outside that lock.
"""

import asyncio
import functools
import logging
import math
from typing import Any

from memo._base import PLAIN, Clock, need_depth
from memo._cache.entry_maker import EntryMaker
from memo._cache.eviction_log import evictions_logged
from memo._cache.refresh_pool import is_ending
from memo._cache.shared_loads import Came, SharedLoads
from memo._cache.told_store import ToldStore
from memo._call import Undecided
from memo._flight import (
    ANY_TIME,
    BACKGROUND,
    CALL,
    LATE_CALL,
    REFRESH,
    RETURNED,
    RUNNING,
    TIMED_OUT,
    FlightTable,
    InFlight,
    Watch,
    wake,
)
from memo._native import speed
from memo._store import Departures, EvictionReason, Gone, RichEntry, Standing, Store, nothing

__all__ = ("Loads", "log_failure")

log = logging.getLogger("memo")

_NEVER = math.inf


class Loads:
    """Stores what loads return, and remembers how they fail.

    Args:
        told: The store.
        table: The running loads.
        maker: Makes entries.
        upstream: The tier that results are shared through; None: they are not.
    """

    def __init__(
        self, told: ToldStore, table: FlightTable, maker: EntryMaker, upstream: SharedLoads | None = None
    ) -> None:
        self.store: Store = told.store
        self.kept: Store = told.store
        self.told = told
        self.table = table
        self.maker = maker
        self.clock: Clock = table.clock
        self.upstream: SharedLoads | None = upstream
        self.lean: bool = maker.simple and told.store.lean and upstream is None
        """Both entries and the store need no more than the common case does, which is kept short."""
        options = maker.options
        self._options = options
        self._counts = told.counts
        self._copy = options.copy
        self.copies: bool = options.copy is not None
        self._by_key = table.by_key
        self._counters = table.counters
        self._lock = table.lock
        self._life_s = maker.life_s
        self.tells: bool = options.on_evict is not None
        """What leaves is told to somebody, so that none of it leaves in C, or inline."""
        self._asks_call = options.asks_call

    def be_watched(self, watch: Watch | None) -> None:
        """Tell of what leaves, if *watch* wants to know."""
        self.tells = self._options.on_evict is not None or (watch is not None and watch.audience.minds_evictions)

    @property
    def ends_inline(self) -> bool:
        """Whether wrappers do what ``finish_lean()`` does in lines of their own, as far as nothing is told."""
        return speed is None and self.lean and not (self.tells or self.store.apart) and self._copy is None

    def names(self) -> dict[str, Any]:
        """What those words in templates mean by which loads end inline."""
        if not self.ends_inline:
            return {}
        changes, _, owners, figures = self.store.parts
        return {
            "Entry": self.store.entry,
            "catch_up": functools.partial(self.store.change, nothing),
            "changes": changes,
            "counts": self._counts,
            "figures": figures,
            "life_s": self._life_s,
            "loads": self,
            "lock": self._lock,
            "name": self.maker.name,
            "owners": owners,
            "put_off": self.store.put_off,
            "refuse": self._options.refuse,
        }

    def finish_lean(self, mine: InFlight, value: Any, entry: Any = None) -> Any:
        """What ``ThreadFlights.finish`` does, without detours, for a ``lean`` store: on the path of every miss.

        Args:
            mine: The flight.
            value: What its work returned.
            entry: What was made of that; None: nothing yet.
        """
        copy = self._copy
        if entry is None:
            if type(value) not in PLAIN:
                self._options.refuse(self.maker.name, value)
            if copy is not None:
                value = copy(value)
            entry = self.store.entry()
            entry.value = value
            entry.hits = entry.counted = 0
            entry.stored = self.clock.read()
            life_s = self._life_s
            entry.deadline = life_s if life_s is _NEVER else entry.stored + life_s
        now = entry.stored
        key, store, tells = mine.key, self.store, self.tells or evictions_logged[0]
        victim = gone = None
        if tells:
            need_depth()
        try:
            try:
                # a with statement takes twice as long
                self._lock.acquire()
                by_key = self._by_key
                if by_key.get(key) is mine:
                    # before it leaves the table: a call that came in between would find it in neither
                    victim = store.put_lean(key, entry, now)
                    if victim is None or store.put_off:
                        gone = Departures()
                        store.change(nothing if victim is not None else store.put, key, entry, now, gone=gone)
                    if not mine.fenced:  # by what a comparison, or a finalizer, asked for meanwhile
                        by_key.pop(key, None)
                elif self.told.leases is not None:
                    self.told.leases.unstored((key, value, EvictionReason.INVALIDATED))
                # from here on nothing strikes: it has ended, or it has not and ``failed()`` counts it
                self._counts.load_seconds += now - mine.started
                self._counters.completed += 1
                if mine.state is RUNNING:
                    mine.value = value
                    mine.state = RETURNED
            finally:
                try:
                    self._lock.release()
                except RuntimeError:  # a signal that came while it waited for the lock
                    pass
            if mine.waiters is not None:  # nobody adds to them any more
                wake(mine.waiters)
            if tells:
                gone = _with_victim(gone, victim, now)
                self.told.report(gone)
        except BaseException as error:
            if tells:
                self.told.report(_with_victim(gone, store.take_lost() if victim is None else victim, now))
            if type(error) is not Undecided:
                raise
            error.decide(self._lock)
            self.landed(mine, value)  # which begins again as often as it must
        return value if copy is None else copy(value)

    # -- what flights ask

    def look_again(self, flight: InFlight) -> bool:
        after = ANY_TIME if flight.purpose is CALL else flight.after
        if flight.purpose is BACKGROUND:
            entry = self.store.index.get(flight.key)  # not a call, and so no hit
            if entry is not None and (
                self.store.standing(entry, flight.started) is not Standing.FRESH or entry.stored <= after
            ):
                entry = None
        else:
            entry = self.store.use(flight.key, flight.started, after)
        if entry is None:
            return False
        flight.value = self.hand_out(entry.value)
        return True

    def accept(self, value: Any) -> Any:
        if type(value) not in PLAIN:
            self._options.refuse(self.maker.name, value)
        copy = self._copy
        return value if copy is None else copy(value)  # neither the function nor who shares it alters what is stored

    def hand_out(self, value: Any) -> Any:
        copy = self._copy
        return value if copy is None else copy(value)

    def is_new_enough(self, flight: InFlight, after: float) -> bool:
        came = _came(flight)
        return came is None or not came.found or came.stored > after

    def landed(self, flight: InFlight, value: Any) -> None:
        now = self.clock.read()
        came = None if self.upstream is None else _came(flight)
        entry: Any
        if came is not None and came.is_made:
            entry = came.entry
        else:
            entry = self.maker.make(flight.key, value, now, flight.tags, self.store.entry)
            if self.upstream is not None and entry is not None:
                self.upstream.shared_life(entry, now)
        self._let_go_of_call(flight)
        if entry is None:
            self._counts.rejected += 1
        if self.tells or evictions_logged[0]:
            need_depth()
        gone = Departures()
        try:
            self.store.change(self._land, flight, value, entry, now, came, gone=gone)
            if flight.waiters is not None:  # nobody adds to them any more
                wake(flight.waiters)
            if came is not None:
                came.entry = None  # something may hold the flight when it has ended
            self.told.report(gone)
        except BaseException:
            self.told.report(gone)
            raise

    def _let_go_of_call(self, flight: InFlight) -> None:
        """Have *flight*, which something may hold when it has ended, hold the arguments of its call no more."""
        if self._asks_call and flight.tags is not None:
            flight.tags = tuple(flight.tags)

    def _land(self, gone: list[Gone], flight: InFlight, value: Any, entry: Any, now: float, came: Came | None) -> None:
        """End a load, and store its result if its flight is still the current one, and the tier has not refused it."""
        key = flight.key
        is_word = flight.purpose is REFRESH
        if self._by_key.get(key) is flight:
            if came is not None and came.refused:  # what is here is older than what was overtaken
                self.store.drop(gone, key, EvictionReason.INVALIDATED, now)
                if self.told.leases is not None:
                    self.told.leases.unstored((key, value, EvictionReason.INVALIDATED))
            elif entry is None:
                self.told.refuse(gone, key, now, is_word)
            elif not self.told.keep(gone, key, entry, now, is_word) and self.told.leases is not None:
                self.told.leases.unstored((key, value, EvictionReason.SIZE))
            if not flight.fenced:  # by what a comparison asked for meanwhile
                self._by_key.pop(key, None)
        elif entry is not None and self.told.leases is not None:
            self.told.leases.unstored((key, value, EvictionReason.INVALIDATED))
        # from here on nothing strikes: it has ended, or it has not and whoever runs it counts that
        counts = self._counts
        if came is None:
            counts.load_seconds += now - flight.started
        elif came.found:
            counts.found += 1
            counts.served += flight.purpose is CALL or flight.purpose is LATE_CALL
        else:
            counts.load_seconds += came.spent_s
        self._counters.completed += 1
        if flight.state is RUNNING:
            flight.value = value
            flight.state = RETURNED

    def failed(self, flight: InFlight, error: Exception) -> None:
        """Let a stale value serve for a while before the next attempt, or remember the failure."""
        options = self._options
        is_answer = isinstance(error, options.foreseen)  # there is nothing to load, which is newer than what is stored
        if is_answer:
            self._counts.absent += 1
        if not options.serves_late and not is_answer:
            self._let_go_of_call(flight)
            return
        if flight.state is TIMED_OUT and flight.purpose is BACKGROUND and type(flight) is InFlight:
            log_failure(self.maker.name, error)  # its job cannot tell: it hangs, in a thread
        failure = None
        if isinstance(error, options.cache_errors):  # what runs user code, before the lock
            failure = self.maker.failure(flight.key, error, flight.tags)
        stale = self._stale_upstream(flight)
        self._let_go_of_call(flight)
        if is_answer:
            self.told.alter(self._note_absence, flight, failure)
        else:
            self.told.alter(self._note_failure, flight, failure, stale)

    def _stale_upstream(self, flight: InFlight) -> RichEntry | None:
        """An entry of the stale value that the tier has for a load that fails."""
        came = _came(flight)
        stale = None if came is None else came.stale
        if self.upstream is None or stale is None or not self._options.if_error_s:
            return None
        try:
            found = stale._replace(value=self.accept(stale.value))
        except Exception:
            log.exception("%s: the stale value of the tier cannot be used", self.maker.name)
            return None
        return self.upstream.entry(flight.key, found, flight.tags, self.clock.read())  # type: ignore[no-any-return]

    def _note_failure(
        self, gone: list[Gone], flight: InFlight, failure: RichEntry | None, stale: RichEntry | None
    ) -> None:
        key, now = flight.key, self.clock.read()
        entry = self.store.index.get(key)
        if stale is not None and self._was_current(flight) and self._is_of_use(stale, entry, now):
            self.told.keep(gone, key, stale, now)
            entry = stale
        standing = Standing.OVER if entry is None else self.store.standing(entry, now)
        if standing is Standing.FRESH:
            return
        if entry is not None and standing is Standing.STALE:
            entry.paused = entry.retry = min(now + self._options.error_s, entry.ends)
            return
        if failure is not None and self._was_current(flight):
            failure.stored = failure.used = now
            failure.ends = now + self._options.error_s
            self.told.keep(gone, key, failure, now)

    def _is_of_use(self, stale: RichEntry, entry: RichEntry | None, now: float) -> bool:
        """Whether *stale* may serve, and what is stored may not."""
        good = (Standing.FRESH, Standing.STALE)
        return self.store.standing(stale, now) in good and (
            entry is None or self.store.standing(entry, now) not in good or entry.stored < stale.stored
        )

    def _note_absence(self, gone: list[Gone], flight: InFlight, failure: RichEntry | None) -> None:
        """Remember that a key has no value, in place of the one that it had, or (None) just drop that."""
        if not self._was_current(flight):
            return
        now = self.clock.read()
        if failure is None:
            self.store.drop(gone, flight.key, EvictionReason.REPLACED, now)
            return
        failure.stored = failure.used = now
        failure.ends = now + self._options.error_s
        self.told.keep(gone, flight.key, failure, now)

    def _was_current(self, flight: InFlight) -> bool:
        """Whether nothing fenced *flight* before it failed."""
        if flight.state is TIMED_OUT:  # it has left the table already
            return flight.was_current and flight.key not in self._by_key
        return self._by_key.get(flight.key) is flight


def _came(flight: InFlight) -> Came | None:
    """How the result of *flight* came, where its leader looked upstream."""
    return getattr(flight, "came", None)


def log_failure(
    name: str, error: BaseException, instead: str = "the stale value, if there is one, stays for now"
) -> None:
    """Log why a load failed, of which no caller learns otherwise, and what there is *instead*."""
    if is_ending() or isinstance(error, asyncio.CancelledError):
        return
    log.warning("%s: a load failed; %s", name, instead, exc_info=error)


def _with_victim(gone: Departures | None, victim: Any, now: float) -> Departures:
    """*gone*, and before it the entry that left without detours; called again, the same."""
    gone = Departures() if gone is None else gone
    if victim is not None and not (gone and gone[0][1] is victim.value and gone[0][0] is victim.key):
        reason = EvictionReason.SIZE if now < victim.deadline else EvictionReason.EXPIRED
        gone.insert(0, (victim.key, victim.value, reason))
    return gone
