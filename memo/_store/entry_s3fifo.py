"""S3-FIFO in the stores: its two queues are rings of entries."""

import sys
from collections.abc import Hashable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar

from memo._native import speed
from memo._rings import BUCKETS, MARKS, PROMOTED_FROM
from memo._store.entry_queues import EntryQueues
from memo._store.queues_in_c import S3FIFO, QueuesInC
from memo.policies import S3FIFOCache

__all__ = ("EntryS3FIFO",)

K = TypeVar("K", bound=Hashable)

_ORDER = sys.byteorder


class EntryS3FIFO(EntryQueues[K], S3FIFOCache[K, Any]):  # type: ignore[misc]  # entries are nodes
    """S3-FIFO whose values are entries and their own nodes."""

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self.set_targets()

    def set_targets(self) -> None:
        super().set_targets()
        if self._filled and not self._weighs:  # exchange() does not look at the ghost's size
            self._ghost.fit(self._remembered(int(self.maxsize)))

    def exchange(self, key: K, entry: Any) -> Any:
        """``popitem`` and ``__setitem__`` in one, and the ghost's work with them, since every miss comes this way.

        The cache is full, *key* is new, and every entry weighs 1.  Returns the entry that left.
        """
        small, main, ghost = self._small, self._main, self._ghost
        buckets, segments = ghost.table
        mark = hash(key) % MARKS + 1
        bucket = mark % buckets
        marks, _, _, _ = segments[bucket // BUCKETS]
        first = bucket % BUCKETS * 32
        at = marks.find(mark.to_bytes(4, _ORDER), first, first + 32)
        if at >= 0 or ghost.old is not None:
            entry.mark = int(ghost.take(key))
            queue = main if entry.mark else small
        else:
            entry.mark = 0
            queue = small
        victim: Any = small.newer
        if (
            not self._filled
            or main.size > self._main_most
            or victim is small
            or victim.hits - (victim.mark >> 1) >= PROMOTED_FROM
        ):
            victim = self._victim()
        else:
            mark = hash(victim.key) % MARKS + 1
            bucket = mark % buckets
            _, cells, _, turns = segments[bucket // BUCKETS]
            if cells is None or ghost.old is not None:
                ghost.add(victim.key, self._remembered(len(self.nodes)))
            else:
                bucket %= BUCKETS
                turn = turns[bucket]
                turns[bucket] = turn + 1 & 7
                cells[8 * bucket + turn] = mark
        # one entry of weight 1 for another: cachetools' sum of sizes stays
        nodes: MutableMapping[K, Any] = self._Cache__data  # type: ignore[attr-defined]
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


if not TYPE_CHECKING and speed is not None:

    class EntryS3FIFO(QueuesInC, EntryS3FIFO):
        """S3-FIFO whose values are entries and their own nodes."""

        _KIND = S3FIFO
