"""Walks past every entry of a store in small steps, while the store goes on changing in between.

Who walks calls ``step()`` under the store's lock and lets go of the lock between two steps.  An entry that is there
from the first step to the last is met; one that comes meanwhile may be; one that left is not met any more.  Under
changes without end a walk ends all the same.

What a walk held on to since its last step may have left meanwhile, and its value with it, so that the walk has the last
reference.  ``step()`` hands it over in a list, to be let go of outside the lock: a value may have a finalizer.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from memo._rings import StoreMark, StoreQueue

__all__ = ("LotWalk", "QueueWalk", "RingWalk", "Walk")

_AHEAD = 8
"""Places that a walk through a queue of the policy remembers: it goes on from the first that is still in place."""


class Walk(Protocol):
    """A walk that is under way."""

    over: bool
    """There are no more steps."""

    def step(self, most: int, spent: list[Any]) -> list[Any]:
        """The next entries, at most *most* of them; called under the lock.  Adds what it held on to *spent*."""
        ...

    def close(self) -> None:
        """Leave no trace; called under the lock."""


class LotWalk:
    """Past entries that come in lots; some of them may have left since they were listed."""

    def __init__(self, lots: Iterator[list[Any]]) -> None:
        self._lots = lots
        self._entries: list[Any] = []
        self.over = False

    def step(self, most: int, spent: list[Any]) -> list[Any]:
        if not self._entries:
            self._entries = next(self._lots, [])
        found = self._entries[-most:]
        del self._entries[-most:]
        self.over = not found
        return found

    def close(self) -> None:
        self.over = True


class RingWalk:
    """Past the entries of a ring, the old end first.

    A marker in the ring keeps the place, whatever leaves on either side of it.  Two walks step over each other's
    markers.
    """

    def __init__(self, ring: StoreQueue, size: int) -> None:
        self._ring = ring
        self._left = 2 * size  # newer ones are not met, so that it ends; those that move may be met twice
        self._marker = StoreMark()
        self._begun = ring.mark
        self._hang_in(ring)
        self.over = False

    def step(self, most: int, spent: list[Any]) -> list[Any]:
        marker, ring = self._marker, self._ring
        found: list[Any] = []
        if self._begun != ring.mark:  # it began anew: what the marker hangs on has left
            spent += (marker.older, marker.newer)
            del marker.older, marker.newer
            self.over = True
            return found
        while len(found) < most:
            # the two change places in one run of assignments: else a hit might take the node to the new end before the
            # marker goes behind it, and past all that are between
            node = marker.newer
            if node is ring:
                break
            node.older = older = marker.older
            marker.newer = newer = node.newer
            older.newer = marker.older = node
            node.newer = newer.older = marker
            if not isinstance(node, StoreMark):
                found.append(node)
        self._left -= len(found)
        if marker.newer is ring or self._left <= 0:
            self.close()
        return found

    def close(self) -> None:
        self.over = True
        if self._begun == self._ring.mark:
            try:
                StoreQueue.remove(self._marker)
            except AttributeError:  # cut short in the middle of that
                pass

    def _hang_in(self, ring: StoreQueue) -> None:
        marker = self._marker
        marker.older = ring
        marker.newer = newer = ring.newer
        ring.newer = newer.older = marker


class QueueWalk:
    """Past the nodes of the two queues of a policy, the small one first: what is promoted meanwhile is still met.

    The policy reads the ends of its queues, so no marker may hang there.  The walk remembers some nodes ahead instead,
    and their marks.  One that left has no neighbours any more; one that moved, to the main queue or to the end of it
    for another round, has another mark, since the policy spent uses on it or moved it across.  If all of them are
    gone, the policy has served the queue up to there, and what was before them is gone too: the walk goes on from
    the oldest.
    """

    def __init__(self, queues: Iterable[StoreQueue], size: int) -> None:
        self._queues = list(queues)
        self._size = size
        self._ahead: list[tuple[Any, int]] = []
        self._left = 2 * size  # nodes that get another round may be met twice
        self.over = not self._queues

    def step(self, most: int, spent: list[Any]) -> list[Any]:
        found: list[Any] = []
        while self._queues and len(found) < most:
            self._walk(self._queues[0], most - len(found), found, spent)
        self.over = not self._queues
        return found

    def _walk(self, queue: StoreQueue, most: int, found: list[Any], spent: list[Any]) -> None:
        """Go on in *queue*, past at most *most* nodes; at its end to the next one."""
        spent.append(self._ahead)
        node: Any = queue.newer
        for remembered, mark in self._ahead:
            if getattr(remembered, "newer", None) is not None and remembered.mark == mark:
                node = remembered
                break
        self._ahead = []
        while node is not queue and most:
            found.append(node)
            node = node.newer
            most -= 1
            self._left -= 1
        if node is queue or self._left <= 0:
            self._left = 2 * self._size
            del self._queues[0]
            return
        while node is not queue and len(self._ahead) < _AHEAD:
            self._ahead.append((node, node.mark))
            node = node.newer

    def close(self) -> None:
        self.over = True
