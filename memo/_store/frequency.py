"""The policy that counts: what was used least goes first, and among those what came to that count first."""

from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

import cachetools

from memo._rings import Mark
from memo._store.entry_policy import EntryPolicy

__all__ = ("EntryLFU",)

K = TypeVar("K", bound=Hashable)


class _Count(Mark):
    """A mark in the ring: behind it hang the entries that were used ``hits`` times, up to the next mark.

    ``key`` is the next mark, or the ring itself; ``Entry.mark`` is the mark that an entry hangs behind.
    """

    __slots__ = ("before", "entries")

    before: Any
    """The mark before this one, or the ring."""
    entries: int
    """How many hang behind it."""


class EntryLFU(EntryPolicy[K], cachetools.LFUCache[K, Any]):
    """What was used least goes first; of those, what has been used so often for longest: as ``cachetools.LFUCache``."""

    touches = "use"

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self.forget_order()

    def choose(self) -> Any:
        node: Any = self.ring.key.newer  # behind the first mark, which has an entry
        while isinstance(node, Mark):
            node = node.newer
        return node

    def hang(self, entry: Any, recalled: int) -> None:
        self._put_behind(self._mark_after(self.ring, 1), entry)

    def use(self, entry: Any) -> None:
        was = entry.mark
        mark = self._mark_after(was, was.hits + 1)
        self.take_down(entry, mark)
        self._put_behind(mark, entry)

    def succeed(self, old: Any, entry: Any) -> None:
        self._put_behind(self._mark_after(old.mark, old.mark.hits + 1), entry)

    def take_down(self, entry: Any, keep: Any = None) -> None:
        mark = entry.mark
        super().take_down(entry)
        del entry.mark
        mark.entries -= 1
        if not mark.entries:
            before, after = mark.before, mark.key
            before.key = after
            if after is not self.ring:
                after.before = before
            super().take_down(mark)

    def forget_order(self) -> None:
        ring: Any = self.ring
        nothing: Any = None
        while type(mark := ring.key) is _Count:  # cut short, it goes on from the mark that it had come to
            after = mark.key
            mark.newer = mark.older = mark.before = nothing  # it would keep entries alive, and itself
            ring.key = after
            mark.key = nothing
        super().forget_order()
        ring.key = ring  # the first mark; itself where there is none

    def _mark_after(self, before: Any, count: int) -> Any:
        """The mark of *count*, which comes after *before*; a new one if it is not there yet."""
        after = before.key
        if after is not self.ring and after.hits == count:
            return after
        mark = _Count()
        mark.hits = count
        mark.entries = 0
        mark.before = before
        mark.key = after
        mark.newer = after
        mark.older = older = after.older
        older.newer = after.older = mark
        before.key = mark
        if after is not self.ring:
            after.before = mark
        return mark

    @staticmethod
    def _put_behind(mark: Any, entry: Any) -> None:
        """Hang *entry* in as the newest of those behind *mark*."""
        after = mark.key
        entry.mark = mark
        entry.newer = after
        entry.older = older = after.older
        older.newer = after.older = entry
        mark.entries += 1

    def _order(self) -> list[tuple[int, list[Any]]]:
        return self._ranked(super()._order())

    def _ranked(self, order: list[tuple[int, list[Any]]]) -> list[tuple[int, list[Any]]]:
        lots: dict[int, list[Any]] = {}
        for _, entries in order:
            for entry in entries:
                mark = getattr(entry, "mark", None)
                lots.setdefault(mark.hits if type(mark) is _Count else 1, []).append(entry)
        return sorted(lots.items(), key=_rank)

    def _restore(self, order: Iterable[tuple[int, list[Any]]]) -> None:
        total = 0
        before: Any = self.ring
        for count, entries in order:
            before = self._mark_after(before, count)
            for entry in entries:
                self._put_behind(before, entry)
                total += self.weight(entry)
        self._Cache__currsize = total

    def _check(self) -> None:
        super()._check()
        ring: Any = self.ring
        before, mark = ring, ring.key
        while mark is not ring:
            assert mark.before is before, "marks are not linked"
            assert before is ring or before.hits < mark.hits, "marks are out of order"
            behind, node = 0, mark.newer
            while node is not mark.key:
                assert getattr(node, "mark", mark) is mark, "an entry hangs behind another's mark"
                behind += not isinstance(node, Mark)
                node = node.newer
            assert behind == mark.entries > 0, "a mark counts wrongly"
            before, mark = mark, mark.key


def _rank(lot: tuple[int, Any]) -> int:
    return lot[0]
