"""Policies whose order is one ring: last use, arrival, chance."""

import random
from collections.abc import Hashable, MutableMapping
from typing import Any, TypeVar

import cachetools

from memo._rings import StoreMark
from memo._store.entry_policy import EntryPolicy

__all__ = ("EntryFIFO", "EntryLRU", "EntryRandom")

K = TypeVar("K", bound=Hashable)


class EntryLRU(EntryPolicy[K], cachetools.LRUCache[K, Any]):
    """What was used longest ago goes first, as with ``functools.lru_cache``."""

    touches = "newest"

    def use(self, entry: Any) -> None:
        ring = self.ring
        newer = entry.newer
        if newer is ring:
            return
        older = entry.older
        older.newer = newer
        newer.older = older
        newest = ring.older
        entry.older = newest
        entry.newer = ring
        newest.newer = ring.older = entry

    def _check(self) -> None:
        self.ring.key = True  # a hit, which takes no lock, moves nothing meanwhile
        try:
            super()._check()
        finally:
            self.ring.key = None

    def exchange(self, key: K, entry: Any) -> Any:
        ring = self.ring
        if ring.key is True:  # a hit was cut short in the middle of moving its entry
            self.mend()
        victim: Any = ring.newer
        while isinstance(victim, StoreMark):
            victim = victim.newer
        self.leaving = victim
        nodes: MutableMapping[K, Any] = self._Cache__data  # type: ignore[attr-defined]
        del nodes[victim.key]
        older = victim.older
        newer = victim.newer
        older.newer = newer
        newer.older = older
        del victim.older, victim.newer
        entry.key = key
        entry.older = newest = ring.older
        entry.newer = ring
        newest.newer = ring.older = entry
        nodes[key] = entry
        return victim


class EntryFIFO(EntryPolicy[K], cachetools.FIFOCache[K, Any]):
    """What was stored longest ago goes first."""


class EntryRandom(EntryPolicy[K]):
    """Any entry goes, each as likely as any other.  ``Entry.mark`` is its place in ``drawn``."""

    holds_entries = True

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self.drawn: list[Any] = []

    def choose(self) -> Any:
        drawn = self.drawn
        return drawn[int(random.random() * len(drawn))]

    def hang(self, entry: Any, recalled: int) -> None:
        entry.mark = len(self.drawn)
        self.drawn.append(entry)
        super().hang(entry, recalled)

    def take_down(self, entry: Any) -> None:
        last = self.drawn[-1]
        last.mark = entry.mark
        self.drawn[entry.mark] = last
        del self.drawn[-1]
        super().take_down(entry)

    def remains(self) -> list[Any]:
        return [self.drawn]

    def forget_order(self) -> None:
        self.drawn = []
        super().forget_order()

    def _check(self) -> None:
        super()._check()
        assert len(self.drawn) == len(self.nodes), "more or fewer are drawn from than there are"
        assert all(entry.mark == place for place, entry in enumerate(self.drawn)), "a place is wrong"
