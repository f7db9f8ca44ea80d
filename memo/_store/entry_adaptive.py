"""The adaptive policy in the stores, which is the default: its two queues are rings of entries."""

from collections.abc import Hashable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar

from memo._native import speed
from memo._rings import BUCKETS, MARKS, NEXT_TURN, PROMOTED_FROM, REMEMBERED, Share, mark_bytes
from memo._store.entry_queues import EntryQueues
from memo._store.queues_in_c import ADAPTIVE, QueuesInC
from memo.policies import AdaptiveCache

__all__ = ("EntryAdaptive",)

K = TypeVar("K", bound=Hashable)


class EntryAdaptive(EntryQueues[K], AdaptiveCache[K, Any]):  # type: ignore[misc]  # entries are nodes
    """The adaptive policy whose values are entries and their own nodes."""

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._share = Share()
        self.set_targets()

    def _state(self) -> dict[str, Any]:
        share = Share()
        share.resume(self._share)
        return {**super()._state(), "_share": share}

    def mend(self) -> None:
        share = self._share
        share.forget_markers()
        super().mend()
        share.now = max(share.now, self._share.now)  # lower, if it was cut short before
        self._share = share
        self.set_targets()

    def _restore(self, order: Iterable[tuple[int, list[Any]]]) -> None:  # type: ignore[override]
        order = list(order)
        share = self._share
        latest = 0
        for rank, entries in order:
            for entry in entries:
                entry.time = time = getattr(entry, "time", share.now)
                if not rank:  # in the small queue times do not go back, even if it was torn
                    entry.time = latest = max(latest, time)
                share.now = max(share.now, time)
        self.set_targets()
        super()._restore(order)

    def _check(self) -> None:
        """Raise AssertionError unless the invariants hold."""
        super()._check()
        Share._check(self._share, self._small)
        times = [entry.time for entry in self._small]
        assert times == sorted(times), "the small queue's times go back"

    def exchange(self, key: K, entry: Any) -> Any:
        """``popitem`` and ``__setitem__`` in one, and the ghost's work with them, since every miss comes this way.

        The cache is full, *key* is new, and every entry weighs 1.  Returns the entry that left.
        """
        share = self._share
        share.now = now = share.now + 1
        if now >= share.tick:
            self._go_on()
        small, ghost = self._small, self._ghost
        buckets, segments = ghost.table
        moving = ghost.old is not None
        mark = hash(key) % MARKS + 1
        bucket = mark % buckets
        first = bucket % BUCKETS * 32
        at = segments[bucket // BUCKETS][0].find(mark_bytes(mark), first, first + 32)
        begun = 0
        if at >= 0 or moving:
            _, cells, stamps, _ = segments[bucket // BUCKETS]
            if not at & 3 and cells is not None and stamps is not None:
                cells[at // 4] = 0
                begun = self._returned(stamps[at // 4])
            else:  # the same bytes across two fingerprints, or perhaps in the old table
                stamp = ghost.recall(key)
                if stamp >= 0:
                    begun = self._returned(stamp)
        victim: Any = small.newer
        if (
            small.size != self._small_most  # else it is not empty
            or not self._filled
            or (
                (victim.hits or victim.mark > 3)  # else it has one credit at the most, and no uses
                and victim.hits - (victim.mark >> 3) + (victim.mark >> 1 & 3) >= PROMOTED_FROM
            )
        ):
            victim = self._victim()
        else:
            if victim.hits:
                share.exits += 1
            markers = share.markers
            if markers and markers[-1] is victim:
                share.pass_by(victim, small)
            mark = hash(victim.key) % MARKS + 1
            bucket = mark % buckets
            _, cells, stamps, turns = segments[bucket // BUCKETS]
            if moving or cells is None or stamps is None:
                ghost.add(victim.key, REMEMBERED * share.entries, victim.time << 1)
            else:
                bucket %= BUCKETS
                turn = turns[bucket]
                turns[bucket] = NEXT_TURN[turn]
                bucket = 8 * bucket + turn
                cells[bucket] = mark
                stamps[bucket] = victim.time * 2 & 0xFFFFFFFF
        # one entry of weight 1 for another: cachetools' sum of sizes stays
        nodes: MutableMapping[K, Any] = self._Cache__data  # type: ignore[attr-defined]
        self.leaving = victim
        del nodes[victim.key]
        left: Any = small
        queue: Any = small
        if (victim.mark | begun) & 1:
            left = self._main if victim.mark & 1 else small
            queue = self._main if begun & 1 else small
            left.size -= 1
            queue.size += 1
        left.newer = newer = victim.newer  # the oldest leaves
        newer.older = left
        victim.older = victim.newer = None  # to delete them would take three times as long
        entry.key = key
        entry.mark = begun
        entry.time = now
        entry.older = newest = queue.older
        entry.newer = queue
        newest.newer = queue.older = entry
        nodes[key] = entry
        return victim


if not TYPE_CHECKING and speed is not None:

    class EntryAdaptive(QueuesInC, EntryAdaptive):
        """The adaptive policy whose values are entries and their own nodes."""

        _KIND = ADAPTIVE
