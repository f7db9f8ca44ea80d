"""The loads of a ``bounded`` function and the store that keeps their results.

The store and the table of running loads share one lock, so that whoever takes an entry out also
fences the load that would bring it back.  User code (the function, ``sizeof``, ``cache_if``,
``copy``, ``on_evict``, predicates) runs outside that lock.
"""

import logging
import math
import random
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from memo._base import PLAIN, Aside, Clock, Pace, Pair, need_depth, real_number, seconds, short_text, sizeof
from memo._cache.options import CacheOptions
from memo._cache.stats import CacheInfo, CacheStats, EntryInfo
from memo._call import InstanceRef, belongs_to, plain_key
from memo._flight import RETURNED, RUNNING, Flights, InFlight, wake
from memo._store import (
    SLICE,
    Departures,
    Entry,
    EvictionReason,
    Failure,
    Gone,
    IdleEntry,
    RichEntry,
    Standing,
    Store,
    WeighedEntry,
    weight,
)

__all__ = ("Loads",)

log = logging.getLogger("memo")

_COUNTED: dict[str, Any] = {"rejected": 0, "load_seconds": 0.0, "_before": None, "misses_moved": 0, "joins_moved": 0}
"""What the loads of a function count and their counters do not, and as what it begins."""

_NEVER = math.inf


