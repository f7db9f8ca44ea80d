"""The store of one function: a cachetools cache, and the index of it that hits read.

Invariants, checked by ``_check()``:

- ``index`` maps each key, as ``stored_key()`` makes it, to its entry, and ``cache`` holds the same entries under the
  same keys.  A hit reads ``index`` without a lock; everything else happens under ``lock``, in ``change()``.
- The index never holds more than ``max`` entries: room is made before an entry is put in.
- Of policies of our own the index is the cache's own dictionary, and the truth: rings, sums, tags and the tables of
  instances follow from it, and ``_mend()`` makes them anew before the next change, where one was cut short.
- A change does first what can fail: it looks up before it takes out.  What is about to leave is in the hands of the
  caller before it leaves (``gone``), so that ``on_evict`` hears of it even if an exception comes in between; should
  it not have left after all, it is taken back.  So a change that is cut short, at whichever instruction, is done in
  part or not at all, nothing leaves untold, and the next one finds a whole store.
- What left is let go of outside the lock.
- ``change()`` is not re-entered: what a finalizer, or a key's comparison, asks for in the middle of a change is done at
  its end.
- Under the lock no code of the user's runs but that of a ``policy=`` of the user's own, and ``__eq__`` of keys that
  differ and whose hashes are alike in all bits: once for each such pair and look-up.  Whoever changes the store has
  looked the key up before, without the lock, and ``HashedValue`` remembers what was equal.
- ``Entry.hits`` is raised without a lock, by a reader who found the entry with no call in between.  ``Entry.counted``
  is what of it ``seen_hits`` has; it is brought up to date when the entry leaves, and whenever somebody asks.
"""

import itertools
import math
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import cachetools

from memo._base import Aside, Pair
from memo._call import InstanceRef, belongs_to, owner_of, rest_of
from memo._store.departures import Departures, Gone
from memo._store.entries import Entry, Failure, IdleEntry, RichEntry, WeighedEntry
from memo._store.entry_policy import EntryPolicy
from memo._store.entry_s3fifo import EntryS3FIFO
from memo._store.eviction import EvictionReason
from memo._store.frequency import EntryLFU
from memo._store.orders import EntryFIFO, EntryLRU, EntryRandom
from memo._store.serving import Serving, Standing
from memo._store.walks import ListWalk, QueueWalk, RingWalk, Walk
from memo.policies import Queue

__all__ = (
    "LOOK",
    "POLICIES",
    "SLICE",
    "AnyCache",
    "CacheClass",
    "Departures",
    "Entry",
    "Failure",
    "Gone",
    "IdleEntry",
    "RichEntry",
    "Store",
    "WeighedEntry",
    "check_policy",
)

AnyCache = cachetools.Cache[Any, Any]
CacheClass = type[AnyCache]
"""A policy."""

_HELD = (
    "_most", "_round", "cache", "index", "left", "left_for_size", "max_bytes", "max_entries", "ring",
    "seen_error_hits", "seen_hits", "seen_stale_hits", "tagged",
)  # fmt: skip
"""What a store exchanges with its twin: entries, bounds and counts."""

SLICE = 100
"""Entries looked at, and perhaps taken out, in one hold of the lock by a clean-up: some 0.2 ms."""

LOOK = 10_000
"""Entries whose hits are added up at once when somebody asks for figures."""

_SIZE = EvictionReason.SIZE
_EXPIRED = EvictionReason.EXPIRED
_COLLECTED = EvictionReason.COLLECTED
_REPLACED = EvictionReason.REPLACED
_FRESH = Standing.FRESH
_OVER = Standing.OVER


def _size_of(entry: Any) -> int:
    return entry.size  # type: ignore[no-any-return]


POLICIES: dict[str, CacheClass] = {
    "s3fifo": EntryS3FIFO,
    "lru": EntryLRU,
    "lfu": EntryLFU,
    "fifo": EntryFIFO,
    "random": EntryRandom,
}


