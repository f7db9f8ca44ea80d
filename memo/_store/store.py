"""The store of one function: what is kept, looked up, cleaned up, and set aside.

- A hit reads ``index`` without a lock; everything else happens under ``lock``, in ``change()``.
- What is held is the ``Shelf``'s affair, how it changes that of ``Changes``, what may serve that of ``Serving``.
- The operations of the shelf (``put``, ``drop``, ...) are for ``change()`` to run.
"""

import math
import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, MutableMapping
from typing import Any

from memo._base import Aside, Pace, Pair, unhurried
from memo._call import InstanceRef, Undecided, comparing_outside
from memo._native import speed
from memo._rings import StoreQueue
from memo._store.changes import Changes, nothing
from memo._store.clearing import Exodus
from memo._store.departures import Departures, Gone
from memo._store.entries import Entry, RichEntry, TrackedEntry
from memo._store.entry_policy import EntryPolicy
from memo._store.eviction import EvictionReason
from memo._store.figures import Figures, looks
from memo._store.foreign_shelf import ForeignShelf
from memo._store.large_table import in_large
from memo._store.lots import along, lots_of
from memo._store.own_shelf import OwnShelf
from memo._store.owners import Listing, Owners
from memo._store.parted import WHOLE
from memo._store.policy import CacheClass, make_cache
from memo._store.resizing import Resizing
from memo._store.serving import Serving, Standing
from memo._store.shelf import DYING, Operation, PutOff, Shelf, ShowIndex
from memo._store.sweep import Sweep
from memo._store.tag_index import TagIndex

__all__ = ("Store",)

if speed is not None:
    speed.know(
        Changes=Changes,
        Figures=Figures,
        Listed=Listing.ALL,
        Owners=Owners,
        Shelf=Shelf,
        in_own_shelf=vars(sys.modules[OwnShelf.__module__]),
        in_large_table=vars(sys.modules[in_large.__module__]),
        in_shelf=vars(sys.modules[Shelf.__module__]),
    )

_FRESH = Standing.FRESH
_TRIES = 100
"""How often a look-up begins again because the entry that it found left meanwhile."""


