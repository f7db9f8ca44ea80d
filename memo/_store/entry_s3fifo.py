"""The default policy of the stores: S3-FIFO, whose two queues are rings of entries."""

import sys
from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

from memo._rings import MARKS, MOST_ROUNDS, PROMOTED_FROM, Ghost, Queue
from memo._store.entry_policy import EntryPolicy
from memo.policies import S3FIFOCache

__all__ = ("EntryS3FIFO",)

K = TypeVar("K", bound=Hashable)

_ORDER = sys.byteorder


class EntryS3FIFO(EntryPolicy[K], S3FIFOCache[K, Any]):  # type: ignore[misc, override]  # entries are nodes
    """S3-FIFO whose values are entries and their own nodes, so that ``nodes`` serves as the index of hits.

    A second dictionary would take a third of the memory of an entry, and a good part of the time of a miss.
    """

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._small = self.ring
        self._main = Queue()
        self._ghost = Ghost()
        self._filled = False
        self.set_targets()

    def set_targets(self) -> None:
        S3FIFOCache.set_targets(self)

    @property
    def rings(self) -> tuple[Queue, ...]:
        return self._small, self._main

    def recall(self, key: K) -> bool:
        return self._filled and self._ghost.take(key)

    def choose(self) -> Any:
        return self._victim()

    def hang(self, entry: Any, recalled: bool) -> None:
        if recalled or (not self._filled and self._small.size >= self._small_most):
            self._hang_in(self._main, entry, 1)
        else:
            self._hang_in(self._small, entry, 0)

    def _hang_in(self, queue: Queue, entry: Any, mark: int) -> None:
        size = self.weight(entry)
        newest = queue.older
        entry.mark = mark
        entry.older = newest
        entry.newer = queue
        newest.newer = queue.older = entry
        queue.size += size

    def take_down(self, entry: Any) -> None:
        size = self.weight(entry)
        queue = self._main if entry.mark & 1 else self._small
        older, newer = entry.older, entry.newer
        older.newer = newer
        newer.older = older
        del entry.older, entry.newer
        queue.size -= size

    def succeed(self, old: Any, entry: Any) -> None:
        """Give *entry* the place and the uses of *old*."""
        uses = min(MOST_ROUNDS, old.hits - (old.mark >> 1))
        size = self.weight(entry)
        queue = self._main if old.mark & 1 else self._small
        newer = old.newer
        entry.mark = (entry.hits - uses << 1) | (old.mark & 1)
        entry.older = old
        entry.newer = newer
        old.newer = newer.older = entry
        queue.size += size

    def use(self, entry: Any) -> None:
        entry.hits += 1

    def forget_order(self) -> None:
        for queue in self.rings:
            queue.reset()
        self._ghost.clear()
        self._filled = False

    def _state(self) -> dict[str, Any]:
        return {"_filled": self._filled}

    def mend(self) -> None:
        filled, ghost = self._filled, self._ghost
        self._ghost = Ghost()
        super().mend()
        self._filled, self._ghost = filled, ghost

    def _restore(self, order: Iterable[tuple[int, list[Any]]]) -> None:  # type: ignore[override]
        total = 0
        for rank, entries in order:
            for entry in entries:
                self._hang_in(self.rings[rank], entry, getattr(entry, "mark", 0) & ~1 | rank)
                total += self.weight(entry)
        self._Cache__currsize = total

    def exchange(self, key: K, entry: Any) -> Any:
        """``popitem`` and ``__setitem__`` in one, and the ghost's work with them, since every miss comes this way.

        The cache is full, *key* is new, and every entry weighs 1.  Returns the entry that left.
        """
        small, main, ghost = self._small, self._main, self._ghost
        marks = ghost.marks
        buckets = ghost.buckets
        mark = hash(key) % MARKS + 1
        first = mark % buckets * 32
        wanted = mark.to_bytes(4, _ORDER)
        at = marks.find(wanted, first, first + 32)
        while at > 0 and at & 3:  # the same bytes, but across two fingerprints
            at = marks.find(wanted, at + 1, first + 32)
        if at < 0 or not self._filled:
            queue = small
            entry.mark = 0
        else:
            marks[at : at + 4] = b"\0\0\0\0"
            queue = main
            entry.mark = 1
        victim: Any = small.newer
        if main.size > self._main_most or victim is small or victim.hits - (victim.mark >> 1) >= PROMOTED_FROM:
            victim = self._victim()
        else:
            self._filled = True
            if self._main_most > ghost.most:
                ghost.add(victim.key, int(self._main_most))
            else:
                mark = hash(victim.key) % MARKS + 1
                bucket = mark % buckets
                turns = ghost.turns
                turn = turns[bucket]
                turns[bucket] = turn + 1 & 7
                ghost.cells[bucket * 8 + turn] = mark
        # one entry of weight 1 for another: cachetools' sum of sizes stays
        nodes: dict[K, Any] = self._Cache__data  # type: ignore[attr-defined]
        self.leaving = victim
        del nodes[victim.key]
        older = victim.older
        newer = victim.newer
        older.newer = newer
        newer.older = older
        del victim.older, victim.newer
        if victim.mark & 1:
            main.size -= 1
        else:
            small.size -= 1
        entry.key = key
        entry.older = newest = queue.older
        entry.newer = queue
        newest.newer = queue.older = entry
        queue.size += 1
        nodes[key] = entry
        return victim
