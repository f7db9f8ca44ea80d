"""The remembered results of one function, as a whole: the store, and the loads that fill it.

Whoever takes an entry out also fences the load that would bring it back, in one step.  The *scope* of an operation is
the token of the instance that the handle was reached through; None: all.
"""

import functools
import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, MutableMapping
from typing import Any, NamedTuple

from memo._base import Clock, Pace, unhurried
from memo._cache.awaited_listener import AwaitedListener
from memo._cache.entry_maker import EntryMaker
from memo._cache.figures import CallCounts, Leased, figures
from memo._cache.inherited import Inherited
from memo._cache.jobs import Jobs
from memo._cache.key_notes import KeyNotes, not_noted
from memo._cache.leases import Leases
from memo._cache.listener import Listener
from memo._cache.loads import Loads
from memo._cache.options import CacheOptions
from memo._cache.shared_loads import SharedLoads
from memo._cache.sharing import Sharing
from memo._cache.stats import CacheInfo, CacheStats, EntryInfo
from memo._cache.told_store import ToldStore, left_for
from memo._call import InstanceRef, belongs_to
from memo._flight import FlightTable, TaskFlights, ThreadFlights, Watch
from memo._store import SLICE, EvictionReason, Giveaway, Gone, Standing, Store

__all__ = ("Cache", "Put", "Upwards")

_INVALIDATED = EvictionReason.INVALIDATED


class Put(NamedTuple):
    """What became of a value that was put."""

    is_stored: bool
    """It is in the store, and was not rejected."""
    entry: Any = None
    """What was made of it; None: nothing, since it is not to be stored."""
    shared_s: float | None = None
    """For how many seconds it may be shared; None: not at all."""


class Upwards(NamedTuple):
    """What the results of a function ask of whoever holds them; none of it keeps its object alive."""

    explain: Callable[[Hashable], TypeError | None]
    """Says why a key cannot be hashed, in terms of the function's parameters."""
    revealer: Callable[[], Callable[[Any], Any]]
    """Gives what makes of a key what users see."""
    tags_of: Callable[..., tuple[str, ...] | None] | None
    """Computes the tags of a call, a ``TaggedCall`` where results are asked about it; None if they are fixed, and the
    call does not matter."""
    is_off: Callable[[], bool]
    """Whether calls go straight to the function now."""
    rewrite: Callable[[], object]
    """Told that keys are noted from now on, or no longer."""
    show: Callable[[MutableMapping[Hashable, Any], Any], object]
    """Told of another index to read, and of another ring to move entries in, under the lock."""
    forget_closed: Callable[[], object]
    """Told that a clean-up begins: what closed event loops had goes."""