def check_policy(where: str, policy: Any) -> CacheClass:
    """The cache class that ``policy=`` names.

    Raises:
        ValueError: It is no known name.
        TypeError: It is neither a name nor a subclass of ``cachetools.Cache``.
    """
    if isinstance(policy, str):
        found = POLICIES.get(policy)
        if found is None:
            raise ValueError(
                f"{where}: policy={policy!r} is unknown; choose one of {', '.join(map(repr, POLICIES))}, "
                f"or give a subclass of cachetools.Cache."
            )
        return found
    if not (isinstance(policy, type) and issubclass(policy, cachetools.Cache)):
        raise TypeError(
            f"{where}: policy={policy!r} is neither a name nor a subclass of cachetools.Cache; "
            f"choose one of {', '.join(map(repr, POLICIES))}."
        )
    return policy


class Store:
    """Entries of one function, bounded by number, by bytes, or by both.

    Keys are given as ``stored_key()`` makes them.

    Args:
        where: The decorator, for messages.
        max_entries: Most entries, or None.
        max_bytes: Most bytes of values together, or None; one of the two is given.
        policy: The cachetools class that decides what leaves.
        idle_s: Seconds after its last use at which an entry is past its life; None: never.
        rich: Entries are ``RichEntry``.
    """

    busy: bool
    foreign: bool
    lean: bool
    left: dict[str, int]
    left_for_size: int
    lock: threading.RLock
    seen_error_hits: int
    seen_hits: int
    seen_stale_hits: int
    torn: bool
    weighed: bool

    def __init__(
        self,
        where: str,
        max_entries: int | None,
        max_bytes: int | None,
        policy: CacheClass,
        idle_s: float | None = None,
        rich: bool = False,
    ) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.idle_s = idle_s
        self.rich = rich
        self._serving = serving = Serving(idle_s, rich)
        self.standing = serving.standing
        """What an entry is good for now; its own methods, since they are asked often."""
        self.past_life = serving.past_life
        self.live = serving.live
        self.weighed = max_bytes is not None
        made: Any = self._make_cache(where, policy)
        self.cache = made
        self.instances = False
        """Keys begin with an instance: its token is told of each, so that all can go with it."""
        self.dead: list[InstanceRef] = []
        """The tokens of instances that died, of which nobody may have told; see ``Instances``."""
        self.foreign = not isinstance(made, EntryPolicy)
        """The policy is the user's own: it must see every hit, so that hits take the lock."""
        self.touches: str = "" if self.foreign else made.touches
        """How a hit moves its entry; see ``EntryPolicy.touches``."""
        self.lean = not (self.foreign or self.weighed or idle_s is not None or rich)
        """The common case, for which ``put_lean`` has a way without detours."""
        self._most = math.inf if max_entries is None else max_entries
        self.index: dict[Hashable, Any] = {} if self.foreign else made.nodes
        self.ring: Queue = Queue() if self.foreign else made.ring
        """The entries in the order in which they came, if the policy has no rings of entries: a clean-up can go along
        them bit by bit, as it cannot along a dictionary that changes meanwhile."""
        self.lock = threading.RLock()
        self.seen_hits = 0
        """Hits added up so far, those that answered stale or with a failure among them."""
        self.seen_stale_hits = 0
        self.seen_error_hits = 0
        self._round: Iterator[Any] | None = None
        """How far adding up has come in a store of more than ``LOOK`` entries."""
        self.tagged: dict[str, dict[Hashable, RichEntry]] = {}
        """The entries that bear each tag, by their keys."""
        self.left = {reason.value: 0 for reason in EvictionReason}
        self.left_for_size = 0
        """Counted apart from ``left``, since every miss does it."""
        self.torn = False
        """A change was cut short: what follows from the index is made anew before the next one."""
        self.busy = False
        """A change is under way, in the thread that holds the lock."""
        self._leaving: tuple[Any, Gone | None, tuple[str, int] | None] | None = None
        """The entry that is being taken out, what its caller is told of it, and the count of such before."""
        self._away: list[Any] | None = None
        """All entries, as they are being taken out together, why, when, and what will have left."""
        self.put_off: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        """What was asked for in the middle of a change."""
        self.lost: Any = None
        """An entry that left in a ``put_lean`` that was cut short, for its caller to tell."""

    def __del__(self) -> None:
        # by reference counts alone: rings, and the tables of instances that live on, would keep the entries
        try:
            for entry in self.index.values():
                if self.foreign:
                    del entry.older, entry.newer
                if self.instances:
                    self._disown(entry)
            if self.foreign:
                del self.ring.newer, self.ring.older
        except AttributeError:  # it was never whole
            pass

    def _make_cache(self, where: str, policy: CacheClass) -> AnyCache:
        try:
            if self.max_bytes is not None:
                return policy(self.max_bytes, getsizeof=_size_of)
            return policy(self.max_entries or 0)
        except TypeError as error:
            raise TypeError(
                f"{where}: policy={policy!r} cannot be made with a maxsize alone ({error}); give a class whose "
                f"constructor takes (maxsize, getsizeof=None), and ttl= to the decorator."
            ) from None

    # -- reading

    def is_fresh(self, entry: Any, now: float) -> bool:
        """Whether *entry* answers a call as a hit."""
        return self.standing(entry, now) is _FRESH

    def use(self, key: Hashable, now: float) -> Any:
        """The fresh entry of *key*, counted as a hit and shown to the policy; else None."""
        while True:
            entry = self.index.get(key)  # without the lock: who knows what a comparison does
            if entry is None:
                return None
            with self.lock:
                if not self._holds(entry):
                    continue  # it left meanwhile
                if self.standing(entry, now) is not _FRESH or not self._show(entry, now):
                    return None
                if self.idle_s is not None:
                    entry.used = now
                entry.hits += 1
                return entry

    def use_stale(self, entry: RichEntry, now: float) -> None:
        """Count *entry*, found without the lock, as having answered stale or with its failure."""
        with self.lock:
            if not self._holds(entry):  # it left meanwhile
                self.seen_hits += 1
                if entry.failure:
                    self.seen_error_hits += 1
                else:
                    self.seen_stale_hits += 1
                return
            self._show(entry, now)
            entry.used = now
            entry.hits += 1
            entry.stale_hits += not entry.failure

    def _holds(self, entry: Any) -> bool:
        """Whether *entry*, found without the lock, is there now; that it hangs in a ring would not tell."""
        return self.index.get(entry.key) is entry

    def touch(self, entry: Any) -> None:
        """Show the policy a hit on *entry*, which a reader found without the lock."""
        with self.lock:
            self._show(entry, 0.0)

    def _show(self, entry: Any, now: float) -> bool:
        """Show the policy a use of *entry*; whether it is still there.  Called with the lock held."""
        if not (self.foreign or self.touches) or self.busy:
            return True
        try:
            self.busy = True
            if self.foreign:
                try:
                    self.cache[entry.key]
                except KeyError:  # it was dropped unasked
                    self.put_off.append((self._reconcile, (now,)))
                    self.busy = False
                    return False
            elif self._holds(entry) and not self.torn:  # else it left meanwhile
                self.cache.use(entry)
            self.busy = False
        except BaseException:
            self.torn = True
            self.busy = False
            raise
        return True

    def snapshot(self) -> list[Any]:
        """All entries, at one moment."""
        with self.lock:
            return list(self.index.values())

    def answers(self) -> tuple[int, int, int]:
        """All hits so far, on entries here and gone: on fresh values, on stale values and on remembered failures.

        Looks at ``LOOK`` entries at the most, at others the next time: what they were hit since the last look at them
        is not in it yet.  Nothing is counted twice, and no figure ever goes back.
        """
        with self.lock:
            index = self.index
            entries: Any = index.values()
            if len(index) > LOOK:
                if self._round is None:
                    self._round = iter(entries)
                entries = itertools.islice(self._round, LOOK)
            else:
                self._round = None
            looked = 0
            try:
                for entry in entries:
                    looked += 1
                    self._add_up(entry)
            except RuntimeError:  # there are more or fewer entries than at the last look
                looked = 0
            if self._round is not None and looked < LOOK:
                self._round = None  # once more from the beginning
            stale, errors = self.seen_stale_hits, self.seen_error_hits
            return self.seen_hits - stale - errors, stale, errors

    def _add_up(self, entry: Any) -> None:
        """Add to the sums what *entry* was hit since it was last looked at."""
        hits = entry.hits
        more = hits - entry.counted
        if not more:
            return
        entry.counted = hits
        self.seen_hits += more
        if self.rich:
            if entry.failure:
                self.seen_error_hits += more
            stale = entry.stale_hits
            self.seen_stale_hits += stale - entry.counted_stale
            entry.counted_stale = stale

    def evictions(self) -> dict[EvictionReason, int]:
        """How many values left, by reason."""
        with self.lock:
            left = {reason: self.left[reason.value] for reason in EvictionReason}
            left[_SIZE] += self.left_for_size
            return left

    # -- changing

    def change(self, operation: Callable[..., None], *args: Any, gone: list[Gone] | None = None) -> list[Gone]:
        """Run one of the operations below under the lock; returns what left the store.

        Args:
            operation: Called with a list to add to what leaves, and with *args*.
            args: More arguments.
            gone: The list, for who must know of what left though this raises.
        """
        gone = Departures() if gone is None else gone
        away = None
        told = len(gone)
        try:
            with self.lock:
                if self.busy:
                    self.put_off.append((operation, args))
                    return gone
                late = False
                try:
                    self.busy = True
                    if self.torn or self.ring.key is True:
                        self._mend(gone)
                    if self.dead:
                        self._bury()
                    operation(gone, *args)
                    late = True
                    while self.put_off:
                        operation, args = self.put_off[0]
                        operation(gone, *args)
                        self.put_off.popleft()
                    told = len(gone)
                    away = self._away
                    self._away = None
                    self.busy = False
                except BaseException as error:
                    # no call into Python from here: there may be no stack left for it
                    self.torn = True
                    if late and self.put_off and isinstance(error, Exception) and type(error) is not RecursionError:
                        self.put_off.popleft()  # it would fail again
                    index = self.index
                    if self._away is not None:  # else it is in our hands already, or there is none
                        away, self._away = self._away, None
                    if away is not None and away[0] and away[0][0] in index.values():
                        away = None  # it has not left
                    leaving, self._leaving = self._leaving, None
                    if leaving is not None:
                        entry, item, count = leaving
                        stays = entry in index.values()
                        if count is not None:
                            self.left[count[0]] = count[1] + (not stays)
                        if stays and item is not None and gone and gone[-1] is item:
                            gone.pop()
                    if self.foreign:  # what the policy let go of is told by whoever finds out
                        try:
                            self._mend(gone)
                        except BaseException:  # it is torn still, and mended by the next change
                            pass
                    told = len(gone)
                    self.busy = False
                    raise
            if away is not None:
                self._let_go(gone, told, away)
                away = None
        except BaseException:
            if away is not None:
                self._let_go(gone, told, away)
            raise
        return gone

    def put(self, gone: list[Gone], key: Hashable, entry: Any, now: float) -> None:
        """Store *entry*, which is known to fit, under *key*."""
        index, cache = self.index, self.cache
        if self.foreign:
            self._put_foreign(gone, key, entry, now)
            return
        old = index.get(key)
        if old is not None:
            key = old.key
        recalled = old is None and cache.recall(key)
        while self._lacks_room(entry, old):
            victim = cache.choose()
            if victim is old:
                self._take(gone, victim, _REPLACED, now)
                old = None
            else:
                self._take(gone, victim, _SIZE, now)
        entry.key = key
        entry.counted = 0
        if old is None:
            cache.hang(entry, recalled)
            index[key] = entry
            cache.resize_by(entry.size if self.weighed else 1)
        else:
            cache.succeed(old, entry)
            self._take(gone, old, _REPLACED, now, by=entry)
        self._note(key, entry)

    def _lacks_room(self, entry: Any, old: Any) -> bool:
        """Whether something must leave before *entry* comes in, for *old* or (None) as a new one."""
        if old is None and self.max_entries is not None and len(self.index) >= self.max_entries:
            return True
        if not self.weighed:
            return False
        more = entry.size - (0 if old is None else old.size)
        return bool(self.cache.currsize + more > self.cache.maxsize)

    def _put_foreign(self, gone: list[Gone], key: Hashable, entry: Any, now: float) -> None:
        index, cache = self.index, self.cache
        old: Any = index.get(key)
        if old is None:
            if self.max_entries is not None:
                while len(index) >= self.max_entries:
                    self._evict(gone, now)
            if self.weighed:
                while cache.currsize + entry.size > cache.maxsize:
                    self._evict(gone, now)
        elif self.weighed:
            while key in index and index[key] is old and cache.currsize + entry.size - old.size > cache.maxsize:
                self._evict(gone, now, replacing=old)
            while cache.currsize + entry.size > cache.maxsize and index.get(key) is not old:
                self._evict(gone, now)
        old = index.get(key)
        entry.key = key
        entry.counted = 0
        cache[key] = entry
        self.ring.append(entry)
        if old is None:
            index[key] = entry
        else:
            self._take(gone, old, _REPLACED, now, by=entry)
        self._note(key, entry)
        if len(cache) != len(index):
            self._reconcile(gone, now)

    def put_lean(self, key: Hashable, entry: Any, now: float) -> Any:
        """Put *entry* in for another, without detours; called with the lock held, for a ``lean`` store.

        Returns:
            The entry that left; None if this is no case for short cuts, and nothing was done.
        """
        if self.instances or self.put_off or self.busy or self.torn:
            return None
        index, cache = self.index, self.cache
        victim = None
        count = self.left_for_size
        try:
            self.busy = True
            # the look-up first: it may run a comparison, which may ask for anything, and gets it afterwards
            if key in index or len(index) < self._most:
                self.busy = False
                return None
            victim = cache.exchange(key, entry)
            hits = victim.hits
            if hits is not victim.counted:
                self.seen_hits += hits - victim.counted
                victim.counted = hits
            if now < victim.deadline:
                self.left_for_size = count + 1
            else:
                self.left["expired"] += 1
            cache.leaving = None
            self.busy = False
        except BaseException:
            # no call into Python from here: there may be no stack left for it
            self.torn = True
            lost = victim
            if cache.leaving is not None and cache.leaving not in index.values():
                lost = cache.leaving
                if now < lost.deadline:
                    self.left_for_size = count + 1
                elif victim is None:
                    self.left["expired"] += 1
            cache.leaving = None
            self.lost = lost
            self.busy = False
            raise
        return victim

    def take_lost(self) -> Any:
        """The entry that left in a ``put_lean`` that was cut short, if one did."""
        with self.lock:
            lost, self.lost = self.lost, None
            return lost

    def drop(self, gone: list[Gone], key: Hashable, reason: EvictionReason, now: float, only: Any = None) -> None:
        """Take the entry of *key* out, if there is one (and it is still *only*, if that is given)."""
        entry = self.index.get(key)
        if entry is None or (only is not None and entry is not only):
            return
        self._take(gone, entry, reason, now)

    def drop_all(self, gone: list[Gone], entries: list[Any], reason: EvictionReason, now: float) -> None:
        """Take out those of these entries that are still there."""
        for entry in entries:
            self.drop(gone, entry.key, reason, now, only=entry)

    def drop_owned(self, gone: list[Gone], owner: InstanceRef, reason: EvictionReason, now: float) -> None:
        """Take out every entry of one instance."""
        for entry in tuple(owner.table.values()):
            self.drop(gone, entry.key, reason, now, only=entry)

    def expire(
        self, now: float, scope: Hashable | None = None, tell: Callable[[Departures], object] | None = None
    ) -> Iterator[list[Gone]]:
        """Take out what is past its life, of one instance or (None) of all: what left, slice by slice.

        The lock is held for one slice at a time.  What leaves is let go of before the next slice, outside the lock.
        Called by what a change of this store runs (a finalizer), it does nothing.

        Args:
            now: The time.
            scope: The token of the instance.
            tell: Called with what left in a slice, also if an exception cuts that short; then once more.
        """
        with self.lock:
            try:
                walk = self._walk(scope)
            except BaseException:
                self.torn = True  # its marker may hang in the ring
                raise
        try:
            while not walk.over:
                gone = Departures()
                try:
                    if not self._expire_slice(gone, walk, now, scope):
                        return
                    if tell is not None:
                        tell(gone)
                except BaseException:
                    if tell is not None:
                        tell(gone)
                    raise
                yield gone
                del gone
        finally:
            with self.lock:
                walk.close()

    def _expire_slice(self, gone: Departures, walk: Walk, now: float, scope: Hashable | None) -> bool:
        spent: list[Any] = []  # let go of without the lock
        with self.lock:
            if self.busy:
                return False
            self.change(_nothing, gone=gone)  # which mends what is torn
            try:
                entries = walk.step(SLICE, spent)
            except BaseException:
                self.torn = True  # its marker may hang in the ring in part
                raise
            self.change(self._drop_past, entries, scope, now, gone=gone)
        return True

    def _walk(self, scope: Hashable | None) -> Walk:
        if isinstance(scope, InstanceRef):
            return ListWalk(list(scope.table.values()))
        if isinstance(self.cache, EntryS3FIFO):
            return QueueWalk(self.cache.rings, len(self.index))
        return RingWalk(self.ring, len(self.index))

    def _drop_past(self, gone: list[Gone], entries: list[Any], scope: Hashable | None, now: float) -> None:
        for entry in entries:
            self._add_up(entry)
            if self.standing(entry, now) is _OVER and belongs_to(entry.key, scope):
                self.drop(gone, entry.key, _EXPIRED, now, only=entry)

    def clear(self, gone: list[Gone], reason: EvictionReason, now: float) -> None:
        """Take everything out, in one step: what left is told apart by ``change()``, without the lock."""
        if self._away is not None:  # twice in one change: nothing of it is lost
            for entry in list(self.index.values()):
                self._take(gone, entry, reason, now)
            return
        entries = list(self.index.values())
        if self.instances:
            for owner in {owner_of(entry.key) for entry in entries}:
                if owner is not None:
                    owner.table.clear()
        self._away = [entries, reason, now, None]
        self.index.clear()
        if self.foreign:
            self.ring.reset()
            self.cache.clear()
        else:
            self.cache._Cache__currsize = 0
            self.cache.forget_order()
        self.tagged = {}
        self._round = None

    def resize(self, gone: list[Gone], max_entries: int | None, max_bytes: int | None, now: float) -> None:
        """Change the bounds and evict what no longer fits; the policy's order is kept."""
        if max_entries is not None:
            while len(self.index) > max_entries:
                self._evict(gone, now)
        bound = max_bytes if self.weighed else max_entries
        if bound is None:
            bound = self.cache.maxsize
        while self.cache.currsize > bound:
            self._evict(gone, now)
        if max_entries is not None:
            self.max_entries = self._most = max_entries
        if max_bytes is not None:
            self.max_bytes = max_bytes
        # cachetools has no way to change maxsize but to build a new cache, which would forget
        # the order and the frequencies of its policy
        self.cache._Cache__maxsize = bound
        if not self.foreign:
            self.cache.set_targets()

    def collected(self, owner: InstanceRef, now: float, gone: Departures) -> None:
        """Take out the entries of an instance that died, now if the lock is free, else with the next change.

        Called by the collector in any thread at any point, so it must not wait.
        """
        self.put_off.append((self.drop_owned, (owner, _COLLECTED, now)))
        took: list[bool] = []
        try:
            took.extend(map(self.lock.acquire, (False,)))  # taken and noted in one step, which no signal divides
            if True in took:
                self.change(_nothing, gone=gone)
        finally:
            if True in took:
                self.lock.release()

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
            if self.busy:
                raise RuntimeError("a store cannot be set aside in the middle of a change of it; do that afterwards.")
            self.change(self._exchange, aside, [aside.pair(self, _HELD, self.twin), *also], gone=gone)

    def rewind(self, now: float, pause_s: float) -> None:
        """Follow a clock that was put back: what was stored or used later than *now* counts as stored or used now.

        Args:
            now: What the clock shows.
            pause_s: The longest that ``retry`` and ``paused`` ever lie ahead.
        """
        with self.lock:
            for entry in list(self.index.values()):
                if entry.stored > now:
                    entry.deadline = now + (entry.deadline - entry.stored)
                    if self.rich:
                        entry.ends = now + (entry.ends - entry.stored)
                    entry.stored = now
                if self.idle_s is not None and entry.used > now:
                    entry.used = now
                if self.rich:
                    entry.retry = min(entry.retry, now + pause_s)
                    entry.paused = min(entry.paused, now + pause_s)

    # -- steps of the above

    def _exchange(self, gone: list[Gone], aside: Aside, pairs: list[Pair]) -> None:
        while self.put_off:  # what finalizers asked for concerns what is held now
            operation, args = self.put_off.popleft()
            operation(gone, *args)
        for entry in self.index.values():
            self._disown(entry)
        aside.exchange(pairs)
        if self.instances:
            for key, entry in self.index.items():
                self._own(key, entry)  # those of instances that died meanwhile leave at the end of the change

    def _evict(self, gone: list[Gone], now: float, replacing: Any = None) -> None:
        """Have the policy choose, and take that out."""
        if not self.foreign:
            self._take(gone, self.cache.choose(), _SIZE, now)
            return
        _, entry = self.cache.popitem()
        self._take(gone, entry, _REPLACED if entry is replacing else _SIZE, now)

    def _take(self, gone: list[Gone], entry: Any, reason: EvictionReason, now: float, by: Any = None) -> None:
        """Take *entry*, which is there, out, or put *by* in its place."""
        key = entry.key
        item: Gone | None = key, entry.value, reason
        if reason is not _COLLECTED and self.standing(entry, now) is _OVER:
            reason = _EXPIRED
            item = key, entry.value, reason
        if self.rich and entry.failure:
            counts = False
        elif by is not None and by.value is entry.value:
            counts = False
            item = None  # the identical object put again has not left
        else:
            counts = True
        index = self.index
        left = self.left
        name = reason._value_
        weight = entry.size - (0 if by is None else by.size) if self.weighed else by is None
        self._leaving = entry, item, (name, left[name]) if counts else None
        if item is not None:
            gone.append(item)
        if self.instances:
            self._disown(entry)  # first, so that no hit finds there what is not in the index
        if by is None:
            if index.get(key) is entry:
                del index[key]
        else:
            index[key] = by
        if counts:
            left[name] += 1
        self._add_up(entry)
        if self.foreign:
            Queue.remove(entry)
            if by is None:
                try:
                    del self.cache[key]
                except KeyError:  # the policy had dropped it
                    pass
        else:
            self.cache.take_down(entry)
            self.cache.resize_by(-weight)
        if self.rich:
            self._untag(key, entry)
        self._leaving = None

    def _note(self, key: Hashable, entry: Any) -> None:
        """List *entry* with its instance and its tags."""
        if self.instances:
            self._own(key, entry)
        if self.rich:
            for tag in entry.tags:
                self.tagged.setdefault(tag, {})[key] = entry

    def _untag(self, key: Hashable, entry: RichEntry) -> None:
        for tag in entry.tags:
            bearers = self.tagged.get(tag, {})
            if bearers.get(key) is entry:
                del bearers[key]
                if not bearers:
                    del self.tagged[tag]

    def _own(self, key: Hashable, entry: Any) -> None:
        owner = owner_of(key)
        if owner is None:
            return
        owner.table[rest_of(key)] = entry
        if owner() is None:  # it died during the load: its callback has run, and will not again
            self.put_off.append((self.drop_owned, (owner, _COLLECTED, -math.inf)))

    def _bury(self) -> None:
        """Have the entries of instances go that died unheard of."""
        while self.dead:
            owner = self.dead[0]
            self.put_off.append((self.drop_owned, (owner, _COLLECTED, -math.inf)))
            try:
                self.dead.remove(owner)
            except ValueError:  # another thread tells of it at this moment
                pass

    def _disown(self, entry: Any) -> None:
        owner = owner_of(entry.key)
        if owner is not None:
            rest = rest_of(entry.key)
            if owner.table.get(rest) is entry:
                del owner.table[rest]

    def _reconcile(self, gone: list[Gone], now: float) -> None:
        """Let go of what a policy of the user's own dropped or declined without being asked."""
        held = {id(entry) for entry in self.cache._Cache__data.values()}
        for entry in list(self.index.values()):
            if id(entry) not in held:
                self._take(gone, entry, _SIZE, now)

    # -- after a change that was cut short, and after all entries have left

    def _mend(self, gone: list[Gone]) -> None:
        """Make the store whole from what is in the index; called with the lock held, within a change."""
        index = self.index
        if self.foreign:
            self._mend_foreign(gone)
        else:
            self.cache.mend()
        if self.rich:
            tagged: dict[str, dict[Hashable, RichEntry]] = {}
            for entry in index.values():
                for tag in entry.tags:
                    tagged.setdefault(tag, {})[entry.key] = entry
            self.tagged = tagged
        if self.instances:
            for entry in index.values():
                self._own(entry.key, entry)
        self.torn = False

    def _mend_foreign(self, gone: list[Gone]) -> None:
        """Have a policy of the user's own begin anew with what the index has: it may have been cut short itself."""
        index, cache = self.index, self.cache
        self.ring.reset()
        cache.clear()
        for key, entry in list(index.items()):
            self.ring.append(entry)
            cache[key] = entry
        self._reconcile(gone, -math.inf)

    def _let_go(self, gone: list[Gone], told: int, away: list[Any]) -> None:
        """Tell what left all together, after the first *told* of *gone*: without the lock, and again if cut short."""
        entries, reason, now, _ = away
        items: list[Gone] = []
        failures = expired = 0
        # nobody else reaches them any more, and there may be a million
        for entry, over in zip(entries, self._serving.over(entries, now), strict=True):
            if entry.hits is not entry.counted:
                self._add_up(entry)
            if over:
                expired += 1
                items.append((entry.key, entry.value, _EXPIRED))
            else:
                items.append((entry.key, entry.value, reason))
            if self.rich and entry.failure:
                failures += 1
                expired -= items[-1][2] is _EXPIRED
            try:
                del entry.older, entry.newer  # the rings would keep them alive until the next garbage collection
            except AttributeError:
                pass
        with self.lock:
            if away[3] is None:
                counts = {reason._value_: len(items) - failures - expired, "expired": expired}
                away[3] = {name: self.left[name] + count for name, count in counts.items()}
            self.left.update(away[3])
            gone[told:] = items

    def _check(self) -> None:
        """Raise AssertionError unless the invariants hold."""
        with self.lock:
            if self.torn or self.ring.key is True:
                self.change(_nothing)
            index, cache = self.index, self.cache
            assert not self.busy, "a change has not ended"
            assert self._leaving is None and self._away is None, "what left is still held"
            held = cache._Cache__data
            assert {id(entry) for entry in index.values()} == {id(entry) for entry in held.values()}, "cache differs"
            if self.max_entries is not None:
                assert len(index) <= self.max_entries, "more entries than max"
            if self.weighed:
                sizes = sum(entry.size for entry in index.values())
                assert sizes == cache.currsize, "sizes do not add up"
                assert self.max_bytes is not None and sizes <= self.max_bytes, "more bytes than max_bytes"
            if self.rich:
                bearers = {(tag, id(entry)) for tag, entries in self.tagged.items() for entry in entries.values()}
                assert bearers == {(t, id(e)) for e in index.values() for t in e.tags}, "tags and entries differ"
                assert all(self.tagged.values()), "a tag that nobody bears"
            if self.foreign:
                entries = RingWalk(self.ring, len(index)).step(len(index) + 1, [])
                assert len(entries) == len(index), "the ring has more or fewer entries than the index"
                assert {id(entry) for entry in entries} == {id(entry) for entry in index.values()}, "the ring differs"
            else:
                assert index is held, "the index is another"
                cache._check()
            for key, entry in index.items():
                assert entry.key is key or entry.key == key, "an entry knows another key"
                assert entry.counted <= entry.hits, "more hits were counted than there were"
                owner = owner_of(key)
                assert owner is None or owner.table.get(rest_of(key)) is entry, "an instance lost an entry"


def _nothing(gone: list[Gone]) -> None:
    """An operation for who wants done what was put off."""
