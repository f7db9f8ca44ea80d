"""The policy that counts: what was used least goes first, and among those what came to that count first.

The ring is parted by marks, one for each count that entries have come to: behind a mark hang those that were used so
often, up to the next mark.  Invariants, beside those of every policy:

- A use takes an entry from behind its mark to the end of those behind the next one.  An entry that is alone behind its
  mark raises that instead, unless the next one has the next count.
- Hits do both without a lock, see ``_TOUCHES`` in ``memo/_cache/templates.py``.  They put no mark in and take none out:
  what needs that comes to ``use()``, with the lock held.  So whoever holds the lock finds a mark where it was, but
  entries behind other marks, and marks raised, wherever it called something: all that is done here is done in runs of
  plain assignments, with no call in between, each of which begins by looking, and leaves everything whole.
- A mark goes with the last entry behind it.  A hit that finds a walk's marker there cannot tell that an entry is alone,
  and leaves its mark with none: when new ones come in, such marks are looked for, one at a time.
"""

from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

import cachetools

from memo._rings import StoreMark
from memo._store.entry_policy import EntryPolicy

__all__ = ("EntryLFU",)

K = TypeVar("K", bound=Hashable)


class _Count(StoreMark):
    """A mark in the ring: behind it hang the entries that were used ``hits`` times, up to the next mark.

    ``key`` is the next mark, or the ring; None: this one was taken out.  ``Entry.mark`` is the mark that an entry hangs
    behind.  (``move_counted()`` in ``memo/_native/_speed.c`` goes by both.)
    """

    __slots__ = ("below",)

    below: Any
    """The mark before this one; of the first, the root."""


class EntryLFU(EntryPolicy[K], cachetools.LFUCache[K, Any]):
    """What was used least goes first; of those, what has been used so often for longest: as ``cachetools.LFUCache``."""

    holds_entries = True
    touches = "count"

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._root: Any = _Count()
        """The mark of no uses, before all others: nothing hangs behind it."""
        self._root.hits = 0
        self._root.key = None
        self.ring.hits = 0  # above the last mark, and never its next count
        self.forget_order()

    def choose(self) -> Any:
        if self.ring.key is True:  # a hit was cut short in the middle of moving its entry
            self.mend()
        node: Any = self._root.newer
        while isinstance(node, StoreMark):
            node = node.newer
        return node

    def hang(self, entry: Any, recalled: int) -> None:
        self._hang_above(self._root, entry)

    def use(self, entry: Any) -> None:
        ring = self.ring
        while ring.key is None:  # else a hit was cut short, and the order is made anew before the next change
            mark = entry.mark
            above = mark.key
            older, newer = entry.older, entry.newer
            count = mark.hits + 1
            if above.hits == count:
                older.newer = newer
                newer.older = older
                entry.mark = above
                entry.newer = newer = above.key
                entry.older = older = newer.older
                older.newer = newer.older = entry
                self._close(mark)
                return
            if older is mark and newer is above:
                mark.hits = count
                return
            self._open(mark)

    def succeed(self, old: Any, entry: Any) -> None:
        self._hang_above(old, entry)

    def take_down(self, entry: Any) -> None:
        super().take_down(entry)
        mark = entry.mark
        del entry.mark
        self._close(mark)

    def forget_order(self) -> None:
        root, ring = self._root, self.ring
        nothing: Any = None
        while type(mark := root.key) is _Count:  # cut short, it goes on from the mark that it had come to
            root.key = mark.key
            mark.newer = mark.older = mark.key = mark.below = nothing  # it would keep entries alive
        super().forget_order()
        root.mark = root
        root.key = root.newer = root.older = ring
        ring.newer = ring.older = root
        self._hand: Any = root
        """The mark that is looked at next: whether anything hangs behind it."""

    def _hang_above(self, other: Any, entry: Any) -> None:
        """Hang *entry* in as one that was used once more than *other*."""
        while True:
            below = other.mark
            mark = below.key
            if mark.hits == below.hits + 1:
                entry.mark = mark
                entry.newer = newer = mark.key
                entry.older = older = newer.older
                older.newer = newer.older = entry
                return
            self._open(below)

    def _open(self, below: Any, more: int = 1) -> Any:
        """Put the mark of *more* uses in after that of *below*, unless it has come by itself; the new one."""
        mark: Any = _Count()
        above = below.key
        count = below.hits + more
        if above.hits != count:
            mark.hits = count
            mark.below = below
            mark.newer = mark.key = above
            mark.older = older = above.older
            older.newer = above.older = below.key = mark
            if above is not self.ring:
                above.below = mark
        hand = self._hand
        if hand.key is None:
            hand = self._root
        self._hand = hand.key if hand.key is not self.ring else self._root
        if hand is not mark and hand is not self._root:
            self._close(hand)
        return mark

    def _close(self, mark: Any) -> None:
        """Take *mark* out unless something hangs behind it."""
        above = mark.key
        last = node = above.older
        while node.__class__ is StoreMark:  # a walk's
            node = node.older
        if node is mark and above.older is last:  # nothing was hung in since
            below, above = mark.below, mark.key
            below.key = above
            if above is not self.ring:
                above.below = below
            older, newer = mark.older, mark.newer
            older.newer = newer
            newer.older = older
            del mark.older, mark.newer
            mark.key = mark.below = None

    def _ranked(self, order: list[tuple[int, list[Any]]]) -> list[tuple[int, list[Any]]]:
        lots: dict[int, list[Any]] = {}
        for _, entries in order:
            for entry in entries:
                mark = getattr(entry, "mark", None)
                lots.setdefault(mark.hits if type(mark) is _Count else 1, []).append(entry)
        return sorted(lots.items(), key=_rank)

    def _order(self) -> list[tuple[int, list[Any]]]:
        return self._ranked(super()._order())

    def _restore(self, order: Iterable[tuple[int, list[Any]]]) -> None:
        total = 0
        mark: Any = self._root
        for count, entries in order:
            mark = self._open(mark, count - mark.hits)
            for entry in entries:
                entry.mark = mark
                entry.newer = above = mark.key
                entry.older = older = above.older
                older.newer = above.older = entry
                total += self.weight(entry)
        self._Cache__currsize = total

    def _check(self) -> None:
        ring: Any = self.ring
        ring.key = True  # a hit, which takes no lock, moves nothing meanwhile
        try:
            super()._check()
            below, mark = self._root, self._root.key
            assert self._behind(below) == 0, "an entry hangs behind the root"
            while mark is not ring:
                assert mark.below is below, "marks are not linked"
                assert below.hits < mark.hits, "marks are out of order"
                self._behind(mark)
                below, mark = mark, mark.key
        finally:
            ring.key = None

    @staticmethod
    def _behind(mark: Any) -> int:
        """How many entries hang behind *mark*, which all know it."""
        behind, node = 0, mark.newer
        while node is not mark.key:
            if not isinstance(node, StoreMark):
                assert node.mark is mark, "an entry hangs behind another's mark"
                behind += 1
            node = node.newer
        return behind


def _rank(lot: tuple[int, Any]) -> int:
    return lot[0]
