"""Clean-ups: what is past its life leaves in small slices, between which the lock is free.

- A clean-up holds the lock for one slice at a time, and lets go of what left before the next, outside the lock.
- Between two slices the store may change in any way; see ``walks`` for what is met.
- Hits that its entries got are added up by the way.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

from memo._base import Pace
from memo._call import InstanceRef, belongs_to, comparing_outside
from memo._store.changes import Changes, nothing
from memo._store.departures import Departures, Gone
from memo._store.entry_queues import EntryQueues
from memo._store.eviction import EvictionReason
from memo._store.lots import lots_of
from memo._store.serving import Serving, Standing
from memo._store.shelf import SLICE, Shelf
from memo._store.walks import LotWalk, QueueWalk, RingWalk, Walk

__all__ = ("Sweep",)

_EXPIRED = EvictionReason.EXPIRED
_OVER = Standing.OVER


class Sweep:
    """One clean-up of a store.

    Args:
        shelf: What is cleaned up.
        changes: How that changes.
        serving: Tells what is past its life.
        now: The time.
        scope: The token of the one instance that is cleaned up; None: all.
    """

    def __init__(self, shelf: Shelf, changes: Changes, serving: Serving, now: float, scope: Hashable | None) -> None:
        self._shelf = shelf
        self._changes = changes
        self._serving = serving
        self._now = now
        self._scope = scope
        self._slice: list[Any] = []
        """What the walk came to and was not looked at: that begins again if it comes upon keys not compared yet."""

    def slices(self, tell: Callable[[Departures], object] | None) -> Iterator[Departures]:
        """Take out what is past its life: what left, slice by slice.

        Asked for by what a change of this store runs (a finalizer), it does nothing.

        Args:
            tell: Called with what left in a slice, also if an exception cuts that short; then once more.
        """
        walk = self._changes.walk(self.walk)
        pace = Pace()
        spent: list[Any] = []  # let go of without the lock
        try:
            while not walk.over or self._shelf.lingering:
                gone = Departures()
                try:
                    if not comparing_outside(self._changes.lock, self._step, gone, walk, spent):
                        return
                    if tell is not None:
                        tell(gone)
                except BaseException:
                    if tell is not None:
                        tell(gone)
                    raise
                if gone:
                    pace.let_go(spent)
                spent.clear()
                yield gone
                del gone
        finally:
            with self._changes.lock:
                walk.close()

    def walk(self) -> Walk:
        """A walk past all entries within its scope; called under the lock."""
        shelf = self._shelf
        if isinstance(self._scope, InstanceRef):
            return LotWalk(lots_of(self._scope.table, self._changes.lock))
        if isinstance(shelf.cache, EntryQueues):
            return QueueWalk(shelf.cache.rings, len(shelf.index))
        return RingWalk(shelf.ring, len(shelf.index))

    def _step(self, gone: Departures, walk: Walk, spent: list[Any]) -> bool:
        changes = self._changes
        with changes.lock:
            if changes.busy:
                return False
            changes.change(nothing, gone=gone)  # which mends what is torn
            if not self._slice and not walk.over:
                self._slice = changes.walk(walk.step, SLICE, spent)
            changes.change(self._drop, self._slice, gone=gone)
            spent += self._slice
            self._slice = []
        return True

    def _drop(self, gone: list[Gone], entries: list[Any]) -> None:
        shelf, now = self._shelf, self._now
        for entry in entries:
            shelf.figures.add_up(entry)
            if self._serving.standing(entry, now) is _OVER and belongs_to(entry.key, self._scope):
                shelf.drop(gone, entry.key, _EXPIRED, now, only=entry)
