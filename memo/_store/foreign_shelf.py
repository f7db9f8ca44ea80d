"""What a store holds under a policy of the user's own: any ``cachetools.Cache``, of which nothing else is known.

- It may drop entries unasked, at any operation, and decline new ones: ``reconcile()`` finds out by comparing.
- It must see every use, so that hits take the lock.
- It keeps an order that only it knows, so a ring lists the entries as they came, for clean-ups; where a change was cut
  short, the policy begins anew with what the index has, since it may have been cut short itself.
"""

import math
import sys
from collections.abc import Hashable
from typing import Any

from memo._rings import StoreQueue
from memo._store.departures import Gone
from memo._store.eviction import EvictionReason
from memo._store.last_reference import ALONE
from memo._store.shelf import Shelf
from memo._store.walks import RingWalk

__all__ = ("ForeignShelf",)

_SIZE = EvictionReason.SIZE
_REPLACED = EvictionReason.REPLACED


class ForeignShelf(Shelf):
    """The entries of one store, in the order of a policy of the user's own."""

    __slots__ = ()

    def __del__(self) -> None:
        # by reference counts alone: the ring would keep its entries, and itself
        try:
            if sys.getrefcount(self) == ALONE:  # else the collector's, and what goes with this may call on it yet
                for entry in self.index.values():
                    del entry.older, entry.newer
                del self.ring.newer, self.ring.older
        except AttributeError:  # it was never whole
            pass
        super().__del__()

    def show(self, entry: Any, now: float) -> bool:
        try:
            self.cache[entry.key]
        except KeyError:
            self._put_off.append((self.reconcile, (now,)))
            return False
        return True

    def put(self, gone: list[Gone], key: Hashable, entry: Any, now: float) -> None:
        index, cache = self.index, self.cache
        old: Any = index.get(key)
        if old is None:
            if self.max_entries is not None:
                while len(index) >= self.max_entries:
                    self.evict(gone, now)
            if self.weighed:
                while cache.currsize + entry.size > cache.maxsize:
                    self.evict(gone, now)
        elif self.weighed:
            while key in index and index[key] is old and cache.currsize + entry.size - old.size > cache.maxsize:
                self._evict(gone, now, replacing=old)
            while cache.currsize + entry.size > cache.maxsize and index.get(key) is not old:
                self.evict(gone, now)
        old = index.get(key)
        entry.key = key
        entry.counted = 0
        cache[key] = entry
        self.ring.append(entry)
        if old is None:
            index[key] = entry
        else:
            self.take(gone, old, _REPLACED, now, by=entry)
        self._list(entry)
        if len(cache) != len(index):
            self.reconcile(gone, now)

    def evict(self, gone: list[Gone], now: float) -> None:
        self._evict(gone, now)

    def _evict(self, gone: list[Gone], now: float, replacing: Any = None) -> None:
        _, entry = self.cache.popitem()
        self.take(gone, entry, _REPLACED if entry is replacing else _SIZE, now)

    def reconcile(self, gone: list[Gone], now: float) -> None:
        """Let go of what the policy dropped or declined without being asked."""
        held = {id(entry) for entry in self.cache._Cache__data.values()}
        for entry in list(self.index.values()):
            if id(entry) not in held:
                self.take(gone, entry, _SIZE, now)

    def _take_down(self, entry: Any, by: Any) -> None:
        StoreQueue.remove(entry)
        if by is None:
            try:
                del self.cache[entry.key]
            except KeyError:  # the policy had dropped it
                pass

    def _forget_order(self) -> None:
        self.ring.reset()
        self.cache.clear()

    def _follow_bound(self) -> None:
        pass  # it reads maxsize when it needs to know

    def _mend_order(self, gone: list[Gone]) -> None:
        index, cache = self.index, self.cache
        self.ring.reset()
        cache.clear()
        for key, entry in list(index.items()):
            self.ring.append(entry)
            cache[key] = entry
        self.reconcile(gone, -math.inf)

    def _check_order(self) -> None:
        index = self.index
        entries = RingWalk(self.ring, len(index)).step(len(index) + 1, [])
        assert len(entries) == len(index), "the ring has more or fewer entries than the index"
        assert {id(entry) for entry in entries} == {id(entry) for entry in index.values()}, "the ring differs"
