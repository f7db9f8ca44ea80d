"""SIEVE in the form in which stores run it: its one queue is a ring of entries, and a hit takes no lock."""

from collections.abc import Hashable, Iterable
from typing import Any, ClassVar, TypeVar

from memo._rings import StoreMark
from memo._store.entry_policy import EntryPolicy
from memo.policies import SieveCache

__all__ = ("EntrySieve",)

K = TypeVar("K", bound=Hashable)


class EntrySieve(EntryPolicy[K], SieveCache[K, Any]):  # type: ignore[misc]  # entries are nodes
    """SIEVE whose values are entries and their own nodes, so that ``nodes`` serves as the index of hits."""

    _marks: ClassVar[type[Any]] = StoreMark

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._ring = self.ring
        self._hand = StoreMark()
        self._ring.append(self._hand)

    def choose(self) -> Any:
        return self._victim()

    def hang(self, entry: Any, recalled: int) -> None:
        entry.mark = 0
        self._turn()
        super().hang(entry, recalled)

    def succeed(self, old: Any, entry: Any) -> None:
        """Give *entry* the place of *old*, and whether that was used."""
        newer = old.newer
        entry.mark = entry.hits - (old.hits > old.mark)
        entry.older = old
        entry.newer = newer
        old.newer = newer.older = entry

    def use(self, entry: Any) -> None:
        entry.hits += 1

    def forget_order(self) -> None:
        super().forget_order()
        self._ring.append(self._hand)

    def mend(self) -> None:
        ahead: Any = self._hand
        while isinstance(ahead, StoreMark):
            ahead = getattr(ahead, "newer", self._ring)
        super().mend()
        if any(entry is ahead for entry in self.nodes.values()):  # else the hand begins anew
            self._put_hand_before(ahead)

    def _order(self) -> list[tuple[int, list[Any]]]:  # type: ignore[override]
        """The entries behind the hand, and those ahead of it."""
        entries: list[Any] = []
        behind = 0
        for node in self._ring:
            if node is self._hand:
                behind = len(entries)
            elif not isinstance(node, StoreMark):
                entries.append(node)
        return [(0, entries[:behind]), (1, entries[behind:])]

    def _restore(self, order: Iterable[tuple[int, list[Any]]]) -> None:  # type: ignore[override]
        total = 0
        ahead: list[Any] = []
        for is_ahead, entries in order:
            for entry in entries:
                mark = getattr(entry, "mark", 0)
                self.hang(entry, False)
                entry.mark = mark
                total += self.weight(entry)
                if is_ahead:
                    ahead.append(entry)
        self._Cache__currsize = total
        if ahead:
            self._put_hand_before(ahead[0])

    def _check(self) -> None:
        super()._check()
        assert sum(node is self._hand for node in self._ring) == 1, "the hand is not in the ring"
