"""What a store holds under a policy of our own.

The index is the policy's own dictionary, and the truth: rings and sums follow from it, and the policy makes them anew
where a change was cut short.  When it is large, and may become too large to be built anew in one piece, it goes on
as a ``LargeTable``.
"""

from collections.abc import Hashable, MutableMapping
from typing import Any

from memo._store.departures import Gone
from memo._store.eviction import EvictionReason
from memo._store.large_table import LargeTable, abandon
from memo._store.parted import MOST
from memo._store.shelf import Shelf

__all__ = ("OwnShelf",)

_SIZE = EvictionReason.SIZE
_REPLACED = EvictionReason.REPLACED


class OwnShelf(Shelf):
    """The entries of one store, in the order of a policy of our own."""

    __slots__ = ()

    def put(self, gone: list[Gone], key: Hashable, entry: Any, now: float) -> None:
        index, cache = self.index, self.cache
        old = index.get(key)
        if old is not None:
            key = old.key
        recalled = cache.recall(key) if old is None else 0
        while self._lacks_room(entry, old):
            victim = cache.choose()
            if victim is old:
                self.take(gone, victim, _REPLACED, now)
                old = None
            else:
                self.take(gone, victim, _SIZE, now)
        entry.key = key
        entry.counted = 0
        if old is None:
            cache.hang(entry, recalled)
            index[key] = entry
            cache.resize_by(entry.size if self.weighed else 1)
            if len(index) > MOST and type(index) is dict and self.may_grow:
                self._take_index(LargeTable(index))
                abandon(index)
        else:
            cache.succeed(old, entry)
            self.take(gone, old, _REPLACED, now, by=entry)
        self._list(entry)

    def _lacks_room(self, entry: Any, old: Any) -> bool:
        """Whether something must leave before *entry* comes in, for *old* or (None) as a new one."""
        if old is None and self.max_entries is not None and len(self.index) >= self.max_entries:
            return True
        if not self.weighed:
            return False
        more = entry.size - (0 if old is None else old.size)
        return bool(self.cache.currsize + more > self.cache.maxsize)

    def evict(self, gone: list[Gone], now: float) -> None:
        self.take(gone, self.cache.choose(), _SIZE, now)

    def show(self, entry: Any, now: float) -> bool:
        if self.index.get(entry.key) is entry:  # else it left meanwhile
            self.cache.use(entry)
        return True

    def _take_down(self, entry: Any, by: Any) -> None:
        cache = self.cache
        cache.take_down(entry)
        cache.resize_by(-(entry.size - (0 if by is None else by.size)) if self.weighed else -(by is None))

    def _forget_order(self) -> None:
        self.cache._Cache__currsize = 0
        self.cache.forget_order()

    def _remains(self) -> list[Any]:
        remains: list[Any] = self.cache.remains()
        return remains

    def _follow_bound(self) -> None:
        self.cache.set_targets()
        index = self.index
        if type(index) is dict and len(index) > MOST and self.may_grow:
            large = LargeTable(index)
            self._take_index(large)
            large.divide()
            abandon(index)
        elif type(index) is LargeTable and not self.may_grow:
            self._take_index(dict(index.items()))
            index.clear()  # for whoever still looks there

    def _take_index(self, index: MutableMapping[Hashable, Any]) -> None:
        """Go on with *index*, which has what the present one has: the policy first, since it has the truth."""
        self.cache._Cache__data = index
        self.index = index
        self.figures.begin_again()
        self._show_index(index, self.ring)

    def _mend_order(self, gone: list[Gone]) -> None:
        self._take_index(self.cache.nodes)
        self.cache.mend()

    def _check_order(self) -> None:
        assert self.index is self.cache.nodes, "the index is another"
        self.cache._check()