class Cache:
    """The results of one function.

    Args:
        where: The decorator, for messages.
        name: The function's qualified name, for messages.
        call: The function.
        is_async: It is a coroutine function.
        clock: Tells the time.
        options: What ``bounded`` was told.
        upwards: What is asked of whoever holds this.
        kinds: What runs the loads of a plain function, and of a coroutine function; None: what *options* say.
        sharing: The tier that its results are shared through; None: they are not.
    """

    flights: ThreadFlights | TaskFlights

    def __init__(
        self,
        where: str,
        name: str,
        call: Callable[..., Any],
        is_async: bool,
        clock: Clock,
        options: CacheOptions,
        upwards: Upwards,
        kinds: tuple[Callable[..., ThreadFlights], Callable[..., TaskFlights]] | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.options = options
        self.upwards = upwards
        self.store: Store = Store(
            where, options.max_entries, options.max_bytes, options.policy, options.idle_s, options.rich, upwards.show
        )
        self.counts: CallCounts = CallCounts()
        on_evict = options.on_evict
        listener: Listener | None = None
        if on_evict is not None:
            awaited = functools.partial(AwaitedListener, evict_loop=options.evict_loop)
            listener = (awaited if options.evicts_awaited else Listener)(name, on_evict, self.counts)
        self.told: ToldStore = ToldStore(name, self.store, self.counts, listener, upwards.revealer)
        self.inherited: Inherited = Inherited(self.told, clock, options.drops_inherited)
        self.notes: KeyNotes | None = None
        """Where the keys of calls are noted while a recording runs.  Changed under the lock of the store."""
        self.jobs: Jobs = Jobs(self.store)
        in_caller = is_async and options.work.in_caller
        self.table: FlightTable = FlightTable(
            clock, self.store.lock, options.dedupe, self.jobs, self.store.may_grow, in_caller
        )
        self.maker: EntryMaker = EntryMaker(name, options)
        self.shared: SharedLoads | None = None
        """Leads its loads through a tier; None: its results are not shared."""
        if sharing is not None:
            self.shared = SharedLoads(sharing, self.store, self.table, self.maker)
        self.loads: Loads = Loads(self.told, self.table, self.maker, self.shared)
        kind = options.work.kind(is_async) if kinds is None else kinds[is_async]
        self.flights = kind(name, call, self.table, self.loads, options.timeout_s, upwards.explain, upwards.tags_of)

    @property
    def watch(self) -> Watch | None:
        """Told of what happens; None: nobody is."""
        return self.flights.watch

    def be_watched(self, watch: Watch | None) -> None:
        """Tell *watch* of what happens from now on, or (None) nobody."""
        self.flights.be_watched(watch)
        self.told.be_watched(watch)
        self.loads.be_watched(watch)

    def handed(self, value: Any) -> Any:
        """*value* as a caller gets it."""
        return self.loads.hand_out(value)

    def leases(self) -> Leases:
        """The leases of its values, which from now on keep ``on_evict`` waiting."""
        told, reveal = self.told, self.upwards.revealer()
        if told.leases is None:
            made = Leases(self.store, self.clock, told.listener, self.options.lease_timeout_s, reveal)
            with self.store.lock:
                told.leases = told.leases or made
        told.leases.reveal = reveal
        return told.leases

    # -- which keys are asked for

    def begin_notes(self, notes: KeyNotes) -> KeyNotes | None:
        """Note the keys of calls in *notes*, unless there are others (which are returned) in which that happens."""
        with self.store.lock:
            if self.notes is None:
                self.notes = notes
            return None if self.notes is notes else self.notes

    def end_notes(self, notes: KeyNotes) -> None:
        """Note no more in *notes*; once more does no harm."""
        with self.store.lock:
            if self.notes is notes:
                self.notes = None
        self.upwards.rewrite()

    @property
    def note(self) -> Callable[[Hashable], None]:
        """Notes the key of a call, if that is wanted now."""
        notes = self.notes
        return not_noted if notes is None else notes.note

    # -- changes

    def put(self, key: Hashable, value: Any, tags: tuple[str, ...] | None = ()) -> Put:
        """Store *value*."""
        value = self.handed(value)  # whoever put it cannot alter what is stored
        now = self.clock.read()
        key = self.table.at_hand(key)
        entry = self.maker.make(key, value, now, tags, self.store.entry)
        if entry is None:
            self.counts.rejected += 1
            self.told.alter(self._refuse, key, now)
            return Put(False)
        shared_s = None if self.shared is None else self.shared.shared_life(entry, now)
        self.told.alter(self._put, key, entry, now)
        return Put(self.told.fits(entry), entry, shared_s)

    def invalidate(self, key: Hashable) -> bool:
        """Drop the entry of *key*; whether there was one, or a failure that is remembered."""
        gone = self.told.alter(self._invalidate, self.table.at_hand(key), self.clock.read())
        return any(item[2] is _INVALIDATED for item in gone)

    def invalidate_where(
        self,
        predicate: Callable[[Any, Any], object],
        scope: Hashable | None,
        note: Callable[[list[Hashable]], object] | None = None,
    ) -> int:
        """Drop the entries for whose keys and values *predicate* is true; how many.

        Args:
            predicate: What is asked.
            scope: The token of an instance; None: all.
            note: Told of the keys that were chosen, a list at a time, before any of them leaves.
        """
        self.table.detach_within(scope)
        now = self.clock.read()
        chosen = self._all_chosen(scope, predicate, now)
        if note is not None:
            for found in unhurried(chosen):
                note([entry.key for entry in found])
        return self._drop_lots(_drawn(chosen), _INVALIDATED, now)

    def _all_chosen(
        self, scope: Hashable | None, predicate: Callable[[Any, Any], object], now: float
    ) -> deque[list[Any]]:
        """Those within *scope* that *predicate* is true for, in lists that hold nothing else."""
        chosen: deque[list[Any]] = deque()
        for lot in unhurried(self._lots(scope)):
            found = self._chosen(lot, predicate, now)
            if found:
                chosen.append(found)
        return chosen

    def _chosen(self, entries: list[Any], predicate: Callable[[Any, Any], object], now: float) -> list[Any]:
        """Those that *predicate* is true for."""
        reveal, standing_of = self.upwards.revealer(), self.store.standing
        chosen = []
        for entry in entries:
            standing = standing_of(entry, now)
            # a predicate is about values; to load anew after a failure does no harm
            if standing is Standing.FAILURE or (
                standing is not Standing.OVER and predicate(reveal(entry.key), entry.value)
            ):
                chosen.append(entry)
        return chosen

    def invalidate_all(self) -> int:
        """Drop every entry and fence every load; how many entries."""
        return self._empty(None, _INVALIDATED)

    def invalidate_tag(self, tag: str) -> int:
        """Drop the entries that bear *tag*, in slices between which others get their turn, and fence their loads."""
        self.table.detach_tagged(tag)
        return self._drop_lots(self.store.bearers(tag), _INVALIDATED)

    def _drop_lots(self, lots: Iterable[list[Any]], reason: EvictionReason, now: float | None = None) -> int:
        """Drop those of these entries that are still there, in slices between which others get their turn.

        Args:
            lots: The entries.
            reason: Why.
            now: The time; None: as it is at each slice.

        Returns:
            How many values left for *reason*.
        """
        count = 0
        pace = Pace()
        for part in _slices(lots, pace):
            at = self.clock.read() if now is None else now
            gone = self.told.alter(self.store.drop_all, part.copy(), reason, at)  # which may be put off
            count += left_for(gone, reason)
            pace.let_go(part)  # the values die before the next slice takes the lock
            gone.let_go(pace)
            del part, gone
        return count

    def alter_all(self, operation: Callable[..., None]) -> None:
        """Have the store do *operation* with all entries, a slice at a time, while others get their turn."""
        for part in _slices(self.store.lots(), Pace()):
            self.told.alter(operation, part)
            del part

    def clear(self, scope: Hashable | None) -> int:
        """Drop every entry and fence every load; how many entries."""
        return self._empty(scope, EvictionReason.CLEARED)

    def _empty(self, scope: Hashable | None, reason: EvictionReason) -> int:
        """Drop every entry within *scope* and fence every load; how many values left for *reason*.

        Where entries are listed with instances, in slices if there are many: in one step that would take long.
        """
        store = self.store
        if scope is None and not (store.apart and store.is_large):
            now = self.clock.read()
            return self.told.empty(self._clear, Giveaway(reason, now), now)
        if scope is not None and self.size(scope) <= SLICE:
            return left_for(self.told.alter(self._clear_within, scope, reason, self.clock.read()), reason)
        self.table.detach_within(scope)
        return self._drop_lots(self._lots(scope), reason)

    def expire_entries(self, scope: Hashable | None = None) -> Iterator[int]:
        """Drop what is past its life, in slices between which no lock is held: how many entries, for each."""
        self.upwards.forget_closed()
        pace = Pace()
        for gone in self.store.expire(self.clock.read(), scope, self.told.report):
            count = left_for(gone, EvictionReason.EXPIRED)
            gone.let_go(pace)  # the values die before the next slice takes the lock
            yield count
        if self.told.leases is not None:
            self.told.leases.overrule()

    def resize(self, max_entries: int | None, max_bytes: int | None) -> None:
        """Change the bounds, and evict what no longer fits, in slices."""
        resizing = self.store.resizing(max_entries, max_bytes)
        pace = Pace()
        try:
            while True:
                gone = self.told.alter(resizing.step, self.clock.read())
                if not resizing.begun:  # asked for in the middle of a change, at whose end all of it is done
                    self.told.alter(self.store.resize, max_entries, max_bytes, self.clock.read())
                    return
                gone.let_go(pace)
                if resizing.is_over:
                    return
                del gone
                pace.rest()
        except BaseException:
            if resizing.begun and not resizing.is_over:
                self.told.alter(resizing.take_back)
            raise

    def collected(self, owner: InstanceRef) -> None:
        """Drop the entries of an instance that died."""
        self.told.collected(owner, self.clock.read())

    # -- steps of changes, with the lock held

    def _put(self, gone: list[Gone], key: Hashable, entry: Any, now: float) -> None:
        self.table.detach_at_hand(key)
        self.told.keep(gone, key, entry, now)

    def _refuse(self, gone: list[Gone], key: Hashable, now: float) -> None:
        self.table.detach_at_hand(key)
        self.told.refuse(gone, key, now, is_word=True)

    def _invalidate(self, gone: list[Gone], key: Hashable, now: float) -> None:
        self.table.detach_at_hand(key)
        self.store.drop(gone, key, _INVALIDATED, now)

    def _clear(self, gone: list[Gone], giveaway: Giveaway, now: float) -> None:
        self.table.detach_all()
        self.store.clear(gone, giveaway.reason, now, giveaway)

    def _clear_within(self, gone: list[Gone], scope: Hashable, reason: EvictionReason, now: float) -> None:
        self.table.detach_within(scope)
        self.store.drop_all(gone, self._entries(scope), reason, now)

    # -- another clock, another life

    def follow(self, read: Callable[[], float]) -> None:
        """Go by another clock, which may have been put back."""
        self.flights.follow(read)
        self.store.rewind(read(), self.options.pause_s)
        if self.told.leases is not None:
            self.told.leases.follow(read())

    def show(self) -> None:
        """Have the wrapper read what the store holds now."""
        self.upwards.show(self.store.index, self.store.ring)

    # -- what is seen

    def _lots(self, scope: Hashable | None) -> Iterator[list[Any]]:
        """The entries within *scope*, in lots; see ``Store.lots()``."""
        if scope is None or isinstance(scope, InstanceRef):
            return self.store.lots(scope)
        return ([entry for entry in lot if belongs_to(entry.key, scope)] for lot in self.store.lots())

    def _entries(self, scope: Hashable | None) -> list[Any]:
        """All entries within *scope*."""
        return [entry for lot in self._lots(scope) for entry in lot]

    def size(self, scope: Hashable | None) -> int:
        """How many entries are within *scope*, those past their life that nothing has removed included."""
        if scope is None:
            return len(self.store.index)
        if isinstance(scope, InstanceRef):
            return len(scope.table)
        # an instance that is part of its keys, itself: nothing lists them
        return sum(map(len, unhurried(self._lots(scope))))

    def items(self, scope: Hashable | None) -> Iterator[list[tuple[Any, Any]]]:
        """Keys and values of what may still serve, as users see them, in lots, between which others get their turn."""
        reveal, live = self.upwards.revealer(), self.store.live
        handed = None if self.options.copy is None else self.handed
        now: float | None = None
        for lot in unhurried(self._lots(scope)):
            now = self.clock.read() if now is None else now  # after the first lot: nothing in that is younger
            if handed is None:
                yield [(reveal(e.key), e.value) for e in live(lot, now)]
            else:
                yield [(reveal(e.key), handed(e.value)) for e in live(lot, now)]

    def info(self, key: Hashable) -> EntryInfo[Any] | None:
        """What is known of one entry, without counting a hit."""
        now = self.clock.read()
        entry = self.store.index.get(key)
        standing = Standing.OVER if entry is None else self.store.standing(entry, now)
        if entry is None or standing in (Standing.OVER, Standing.FAILURE):
            return None
        return EntryInfo(
            value=self.handed(entry.value),
            age=now - entry.stored,
            expires_in=None if math.isinf(entry.deadline) else entry.deadline - now,
            hits=entry.hits,
            bytes=entry.size if self.store.weighed else None,
            stale=standing is Standing.STALE,
        )

    def cache_stats(self, name: str) -> CacheStats:
        """The figures now."""
        leased = self.leased()
        link = None if self.shared is None else self.shared.figures()
        self.store.look()
        with self.store.lock:
            return figures(name, self.store, self.table.counters, self.counts, leased, link)

    def leased(self, now: float | None = None) -> Leased:
        """What is leased, at a time that the clock has told, or now."""
        leases = self.told.leases
        if leases is None:
            return Leased()
        return leases.now(self.clock.read() if now is None else now)

    def cache_info(self) -> CacheInfo:
        """What ``functools.lru_cache`` tells."""
        stats = self.cache_stats("")
        return CacheInfo(stats.requests - stats.misses, stats.misses, stats.max, stats.size)

    def forget_counts(self) -> None:
        """Begin counting anew, as ``functools.lru_cache`` does in ``cache_clear()``."""
        with self.store.lock:
            self.store.forget_counts()
            self.counts.forget()
            self.table.forget_counts()
        if self.shared is not None:
            self.shared.forget_figures()


def _slices(lots: Iterable[list[Any]], pace: Pace) -> Iterator[list[Any]]:
    """*lots*, which are used up, in slices for one hold of the lock each, between which others get their turn.

    Nobody but who is given a slice holds it.
    """
    for lot in lots:
        while lot:
            yield _drawn_from(lot)
            pace.rest()


def _drawn_from(lot: list[Any]) -> list[Any]:
    part = lot[:SLICE]
    del lot[:SLICE]
    return part


def _drawn(lots: deque[list[Any]]) -> Iterator[list[Any]]:
    """*lots*, none of which is held for longer than its turn."""
    while lots:
        yield lots.popleft()
