"""What the policies of a small and a main queue have in common where entries are their own nodes."""

from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

from memo._rings import Ghost, StoreQueue, TwoQueues
from memo._store.entry_policy import EntryPolicy

__all__ = ("EntryQueues",)

K = TypeVar("K", bound=Hashable)


class EntryQueues(EntryPolicy[K], TwoQueues[K, Any]):  # type: ignore[misc]  # entries are nodes
    """Two queues whose values are entries and their own nodes, so that ``nodes`` serves as the index of hits.

    A second dictionary would take a third of the memory of an entry, and a good part of the time of a miss.
    """

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._small = self.ring
        self._main = StoreQueue()
        self._ghost = self._new_ghost()
        self._filled = False

    def _new_ghost(self) -> Ghost:
        return Ghost(self._stamped)

    def set_targets(self) -> None:
        self._divide()

    @property
    def rings(self) -> tuple[StoreQueue, ...]:
        return self._small, self._main

    def recall(self, key: K) -> int:
        return self._recall(key)

    def choose(self) -> Any:
        return self._victim()

    def hang(self, entry: Any, recalled: int) -> None:
        self._hang_in(self._main if self._prepare(entry, recalled) & 1 else self._small, entry)

    def _hang_in(self, queue: StoreQueue, entry: Any) -> None:
        size = self.weight(entry)
        newest = queue.older
        entry.older = newest
        entry.newer = queue
        newest.newer = queue.older = entry
        queue.size += size

    def take_down(self, entry: Any) -> None:
        size = self.weight(entry)
        self._pass_by(entry)
        queue = self._main if entry.mark & 1 else self._small
        older, newer = entry.older, entry.newer
        older.newer = newer
        newer.older = older
        del entry.older, entry.newer
        queue.size -= size

    def succeed(self, old: Any, entry: Any) -> None:
        """Give *entry* the place and the uses of *old*."""
        size = self.weight(entry)
        self._inherit(old, entry)
        queue = self._main if old.mark & 1 else self._small
        newer = old.newer
        entry.older = old
        entry.newer = newer
        old.newer = newer.older = entry
        queue.size += size

    def use(self, entry: Any) -> None:
        entry.hits += 1

    def remains(self) -> list[Any]:
        return self._ghost.heaps()

    def forget_order(self) -> None:
        for queue in self.rings:
            queue.reset()
        self._forget()

    def abandon_order(self) -> None:
        # nothing but entries hangs here; what _forget() lets go of holds itself in no circle
        pass

    def _state(self) -> dict[str, Any]:
        return {"_filled": self._filled}

    def mend(self) -> None:
        filled, ghost = self._filled, self._ghost
        self._ghost = self._new_ghost()
        super().mend()
        self._filled, self._ghost = filled, ghost

    def _restore(self, order: Iterable[tuple[int, list[Any]]]) -> None:  # type: ignore[override]
        total = 0
        for rank, entries in order:
            for entry in entries:
                entry.mark = getattr(entry, "mark", 0) & ~1 | rank
                self._hang_in(self.rings[rank], entry)
                total += self.weight(entry)
        self._Cache__currsize = total

    def _check(self) -> None:
        """Raise AssertionError unless the invariants hold."""
        super()._check()
        for rank, queue in enumerate(self.rings):
            assert all(entry.mark & 1 == rank for entry in queue), "an entry is in the other queue"
            assert sum(map(self.weight, queue)) == queue.size, "a queue's size is wrong"