class Loads(Flights):
    """The loads of one function and the store that keeps their results."""

    copy: Callable[[Any], Any] | None
    index: dict[Hashable, Any]
    lean: bool
    load_seconds: float
    refuse: Callable[[str, Any], None]
    rejected: int
    store: Store

    def __init__(self, where: str, name: str, call: Callable[..., Any], clock: Clock, options: CacheOptions) -> None:
        self.store = Store(where, options.max_entries, options.max_bytes, options.policy, options.idle_s, options.rich)
        super().__init__(name, call, clock, options.timeout_s, self.store.lock, options.dedupe)
        self.options = options
        self.refuse = options.refuse
        self.copy = options.copy
        self.index = self.store.index
        self._ttl_s = math.inf if options.ttl_s is None else options.ttl_s
        self._simple = (
            not options.jitter
            and not options.rich
            and all(option is None for option in (options.cache_if, options.max_bytes, options.idle_s, options.ttl_of))
        )  # whether a function is true is its own affair
        """An entry needs nothing but a value and a deadline."""
        self.lean = self._simple and self.store.lean
        """... and the store needs no more than to put it in: the common case, kept short."""
        self.rejected = 0
        self.load_seconds = 0.0
        self.misses_moved = self.joins_moved = 0
        """Calls that the flights count as misses and joins, less those that really were: some are answered stale."""
        self._before: CacheStats | None = None
        """The figures when ``cache_clear()`` set them to zero."""
        self.reveal: Callable[[Any], Any] = _as_is
        self.show_index: Callable[[dict[Hashable, Any]], object] = _as_is
        """Told of another index to read, under the lock."""
        self.show_ring: Callable[[Any], object] = _as_is
        """Told of another ring to move entries in, under the lock."""

    # -- what the engine asks

    def look_again(self, flight: InFlight) -> bool:
        if getattr(flight, "background", False):
            entry = self.store.index.get(flight.key)  # not a call, and so no hit
            if entry is not None and self.store.standing(entry, flight.started) is not Standing.FRESH:
                entry = None
        else:
            entry = self.store.use(flight.key, flight.started)
        if entry is None:
            return False
        flight.value = self.handed(entry.value)
        return True

    def finish(self, mine: InFlight, value: Any) -> Any:
        if type(value) not in PLAIN:
            self.refuse(self.name, value)
        copy = self.copy
        if copy is not None:
            value = copy(value)  # the function, and whom it shares its result with, cannot alter what is stored
        self.landed(mine, value)
        return value if copy is None else copy(value)

    def finish_lean(self, mine: InFlight, value: Any) -> Any:
        """``finish`` without detours, for a ``lean`` store: on the path of every miss."""
        if type(value) not in PLAIN:
            self.refuse(self.name, value)
        copy = self.copy
        if copy is not None:
            value = copy(value)
        now = self.clock.read()
        entry: Any = Entry()
        entry.value = value
        entry.hits = entry.counted = 0
        entry.stored = now
        ttl_s = self._ttl_s
        entry.deadline = ttl_s if ttl_s is _NEVER else now + ttl_s
        key = mine.key
        store = self.store
        options = self.options
        victim = gone = None
        if options.on_evict is not None:
            need_depth()
        try:
            try:
                # a with statement takes twice as long
                self.lock.acquire()
                table = self.table
                if table.get(key) is mine:
                    # before it leaves the table: a call that came in between would find it in neither
                    victim = store.put_lean(key, entry, now)
                    if victim is None or store.put_off:
                        gone = Departures()
                        store.change(_nothing if victim is not None else store.put, key, entry, now, gone=gone)
                    if not mine.fenced:  # by what a comparison, or a finalizer, asked for meanwhile
                        table.pop(key, None)
                # from here on nothing strikes: it has ended, or it has not and ``failed()`` counts it
                self.load_seconds += now - mine.started
                self.counters.completed += 1
                if mine.state is RUNNING:
                    mine.value = value
                    mine.state = RETURNED
            finally:
                try:
                    self.lock.release()
                except RuntimeError:  # a signal that came while it waited for the lock
                    pass
            if mine.waiters is not None:  # nobody adds to them any more
                wake(mine.waiters)
            if options.on_evict is not None:
                gone = self._with_victim(gone, victim, now)
                self.report(gone)
        except BaseException:
            if options.on_evict is not None:
                self.report(self._with_victim(gone, store.take_lost() if victim is None else victim, now))
            raise
        return value if copy is None else copy(value)

    def _with_victim(self, gone: Departures | None, victim: Any, now: float) -> Departures:
        """*gone*, and before it the entry that left without detours; called again, the same."""
        gone = Departures() if gone is None else gone
        if victim is not None and not (gone and gone[0][1] is victim.value and gone[0][0] is victim.key):
            reason = EvictionReason.SIZE if now < victim.deadline else EvictionReason.EXPIRED
            gone.insert(0, (victim.key, victim.value, reason))
        return gone

    def landed(self, flight: InFlight, value: Any) -> None:
        now = self.clock.read()
        if self._simple:
            entry: Any = Entry()
            entry.value = value
            entry.hits = entry.counted = 0
            entry.stored = now
            entry.deadline = now + self._ttl_s
        else:
            entry = self._entry_for(flight.key, value, now, flight.tags if self.tags_of is not None else ())
        if self.options.on_evict is not None:
            need_depth()
        gone = Departures()
        try:
            self.store.change(self._land, flight, value, entry, now, gone=gone)
            if flight.waiters is not None:  # nobody adds to them any more
                wake(flight.waiters)
            self.report(gone)
        except BaseException:
            self.report(gone)
            raise

    def hand_out(self, value: Any) -> Any:
        return self.handed(value)

    # -- storing

    def handed(self, value: Any) -> Any:
        """*value* as a caller gets it."""
        copy = self.copy
        return value if copy is None else copy(value)

    def _entry_for(self, key: Hashable, value: Any, now: float, tags: tuple[str, ...] | None = ()) -> Any:
        """A new entry; None if the value is to be returned but not stored."""
        options = self.options
        life_s = self._life_of(value)
        if life_s is None or tags is None or not self._is_wanted(value):
            self.rejected += 1
            return None
        deadline = now + life_s
        entry: Any
        if options.rich:
            entry = RichEntry()
            entry.used = now
            entry.ends = deadline + options.stale_s
            entry.retry = entry.paused = -math.inf
            entry.stale_hits = entry.counted_stale = 0
            entry.failure = False
            entry.tags = tags
        elif options.idle_s is not None:
            entry = IdleEntry()
            entry.used = now
        else:
            entry = Entry() if options.max_bytes is None else WeighedEntry()
        if options.max_bytes is not None:
            entry.size = self._measured(plain_key(key), value, tags)
        entry.value = value
        entry.hits = entry.counted = 0
        entry.stored = now
        entry.deadline = deadline
        return entry

    def _is_wanted(self, value: Any) -> bool:
        """Whether ``cache_if`` lets *value* be stored."""
        try:
            return self.options.cache_if is None or bool(self.options.cache_if(value))
        except Exception:
            log.exception("%s: cache_if raised; the value is returned but not stored", self.name)
            return False

    def _life_of(self, value: Any) -> float | None:
        """Seconds for which *value* is fresh, infinite if there is no limit; None if it is not to be stored."""
        options = self.options
        life_s = self._ttl_s
        if options.ttl_of is not None:
            try:
                ttl = options.ttl_of(value)
                if ttl is not None:
                    life_s = seconds(ttl, where=self.name, option="ttl(value)", zero_ok=True, negative_ok=True)
            except Exception:
                log.exception("%s: ttl(value) failed; the value is returned but not stored", self.name)
                return None
            if life_s == 0:
                return None
        return life_s * (1.0 - options.jitter * random.random()) if options.jitter else life_s

    def _measured(self, key: Hashable, value: Any, tags: tuple[str, ...]) -> int | None:
        """Bytes of an entry; None if ``sizeof`` cannot tell.  It prices the value, and never the key or the entry."""
        try:
            if self.options.sizeof is sizeof:
                return weight(key, tags, value)
            answer = self.options.sizeof(value)
            size = real_number(answer)
            if size is not None and 0 <= size < math.inf:
                return math.ceil(size) + weight(key, tags)
        except Exception:
            log.exception("%s: sizeof raised; the value is returned but not stored", self.name)
            return None
        shown = short_text(answer)
        log.error("%s: sizeof returned %s, not a number of bytes; the value is not stored", self.name, shown)
        return None

    def _land(self, gone: list[Gone], flight: InFlight, value: Any, entry: Any, now: float) -> None:
        """End a load, and store its result if its flight is still the current one."""
        key = flight.key
        if self.table.get(key) is flight:
            if entry is not None:
                if self._simple:
                    self.store.put(gone, key, entry, now)
                else:
                    self._keep(gone, key, entry, now)
            if not flight.fenced:  # by what a comparison asked for meanwhile
                self.table.pop(key, None)
        # from here on nothing strikes: it has ended, or it has not and whoever runs it counts that
        self.load_seconds += now - flight.started
        self.counters.completed += 1
        if flight.state is RUNNING:
            flight.value = value
            flight.state = RETURNED

    def _keep(self, gone: list[Gone], key: Hashable, entry: Any, now: float) -> None:
        if self._fits(entry):
            self.store.put(gone, key, entry, now)
            return
        self.rejected += 1
        self.store.drop(gone, key, EvictionReason.REPLACED, now)  # an older value must not outlive a newer one

    def _fits(self, entry: Any) -> bool:
        """Whether *entry* alone is within the bounds."""
        store = self.store
        return not store.weighed or (entry.size is not None and entry.size <= (store.max_bytes or 0))

    def _put(self, gone: list[Gone], key: Hashable, entry: Any, now: float) -> None:
        self.detach(key)
        self._keep(gone, key, entry, now)

    def _invalidate(self, gone: list[Gone], key: Hashable, now: float) -> None:
        self.detach(key)
        self.store.drop(gone, key, EvictionReason.INVALIDATED, now)

    def _clear(self, gone: list[Gone], scope: Hashable | None, now: float) -> None:
        if scope is None:
            self.detach_all()
            self.store.clear(gone, EvictionReason.CLEARED, now)
            return
        self._fence(scope)
        self.store.drop_all(gone, self._entries(scope), EvictionReason.CLEARED, now)

    def _fence(self, scope: Hashable | None) -> None:
        with self.lock:
            for key in [key for key in list(self.table) if belongs_to(key, scope)]:
                self.detach(key)

    # -- operations of the handle; *scope* is the token of the instance that it was reached through

    def alter(self, operation: Callable[..., None], *args: Any) -> Departures:
        """Change the store, and tell ``on_evict`` what left, also where an exception cuts the change short.

        Raises:
            RecursionError: There is no room on the stack to do both; then neither was begun.
        """
        need_depth()
        gone = Departures()
        try:
            self.store.change(operation, *args, gone=gone)
            self.report(gone)
        except BaseException:
            self.report(gone)
            raise
        return gone

    def put(self, key: Hashable, value: Any, tags: tuple[str, ...] | None = ()) -> bool:
        """Store *value*; whether it was, and not rejected."""
        value = self.handed(value)  # whoever put it cannot alter what is stored
        now = self.clock.read()
        key = self.at_hand(key)
        entry = self._entry_for(key, value, now, tags)
        if entry is None:
            self.invalidate(key)
            return False
        self.alter(self._put, key, entry, now)
        return self._fits(entry)

    def invalidate(self, key: Hashable) -> bool:
        gone = self.alter(self._invalidate, self.at_hand(key), self.clock.read())
        return any(reason is _INVALIDATED for _, _, reason in gone)  # a remembered failure, too

    def invalidate_where(self, predicate: Callable[[Any, Any], object], scope: Hashable | None) -> int:
        self._fence(scope)
        now = self.clock.read()
        store = self.store
        chosen = [
            entry
            for entry in self._entries(scope)
            if (store.rich and entry.failure)  # a predicate is about values; to load anew does no harm
            or (not store.past_life(entry, now) and predicate(self.reveal(entry.key), entry.value))
        ]
        return _count(self.alter(store.drop_all, chosen, _INVALIDATED, now), _INVALIDATED)

    def invalidate_all(self) -> int:
        """Drop every entry and fence every load."""
        return _count(self.alter(self._invalidate_all, self.clock.read()), _INVALIDATED)

    def _invalidate_all(self, gone: list[Gone], now: float) -> None:
        self.detach_all()
        self.store.clear(gone, _INVALIDATED, now)

    def invalidate_tag(self, tag: str) -> int:
        """Drop the entries that bear *tag*, in slices between which others get their turn, and fence their loads."""
        self.detach_tagged(tag)
        bearers = self.store.bearers(tag)
        bearers.reverse()
        count = 0
        pace = Pace()
        while bearers:
            part = bearers[-SLICE:]
            del bearers[-SLICE:]
            gone = self.alter(self.store.drop_all, part, _INVALIDATED, self.clock.read())
            count += _count(gone, _INVALIDATED)
            del part, gone  # the values die before the next slice takes the lock
            pace.rest()
        return count

    def clear(self, scope: Hashable | None) -> int:
        return _count(self.alter(self._clear, scope, self.clock.read()), EvictionReason.CLEARED)

    def expire_entries(self, scope: Hashable | None = None) -> Iterator[int]:
        """Drop what is past its life, in slices between which no lock is held: how many entries, for each."""
        for gone in self.store.expire(self.clock.read(), scope, self.report):
            count = _count(gone, EvictionReason.EXPIRED)
            gone.clear()  # the values with it, before the next slice takes the lock
            yield count

    def resize(self, max_entries: int | None, max_bytes: int | None) -> None:
        self.alter(self.store.resize, max_entries, max_bytes, self.clock.read())

    def collected(self, owner: InstanceRef) -> None:
        """Drop the entries of an instance that died."""
        gone = Departures()
        try:
            self.store.collected(owner, self.clock.read(), gone)
            self.report(gone)
        except BaseException:
            self.report(gone)
            raise

    def follow(self, read: Callable[[], float]) -> None:
        super().follow(read)
        self.store.rewind(read(), self.options.pause_s)

    def set_aside(self, aside: Aside) -> None:
        gone = Departures()
        try:
            with self.lock:
                self._exchange(aside, gone)
            self.report(gone)
        except BaseException:
            self.report(gone)
            raise

    def put_back(self, aside: Aside) -> None:
        now = self.clock.read()
        gone = Departures()
        try:
            with self.lock:
                if aside.is_out:
                    self.detach_all()
                    self.store.change(self.store.clear, EvictionReason.CLEARED, now, gone=gone)
                    self._exchange(aside, gone)
                self.store.rewind(now, self.options.pause_s)
                self._reindex()
                self._resume(aside)
            self.report(gone)
        except BaseException:
            self.report(gone)
            raise

    def _exchange(self, aside: Aside, gone: Departures) -> None:
        """Exchange all that is held and counted with *aside*, in one step."""
        if not aside.is_out:
            self._fence_for(aside)
        self.store.exchange(aside, gone, self._held(aside))
        self._reindex()

    def _held(self, aside: Aside) -> list[Pair]:
        return [*super()._held(aside), aside.pair(self, tuple(_COUNTED), lambda: SimpleNamespace(**_COUNTED))]

    def _reindex(self) -> None:
        self.index = self.store.index
        self.show_index(self.index)
        self.show_ring(self.store.ring)

    def _entries(self, scope: Hashable | None) -> list[Any]:
        """The entries within *scope*, at one moment."""
        if isinstance(scope, InstanceRef):
            with self.lock:
                return list(scope.table.values())
        entries = self.store.snapshot()
        return entries if scope is None else [entry for entry in entries if belongs_to(entry.key, scope)]

    def snapshot(self, scope: Hashable | None) -> list[tuple[Hashable, Any]]:
        """Keys and entries within *scope*, at one moment."""
        return [(plain_key(entry.key), entry) for entry in self._entries(scope)]

    def size(self, scope: Hashable | None) -> int:
        """How many entries are within *scope*, those past their life that nothing has removed included."""
        if scope is None:
            return len(self.index)
        if isinstance(scope, InstanceRef):
            return len(scope.table)
        return len(self._entries(scope))  # an instance that is part of its keys, itself

    def items(self, scope: Hashable | None) -> list[tuple[Any, Any]]:
        """Keys and values of what may still serve, as users see them, at one moment."""
        now = self.clock.read()
        store, reveal, handed = self.store, self.reveal, self.handed
        entries = self._entries(scope)
        if store.rich or store.idle_s is not None:
            entries = [e for e in entries if not store.past_life(e, now) and not (store.rich and e.failure)]
        else:  # there may be a million of them
            entries = [e for e in entries if now < e.deadline]
        if self.copy is None:
            return [(reveal(e.key), e.value) for e in entries]
        return [(reveal(e.key), handed(e.value)) for e in entries]

    def info(self, key: Hashable) -> EntryInfo[Any] | None:
        """What is known of one entry, without counting a hit."""
        now = self.clock.read()
        entry = self.store.index.get(key)
        if entry is None or self.store.past_life(entry, now) or (self.store.rich and entry.failure):
            return None
        return EntryInfo(
            value=self.handed(entry.value),
            age=now - entry.stored,
            expires_in=None if math.isinf(entry.deadline) else entry.deadline - now,
            hits=entry.hits,
            bytes=entry.size if self.store.weighed else None,
            stale=not now < entry.deadline,
        )

    def report(self, gone: Departures) -> None:
        """Tell ``on_evict`` what left; it goes on where it was interrupted if it is called again."""
        on_evict = self.options.on_evict
        if on_evict is not None and gone:
            gone.tell(on_evict, self._shown, self._log_listener)

    def _shown(self, gone: list[Gone]) -> list[Gone]:
        """What left as users see it."""
        reveal = self.reveal
        return [(reveal(key), value, reason) for key, value, reason in gone if type(value) is not Failure]

    def _log_listener(self, error: Exception, reason: EvictionReason) -> None:
        log.error("%s: on_evict raised for a value that left (%s)", self.name, reason, exc_info=error)

    # -- figures

    def cache_stats(self, name: str) -> CacheStats:
        with self.lock:
            now = self._all_time(name)
            return now if self._before is None else now - replace(self._before, name=name)

    def _all_time(self, name: str) -> CacheStats:
        store, counters = self.store, self.counters
        hits, stale_hits, error_hits = store.answers()
        return CacheStats(
            name=name,
            hits=hits,
            misses=counters.started - counters.refreshes - self.misses_moved,
            joins=counters.joined - counters.refreshes_joined - self.joins_moved,
            stale_hits=stale_hits,
            error_hits=error_hits,
            loads=counters.completed,
            load_errors=counters.failed + counters.cancelled - counters.called_off,
            load_seconds=self.load_seconds,
            refreshes=counters.refreshes,
            rejected=self.rejected,
            size=len(store.index),
            max=store.max_entries,
            bytes=int(store.cache.currsize) if store.weighed else None,
            max_bytes=store.max_bytes,
            evictions=store.evictions(),
        )

    def cache_info(self) -> CacheInfo:
        stats = self.cache_stats("")
        return CacheInfo(stats.requests - stats.misses, stats.misses, stats.max, stats.size)

    def forget_counts(self) -> None:
        """Begin counting anew, as ``functools.lru_cache`` does in ``cache_clear()``."""
        with self.lock:
            self._before = self._all_time("")


def _as_is(key: Any) -> Any:
    return key


_INVALIDATED = EvictionReason.INVALIDATED


def _count(gone: list[Gone], reason: EvictionReason) -> int:
    """How many values left for *reason*; what is remembered of failed loads is none."""
    return sum(why is reason and type(value) is not Failure for _, value, why in gone)


def _nothing(gone: list[Gone], *args: Any) -> None:
    """An operation for who wants done what was put off."""
