"""The store of one function: a cachetools cache, and beside it the index that hits read.

Invariants, checked by ``_check()``:

- ``index`` maps each key to its entry, and ``cache`` holds the same entries under the same keys.
  A hit reads ``index`` without a lock; everything else happens under ``lock``, in ``change()``.
- An entry leaves the index before its hits are added to ``retired_hits``.  A reader counts its hit
  without a call between looking up and adding, so none is lost.
- The index never holds more than ``max`` entries: room is made before an entry is put in.
- What leaves is handed to the caller of ``change()``, who tells ``on_evict`` and lets go of it
  outside the lock.
- ``change()`` is not re-entered: what a finalizer asks for that the collector runs in the middle of
  a change is done at its end.
"""

import math
import operator
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import cachetools

from memo._instances import InstanceRef, belongs_to, owner_of, rest_of
from memo._policies import Entry, EntryS3FIFO, Queue
from memo._stats import EvictionReason
from memo._walks import ListWalk, QueueWalk, RingWalk, Walk

__all__ = (
    "POLICIES",
    "SLICE",
    "AnyCache",
    "CacheClass",
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

Gone = tuple[Hashable, Any, EvictionReason]
"""A key, the value that left, and why."""


class IdleEntry(Entry):
    """An entry that knows when it was last used."""

    __slots__ = ("size", "used")

    size: int
    used: float


class WeighedEntry(Entry):
    """An entry that knows how many bytes it takes, with its key and its value."""

    __slots__ = ("size",)

    size: int


class RichEntry(IdleEntry):
    """An entry with tags of its own, one that may serve past its deadline, or a remembered failure."""

    __slots__ = ("ends", "failure", "paused", "retry", "stale_hits", "tags")

    ends: float
    """The time from which on it may serve nobody."""
    failure: bool
    """Its value is a ``Failure``; its deadline lies behind, so that no hit finds it fresh."""
    retry: float
    """Until then whoever finds it stale is answered at once, and nobody begins a load."""
    paused: float
    """Until then a load that failed is not tried again."""
    stale_hits: int
    """Those of its hits that found it stale."""
    tags: tuple[str, ...]


class Failure:
    """What is remembered of a load that failed."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


_HELD = (
    "_most", "_ring", "cache", "index", "left", "left_for_size", "max_bytes", "max_entries", "retired_error_hits",
    "retired_hits", "retired_stale_hits", "tagged",
)  # fmt: skip
"""What a store exchanges with its twin: entries, bounds and counts."""

SLICE = 100
"""Entries looked at, and perhaps taken out, in one hold of the lock by a clean-up: some 0.2 ms."""

_SIZE = EvictionReason.SIZE
_HITS: Callable[[Any], int] = operator.attrgetter("hits")


def _size_of(entry: Any) -> int:
    return entry.size  # type: ignore[no-any-return]


POLICIES: dict[str, CacheClass] = {
    "s3fifo": EntryS3FIFO,
    "lru": cachetools.LRUCache,
    "lfu": cachetools.LFUCache,
    "fifo": cachetools.FIFOCache,
    "random": cachetools.RRCache,
}
_UNTOUCHED = frozenset({EntryS3FIFO, cachetools.FIFOCache, cachetools.RRCache})
"""Policies that need not see a hit."""


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

    Args:
        where: The decorator, for messages.
        max_entries: Most entries, or None.
        max_bytes: Most bytes of entries together, or None; one of the two is given.
        policy: The cachetools class that decides what leaves.
        idle_s: Seconds after its last use at which an entry is past its life; None: never.
        rich: Entries are ``RichEntry``.
    """

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
        self.weighed = max_bytes is not None
        self.cache = self._make_cache(where, policy)
        self.instances = False
        """Keys begin with an instance: its token is told of each, so that all can go with it."""
        self.watched = type(self.cache) not in _UNTOUCHED
        """The policy must see every hit, so that hits take the lock."""
        self._own_index = not isinstance(self.cache, EntryS3FIFO)
        self.lean = type(self.cache) is EntryS3FIFO and not self.weighed and idle_s is None and not rich
        """The common case, for which ``put_lean`` has a way without detours."""
        self._most = math.inf if max_entries is None else max_entries
        self.index: dict[Hashable, Any] = {} if self._own_index else self.cache.nodes  # type: ignore[attr-defined]
        self._ring = Queue()
        """The entries in the order in which they came, if the policy has no queues of entries: a clean-up can go along
        them bit by bit, as it cannot along a dictionary that changes meanwhile."""
        self.lock = threading.RLock()
        self.retired_hits = 0
        self.retired_stale_hits = 0
        self.retired_error_hits = 0
        self.tagged: dict[str, dict[Hashable, RichEntry]] = {}
        """The entries that bear each tag, by their keys."""
        self.left = dict.fromkeys(EvictionReason, 0)
        self.left_for_size = 0
        """Counted apart from ``left``: hashing a member of an enumeration takes longer than the eviction."""
        self.busy = False
        """A change is under way, in the thread that holds the lock."""
        self._later: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

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

    def past_life(self, entry: Any, now: float) -> bool:
        """Whether *entry* may serve nobody any more."""
        if now >= (entry.ends if self.rich else entry.deadline):
            return True
        return self.idle_s is not None and now >= entry.used + self.idle_s

    def is_fresh(self, entry: Any, now: float) -> bool:
        """Whether *entry* answers a call as a hit."""
        return bool(now < entry.deadline) and (self.idle_s is None or bool(now < entry.used + self.idle_s))

    def use(self, key: Hashable, now: float) -> Any:
        """The fresh entry of *key*, counted as a hit and shown to the policy; else None."""
        with self.lock:
            entry = self.index.get(key)
            if entry is None or not self.is_fresh(entry, now):
                return None
            if self.watched and not self.busy:
                try:
                    self.cache[key]
                except KeyError:  # a policy of the user's own dropped it unasked
                    self._later.append((self._reconcile, (now,)))
                    return None
            if self.idle_s is not None:
                entry.used = now
            entry.hits += 1
            return entry

    def use_stale(self, key: Hashable, entry: RichEntry, now: float) -> None:
        """Count *entry*, found under *key*, as having answered stale or with its failure."""
        with self.lock:
            if self.index.get(key) is not entry:  # it left meanwhile
                self.retired_hits += 1
                if entry.failure:
                    self.retired_error_hits += 1
                else:
                    self.retired_stale_hits += 1
                return
            if self.watched and not self.busy:
                try:
                    self.cache[key]
                except KeyError:  # a policy of the user's own dropped it unasked
                    self._later.append((self._reconcile, (now,)))
            entry.used = now
            entry.hits += 1
            entry.stale_hits += not entry.failure

    def snapshot(self) -> list[tuple[Hashable, Any]]:
        """All keys and entries, at one moment."""
        with self.lock:
            return list(self.index.items())

    def answers(self) -> tuple[int, int, int]:
        """All hits so far, on entries here and gone: on fresh values, on stale values and on remembered failures."""
        with self.lock:
            hits = self.retired_hits + sum(map(_HITS, self.index.values()))
            stale, errors = self.retired_stale_hits, self.retired_error_hits
            if self.rich:
                for entry in self.index.values():
                    stale += entry.stale_hits
                    errors += entry.hits if entry.failure else 0
            return hits - stale - errors, stale, errors

    def evictions(self) -> dict[EvictionReason, int]:
        """How many values left, by reason."""
        with self.lock:
            return {**self.left, _SIZE: self.left[_SIZE] + self.left_for_size}

    # -- changing

    def change(self, operation: Callable[..., None], *args: Any) -> list[Gone]:
        """Run one of the operations below under the lock; returns what left the store.

        If the operation is cut short (Ctrl-C, a policy or a key's ``__eq__`` that raises) the
        store is emptied: nothing half-done stays behind.
        """
        gone: list[Gone] = []
        with self.lock:
            if self.busy:
                self._later.append((operation, args))
                return gone
            self.busy = True
            try:
                operation(gone, *args)
                while self._later:
                    operation, args = self._later.popleft()
                    operation(gone, *args)
            except BaseException:
                self._empty(gone)
                raise
            finally:
                self.busy = False
        return gone

    def put(self, gone: list[Gone], key: Hashable, entry: Any, now: float) -> None:
        """Store *entry*, which is known to fit, under *key*."""
        index, cache = self.index, self.cache
        old = index.get(key)
        if old is None:
            if self.max_entries is not None:
                while len(index) >= self.max_entries:
                    self._evict(gone, now)
            if self.weighed:
                while cache.currsize + entry.size > cache.maxsize:
                    self._evict(gone, now)
        elif self.weighed:
            while key in index and cache.currsize + entry.size - old.size > cache.maxsize:
                self._evict(gone, now, replacing=key)
            while cache.currsize + entry.size > cache.maxsize and key not in index:
                self._evict(gone, now)
        still_old = index.get(key)
        cache[key] = entry
        if self._own_index:
            index[key] = entry
            entry.key = key
            self._ring.append(entry)
        if self.instances:
            self._own(key, entry)
        if self.rich:
            for tag in entry.tags:
                self.tagged.setdefault(tag, {})[key] = entry
        if still_old is not None:
            self._retire(gone, key, still_old, EvictionReason.REPLACED, now, by=entry)
        if len(cache) != len(index):
            self._reconcile(gone, now)

    def put_lean(self, key: Hashable, entry: Any, now: float) -> Any:
        """Put *entry* in for another, without detours; called with the lock held, for a ``lean`` store.

        Returns:
            The entry that left; None if this is no case for short cuts, and nothing was done.
        """
        if len(self.index) < self._most or key in self.index or self.instances or self._later or self.busy:
            return None
        self.busy = True
        try:
            victim = self.cache.exchange(key, entry)  # type: ignore[attr-defined]
        except BaseException:
            self._empty([])
            raise
        finally:
            self.busy = False
        self.retired_hits += victim.hits
        if now < victim.deadline:
            self.left_for_size += 1
        else:
            self.left[EvictionReason.EXPIRED] += 1
        return victim

    def drop(self, gone: list[Gone], key: Hashable, reason: EvictionReason, now: float, only: Any = None) -> None:
        """Take the entry of *key* out, if there is one (and it is still *only*, if that is given)."""
        entry = self.index.get(key)
        if entry is None or (only is not None and entry is not only):
            return
        if self._own_index:
            del self.index[key]
        try:
            del self.cache[key]
        except KeyError:  # a policy of the user's own had dropped it
            pass
        self._disown(key)
        self._retire(gone, key, entry, reason, now)

    def drop_all(self, gone: list[Gone], keys: list[tuple[Hashable, Any]], reason: EvictionReason, now: float) -> None:
        """Take out those of these entries that are still there."""
        for key, entry in keys:
            self.drop(gone, key, reason, now, only=entry)

    def drop_owned(self, gone: list[Gone], owner: InstanceRef, reason: EvictionReason, now: float) -> None:
        """Take out every entry of one instance."""
        for entry in tuple(owner.table.values()):
            self.drop(gone, entry.key, reason, now)

    def expire(self, now: float, scope: Hashable | None = None) -> Iterator[list[Gone]]:
        """Take out what is past its life, of one instance or (None) of all: what left, slice by slice.

        The lock is held for one slice at a time.  What leaves is let go of before the next slice, outside the lock.
        Called by what a change of this store runs (a finalizer), it does nothing.
        """
        with self.lock:
            walk = self._walk(scope)
        try:
            while not walk.over:
                spent: list[Any] = []
                with self.lock:
                    if self.busy:
                        return
                    entries = walk.step(SLICE, spent)
                    gone = self.change(self._drop_past, entries, scope, now)
                del entries, spent
                yield gone
                del gone
        finally:
            with self.lock:
                walk.close()

    def _walk(self, scope: Hashable | None) -> Walk:
        if isinstance(scope, InstanceRef):
            return ListWalk(list(scope.table.values()))
        if isinstance(self.cache, EntryS3FIFO):
            return QueueWalk(self.cache.queues, len(self.index))
        return RingWalk(self._ring, len(self.index))

    def _drop_past(self, gone: list[Gone], entries: list[Any], scope: Hashable | None, now: float) -> None:
        for entry in entries:
            if self.past_life(entry, now) and belongs_to(entry.key, scope):
                self.drop(gone, entry.key, EvictionReason.EXPIRED, now, only=entry)

    def clear(self, gone: list[Gone], reason: EvictionReason, now: float) -> None:
        """Take everything out."""
        for key, entry in self._emptied():
            self._retire(gone, key, entry, reason, now)

    def resize(self, gone: list[Gone], max_entries: int | None, max_bytes: int | None, now: float) -> None:
        """Change the bounds and evict what no longer fits; the policy's order is kept."""
        if max_entries is not None:
            self.max_entries = self._most = max_entries
        if max_bytes is not None:
            self.max_bytes = max_bytes
        bound = self.max_bytes if self.weighed else self.max_entries
        if self.max_entries is not None:
            while len(self.index) > self.max_entries:
                self._evict(gone, now)
        assert bound is not None
        while self.cache.currsize > bound:
            self._evict(gone, now)
        # cachetools has no way to change maxsize but to build a new cache, which would forget
        # the order and the frequencies of its policy
        self.cache._Cache__maxsize = bound  # type: ignore[attr-defined]
        if isinstance(self.cache, EntryS3FIFO):
            self.cache.set_targets()

    def collected(self, owner: InstanceRef, now: float) -> list[Gone]:
        """Take out the entries of an instance that died, now if the lock is free, else with the next change.

        Called by the collector in any thread at any point, so it must not wait.
        """
        work = (self.drop_owned, (owner, EvictionReason.COLLECTED, now))
        if not self.lock.acquire(blocking=False):
            self._later.append(work)
            return []
        try:
            return self.change(work[0], *work[1])
        finally:
            self.lock.release()

    def twin(self) -> "Store":
        """An empty store, made like this one."""
        return Store("bounded", self.max_entries, self.max_bytes, type(self.cache), self.idle_s, self.rich)

    def exchange(self, twin: "Store") -> list[Gone]:
        """Exchange with *twin*, which nobody else uses, what is held and what was counted.

        Returns:
            What left by the way: entries of instances that have died.

        Raises:
            RuntimeError: Called by what a change of this store runs.
        """
        with self.lock:
            if self.busy:
                raise RuntimeError("a store cannot be set aside in the middle of a change of it; do that afterwards.")
            return self.change(self._exchange, twin)

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

    def _exchange(self, gone: list[Gone], twin: "Store") -> None:
        while self._later:  # what finalizers asked for concerns what is held now
            operation, args = self._later.popleft()
            operation(gone, *args)
        for key in self.index:
            self._disown(key)
        for name in _HELD:
            mine, its = getattr(self, name), getattr(twin, name)
            setattr(self, name, its)
            setattr(twin, name, mine)
        if self.instances:
            for key, entry in self.index.items():
                self._own(key, entry)  # those of instances that died meanwhile leave at the end of the change

    def _evict(self, gone: list[Gone], now: float, replacing: Hashable = None) -> None:
        key, entry = self.cache.popitem()
        if self._own_index:
            self.index.pop(key, None)
        self._disown(key)
        replaced = replacing is not None and key == replacing
        self._retire(gone, key, entry, EvictionReason.REPLACED if replaced else EvictionReason.SIZE, now)

    def _retire(
        self, gone: list[Gone], key: Hashable, entry: Any, reason: EvictionReason, now: float, by: Any = None
    ) -> None:
        self.retired_hits += entry.hits
        if self._own_index:
            Queue.remove(entry)
        if self.rich:
            self.retired_stale_hits += entry.stale_hits
            self._untag(key, entry)
            if entry.failure:
                self.retired_error_hits += entry.hits
                gone.append((key, entry.value, EvictionReason.EXPIRED if self.past_life(entry, now) else reason))
                return
        if by is not None and by.value is entry.value:
            return  # the identical object put again has not left
        if reason is not EvictionReason.COLLECTED and self.past_life(entry, now):
            reason = EvictionReason.EXPIRED
        self.left[reason] += 1
        gone.append((key, entry.value, reason))

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
        entry.key = key
        owner.table[rest_of(key)] = entry
        if owner() is None:  # it died during the load: its callback has run, and will not again
            self._later.append((self.drop_owned, (owner, EvictionReason.COLLECTED, -math.inf)))

    def _disown(self, key: Hashable) -> None:
        owner = owner_of(key)
        if owner is not None:
            owner.table.pop(rest_of(key), None)

    def _emptied(self) -> list[tuple[Hashable, Any]]:
        entries = list(self.index.items())
        self.cache.clear()
        self.index.clear()
        for key, _ in entries:
            self._disown(key)
        return entries

    def _empty(self, gone: list[Gone]) -> None:
        self._later.clear()
        for key, entry in self._emptied():
            self._retire(gone, key, entry, EvictionReason.CLEARED, -math.inf)

    def _reconcile(self, gone: list[Gone], now: float) -> None:
        """Let go of what a policy of the user's own dropped or declined without being asked."""
        for key, entry in list(self.index.items()):
            if key not in self.cache:
                del self.index[key]
                self._disown(key)
                self._retire(gone, key, entry, EvictionReason.SIZE, now)

    def _check(self) -> None:
        """Raise AssertionError unless the invariants hold."""
        with self.lock:
            assert set(self.index) == set(self.cache), "index and cache differ"
            if self.max_entries is not None:
                assert len(self.index) <= self.max_entries, "more entries than max"
            if self.weighed:
                sizes = sum(entry.size for entry in self.index.values())
                assert sizes == self.cache.currsize, "sizes do not add up"
                assert self.max_bytes is not None and sizes <= self.max_bytes, "more bytes than max_bytes"
            if self.rich:
                bearers = {(tag, key) for tag, entries in self.tagged.items() for key in entries}
                assert bearers == {(t, k) for k, e in self.index.items() for t in e.tags}, "tags and entries differ"
            if self._own_index:
                entries = RingWalk(self._ring, len(self.index)).step(len(self.index) + 1, [])
                assert len(entries) == len(self.index), "the ring has more or fewer entries than the index"
                assert all(self.index.get(entry.key) is entry for entry in entries), "the ring has others"
            for key, entry in self.index.items():
                owner = owner_of(key)
                assert owner is None or owner.table.get(rest_of(key)) is entry, "an instance lost an entry"
            if isinstance(self.cache, EntryS3FIFO):
                self.cache._check()
