"""S3-FIFO in the stores: its two queues are rings of entries."""

from collections.abc import Hashable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar

from memo._native import speed
from memo._rings import BUCKETS, MARKS, NEXT_TURN, PROMOTED_FROM, mark_bytes
from memo._store.entry_queues import EntryQueues
from memo._store.queues_in_c import S3FIFO, QueuesInC
from memo.policies import S3FIFOCache

__all__ = ("EntryS3FIFO",)

K = TypeVar("K", bound=Hashable)


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
        first = bucket % BUCKETS * 32
        moving = ghost.old is not None
        if segments[bucket // BUCKETS][0].find(mark_bytes(mark), first, first + 32) >= 0 or moving:
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
            if moving or cells is None:
                ghost.add(victim.key, self._remembered(len(self.nodes)))
            else:
                bucket %= BUCKETS
                turn = turns[bucket]
                turns[bucket] = NEXT_TURN[turn]
                cells[8 * bucket + turn] = mark
        # one entry of weight 1 for another: cachetools' sum of sizes stays
        nodes: MutableMapping[K, Any] = self._Cache__data  # type: ignore[attr-defined]
        self.leaving = victim
        del nodes[victim.key]
        left: Any = main if victim.mark & 1 else small
        left.newer = newer = victim.newer  # the oldest leaves
        newer.older = left
        victim.older = victim.newer = None  # to delete them would take three times as long
        entry.key = key
        entry.older = newest = queue.older
        entry.newer = queue
        newest.newer = queue.older = entry
        if left is not queue:
            left.size -= 1
            queue.size += 1
        nodes[key] = entry
        return victim


if not TYPE_CHECKING and speed is not None:

    class EntryS3FIFO(QueuesInC, EntryS3FIFO):
        """S3-FIFO whose values are entries and their own nodes."""

        _KIND = S3FIFO