class Store:
    """Entries of one function, bounded by number, by bytes, or by both.

    Keys are given as ``stored_key()`` makes them.

    Args:
        where: The decorator, for messages.
        max_entries: Most entries, or None.
        max_bytes: Most bytes of entries together, or None.  Where both are None, nothing is ever evicted.
        policy: The cachetools class that decides what leaves.
        idle_s: Seconds after its last use at which an entry is past its life; None: never.
        rich: Entries are ``RichEntry``.
        show_index: Told of another index to read, and of the ring.
    """

    def __init__(
        self,
        where: str,
        max_entries: int | None,
        max_bytes: int | None,
        policy: CacheClass,
        idle_s: float | None = None,
        rich: bool = False,
        show_index: ShowIndex = nothing,
    ) -> None:
        self.idle_s = idle_s
        self.rich = rich
        self.weighed: bool = max_bytes is not None
        cache = make_cache(where, policy, max_entries, max_bytes)
        self._serving = serving = Serving(idle_s, rich)
        self.put_off: PutOff = PutOff()
        """What was asked for in the middle of a change."""
        held = max_entries, max_bytes, serving, rich, self.put_off, show_index
        self._shelf: Shelf
        self.touches: str = ""
        """How a hit moves its entry; see ``EntryPolicy.touches``."""
        if isinstance(cache, EntryPolicy):
            self._shelf = OwnShelf(cache, cache.nodes, cache.ring, *held)
            self.touches = cache.touches
        else:
            self._shelf = ForeignShelf(cache, {}, StoreQueue(), *held)
        self._changes = Changes(self._shelf, serving, self.put_off)
        self.lock: threading.RLock = self._changes.lock
        self.foreign: bool = isinstance(self._shelf, ForeignShelf)
        """The policy is the user's own: it must see every hit, so that hits take the lock."""
        self._is_shown = self.foreign or bool(self.touches)
        self.lean: bool = not (self.foreign or self.weighed or idle_s is not None or rich)
        """The common case, for which ``put_lean`` has a way without detours."""
        shelf, changes = self._shelf, self._changes
        # the parts' own methods, since most are asked at every miss
        self.standing: Callable[[Any, float], Standing] = serving.standing
        self.past_life: Callable[[Any, float], bool] = serving.past_life
        self.live: Callable[[Iterable[Any], float], list[Any]] = serving.live
        self.change: Callable[..., list[Gone]] = changes.change
        self.put_lean: Callable[[Hashable, Any, float], Any] = changes.put_lean
        self.take_lost: Callable[[], Any] = changes.take_lost
        self.put: Operation = shelf.put
        self.drop: Operation = shelf.drop
        self.drop_all: Operation = shelf.drop_all
        self.forget: Operation = shelf.forget
        self.clear: Operation = shelf.clear
        self.resize: Operation = shelf.resize
        self.strike_out: Operation = shelf.strike_out
        self.list_again: Operation = shelf.list_again
        self.entry: type[Entry] = Entry
        """What to make of a value where the options ask for no more."""
        self._choose_entry()

    # -- what is held

    @property
    def index(self) -> MutableMapping[Hashable, Any]:
        """The entry of each key: one dictionary, or one in parts."""
        return self._shelf.index

    @property
    def shelf(self) -> Shelf:
        """What has the index."""
        return self._shelf

    @property
    def ring(self) -> StoreQueue:
        """The ring in which a hit may move its entry."""
        return self._shelf.ring

    @property
    def cache(self) -> Any:
        """The cachetools cache."""
        return self._shelf.cache

    @property
    def small_share(self) -> float | None:
        """The part of the whole that the policy means for new keys at present; None if it has no such part."""
        return None if self.foreign else getattr(self.cache, "small_share", None)

    @property
    def max_entries(self) -> int | None:
        """Most entries, or None."""
        return self._shelf.max_entries

    @property
    def max_bytes(self) -> int | None:
        """Most bytes of entries together, or None."""
        return self._shelf.max_bytes

    @property
    def may_grow(self) -> bool:
        """Whether the bounds allow so many entries that tables of them are to be in parts."""
        return self._shelf.may_grow

    @property
    def is_large(self) -> bool:
        """Whether there are too many entries to do anything with all of them in one step."""
        return len(self._shelf.index) > WHOLE

    @property
    def apart(self) -> bool:
        """Whether entries are also listed with what their keys stand for."""
        return self._shelf.owners.apart

    @property
    def instances(self) -> bool:
        """Whether keys begin with an instance."""
        return self._shelf.owners.instances

    @property
    def parts(self) -> tuple[Any, ...]:
        """What a miss in C puts an entry into: see section 3 of ``memo/_native/_speed.c``."""
        return self._changes, self._shelf, self._shelf.owners, self._shelf.figures

    def keep_apart(self, instances: bool, weak: bool | None = None, dead: list[InstanceRef] | None = None) -> None:
        """Know what is in keys from now on; see ``Owners.follow()``."""
        self._shelf.owners.follow(instances, weak, dead)
        self._choose_entry()

    def _choose_entry(self) -> None:
        alone = not (self.foreign or self.cache.holds_entries or self._shelf.owners.apart)
        self.entry = Entry if alone else TrackedEntry

    # -- reading

    def use(self, key: Hashable, now: float, after: float = -math.inf) -> Any:
        """The fresh entry of *key*, counted as a hit and shown to the policy; else None.

        Args:
            key: What is looked for.
            now: The time.
            after: Only what was stored later than this will do.
        """
        index = self._shelf.index
        for _ in range(_TRIES):
            entry: Any = index.get(key)  # without the lock: who knows what a comparison does
            if entry is None:
                return None
            try:
                with self.lock:
                    is_here = index.get(entry.key) is entry
                    if not is_here:
                        continue  # it left meanwhile
                    if self.standing(entry, now) is not _FRESH or entry.stored <= after:
                        return None
                    if self._is_shown and not self._changes.show(entry, now):
                        return None
                    if self.idle_s is not None:
                        entry.used = now
                    entry.hits += 1
                    return entry
            except Undecided as met:  # and begin again, as comparing_outside() does
                met.decide(self.lock)
        return None  # a key that is equal to several that differ finds another entry each time

    def use_stale(self, entry: RichEntry, now: float) -> None:
        """Count *entry*, found without the lock, as having answered stale or with its failure."""
        comparing_outside(self.lock, self._use_stale, entry, now)

    def _use_stale(self, entry: RichEntry, now: float) -> None:
        with self.lock:
            if self._shelf.index.get(entry.key) is not entry:  # it left meanwhile
                self._shelf.figures.add_late(entry.failure)
                return
            if self._is_shown:
                self._changes.show(entry, now)
            entry.used = now
            entry.hits += 1
            entry.stale_hits += not entry.failure

    def touch(self, entry: Any) -> None:
        """Show the policy a hit on *entry*, which a reader found without the lock."""
        try:
            with self.lock:
                self._changes.show(entry, 0.0)
        except Undecided:  # it has left
            pass

    def snapshot(self) -> list[Any]:
        """All entries, at one moment: for few, or where nobody waits."""
        with self.lock:
            return list(self._shelf.index.values())

    def lots(self, owner: InstanceRef | None = None) -> Iterator[list[Any]]:
        """The entries, of what *owner* stands for or (None) all, in lots; see ``lots``."""
        shelf = self._shelf
        if owner is not None:
            return lots_of(owner.table, self.lock)
        if self.foreign and len(shelf.index) > WHOLE:
            return along(shelf.ring, len(shelf.index), self._changes.walk, self.lock)
        return lots_of(shelf.index, self.lock)

    def bearers(self, tag: str) -> Iterator[list[RichEntry]]:
        """The entries that bear *tag*, in lots."""
        return lots_of(self._shelf.tags.bearers(tag), self.lock)

    def tags(self) -> list[str]:
        """The tags that entries bear, where each bears its own."""
        with self.lock:
            return list(self._shelf.tags.all())

    def look(self) -> None:
        """Look for hits of some more entries, where there are too many to look at all; not within a change."""
        if self.lock._is_owned():  # type: ignore[attr-defined]
            return
        pace = Pace()
        for most in looks(len(self._shelf.index)):
            self._look(most)
            pace.rest()

    def _look(self, most: int) -> None:
        with self.lock:
            self._shelf.figures.look(self._shelf.index, most)

    def answers(self) -> tuple[int, int, int]:
        """All hits so far: on fresh values, on stale values and on remembered failures; see ``Figures.answers()``."""
        with self.lock:
            return self._shelf.figures.answers(self._shelf.index)

    def evictions(self) -> dict[EvictionReason, int]:
        """How many values left, by reason."""
        with self.lock:
            return self._shelf.figures.evictions()

    def tell_apart(self, lot: Exodus, counted: bool = True) -> Departures:
        """What is told of *lot*, some of what was given away; see ``Changes.tell_apart()``."""
        return self._changes.tell_apart(lot, counted)

    def forget_counts(self) -> None:
        """Begin counting anew, as if nothing had been hit and nothing had left."""
        with self.lock:
            self._shelf.figures.forget(self._shelf.index.values())

    # -- cleaning up

    def expire(
        self, now: float, scope: Hashable | None = None, tell: Callable[[Departures], object] | None = None
    ) -> Iterator[Departures]:
        """Take out what is past its life, of one instance or (None) of all: what left, slice by slice.

        Args:
            now: The time.
            scope: The token of the instance.
            tell: Called with what left in a slice, also if an exception cuts that short; then once more.
        """
        return self._sweep(now, scope).slices(tell)

    def resizing(self, max_entries: int | None, max_bytes: int | None) -> Resizing:
        """A change of the bounds, in slices."""
        return Resizing(self._shelf, max_entries, max_bytes, DYING)

    def _sweep(self, now: float, scope: Hashable | None = None) -> Sweep:
        return Sweep(self._shelf, self._changes, self._serving, now, scope)

    def collected(self, owner: InstanceRef, now: float, gone: Departures) -> bool:
        """Take out the entries of an instance that died, now if the lock is free, else with the next changes.

        Called by the collector in any thread at any point, so it must not wait.  Of many entries only some leave at
        once; ``bury()`` goes on.

        Returns:
            Whether the lock was free.
        """
        self._shelf.put_off_drop(owner, now)
        return self.bury(gone)

    def bury(self, gone: Departures) -> bool:
        """Take out some more of what lingers, if the lock is free; whether it was."""
        took: list[bool] = []
        try:
            took.extend(map(self.lock.acquire, (False,)))  # taken and noted in one step, which no signal divides
            if True in took:
                self.change(nothing, gone=gone)
        except Undecided:  # the next change does it
            pass
        finally:
            if True in took:
                self.lock.release()
        return True in took

    @property
    def lingers(self) -> bool:
        """Whether something died that has still entries here, and this thread is not in the middle of a change."""
        return bool(self._shelf.lingering) and not self.lock._is_owned()  # type: ignore[attr-defined]

    # -- set aside

    def twin(self) -> "Store":
        """An empty store, made like this one."""
        return Store("bounded", self.max_entries, self.max_bytes, type(self.cache), self.idle_s, self.rich)

    def exchange(self, aside: Aside, gone: Departures, also: Iterable[Pair] = ()) -> None:
        """Exchange with *aside* what is held and what was counted.

        Args:
            aside: Has, or gets, the other side.
            gone: Gets what leaves by the way: entries of instances that have died.
            also: What else is exchanged, in the same step.

        Raises:
            RuntimeError: Called by what a change of this store runs.
        """
        with self.lock:
            self._refuse_in_a_change()
            _, twin, _ = aside.pair(self, (), self.twin)
            shelf, other = self._shelf, twin._shelf
            held = (
                (shelf, other, Shelf.HELD),
                (shelf.figures, other.figures, Figures.HELD),
                (shelf.tags, other.tags, TagIndex.HELD),
                (shelf.owners, other.owners, Owners.HELD),
            )
            self.change(self._exchange, aside, [*held, *also], gone=gone)

    def _exchange(self, gone: list[Gone], aside: Aside, pairs: list[Pair]) -> None:
        shelf = self._shelf
        self._changes.settle(gone)  # what finalizers asked for concerns what is held now
        shelf.lingering.clear()  # what comes back, and has died, is found then
        if shelf.owners.apart and shelf.owners.listing is not Listing.NONE:
            shelf.strike_out(gone, list(shelf.index.values()))  # none, as a rule
            shelf.owners.listing = Listing.NONE
        aside.exchange(pairs)

    def begin_listing(self, listing: Listing) -> bool:
        """Have entries be listed with what they belong to, or not; whether all are to be gone through for that.

        Raises:
            RuntimeError: Called by what a change of this store runs, for ``NONE``.
        """
        with self.lock:
            owners = self._shelf.owners
            if not owners.apart:
                return False
            if listing is Listing.NONE:
                self._refuse_in_a_change()
            elif owners.listing is Listing.ALL:
                return False
            owners.listing = listing
            return True

    def _refuse_in_a_change(self) -> None:
        if self._changes.busy:
            raise RuntimeError("a store cannot be set aside in the middle of a change of it; do that afterwards.")

    def rewind(self, now: float, pause_s: float) -> None:
        """Follow a clock that was put back: what was stored or used later than *now* counts as stored or used now.

        Others get their turn in between, if there are many entries.

        Args:
            now: What the clock shows.
            pause_s: The longest that ``retry`` and ``paused`` ever lie ahead.
        """
        for lot in unhurried(self.lots()):
            self._rewind(lot, now, pause_s)

    def rewind_few(self, now: float, pause_s: float) -> None:
        """``rewind()`` at one moment, also with the lock held; unless there are many entries."""
        if not self.is_large:
            self._rewind(self.snapshot(), now, pause_s)

    def _rewind(self, entries: list[Any], now: float, pause_s: float) -> None:
        with self.lock:
            self._serving.rewind(entries, now, pause_s)

    def _check(self) -> None:
        """Raise AssertionError unless the invariants hold."""
        with self.lock:
            if self._changes.torn or self.ring.key is True:
                self.change(nothing)
            assert not self._changes.busy, "a change has not ended"
            self._shelf._check()
