"""What the policies of a small and a main queue have in common: the mapping, copies, and who hangs where.

Invariants, checked by ``_check()``:

- ``nodes`` has a node for each key of the cache, and each node hangs in exactly one queue: in the main one if
  ``Node.mark`` is odd.
- ``Node.hits`` only grows, by whoever answers from the node, also without a lock; the policy reads it and remembers in
  ``Node.mark`` up to where it has counted.
"""

from collections.abc import Hashable
from typing import Any, ClassVar, Generic, Self, TypeVar

import cachetools

from memo._rings.ghost import Ghost
from memo._rings.ring import Node, Queue, SizedNode, unlink

__all__ = ("TwoQueues",)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TwoQueues(cachetools.Cache[K, V], Generic[K, V]):
    """Base of caches whose keys hang in two queues, and that remember evicted keys in a ghost.

    ``cache[key]`` counts as a use and moves nothing.  Not thread-safe, like every cachetools cache.

    Args:
        maxsize: Most entries, or the most that ``getsizeof`` may sum up to.
        getsizeof: Weighs one value; None: every value weighs 1.
    """

    _stamped: ClassVar[bool] = False
    """The ghost has a stamp for each key."""
    _small_most: float
    """What the small queue is to have."""

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self.nodes: dict[K, Any] = {}
        """The node of each key; ``Node.hits`` may be raised by anyone at any time."""
        self._small = Queue()
        self._main = Queue()
        self._ghost = Ghost(self._stamped)
        self._filled = False
        """There was an eviction."""
        self._weighs = self.getsizeof is not cachetools.Cache.getsizeof

    # -- what the policies have their own way of

    def _divide(self) -> None:
        """Divide ``maxsize`` between the queues."""
        raise NotImplementedError

    def _recall(self, key: K) -> int:
        """Look whether *key*, which is new, was evicted of late: how its node is to begin, 0 if it was not."""
        raise NotImplementedError

    def _prepare(self, node: Any, recalled: int) -> int:
        """Have a new node begin; odd: in the main queue."""
        if not recalled and not self._filled and self._small.size >= self._small_most:
            recalled = 1
        node.mark = recalled
        return recalled

    def _inherit(self, old: Any, node: Any) -> None:
        """Give *node*, which takes the place of *old*, the uses of that."""
        raise NotImplementedError

    def _victim(self) -> Any:
        """The node to evict next, after giving others their next round; its key is in the ghost if that is due."""
        raise NotImplementedError

    def _pass_by(self, node: Any) -> None:
        """Have nothing point to *node*, which is about to leave its queue."""

    def _forget(self) -> None:
        """Begin anew, as if nothing had ever been here."""
        self._ghost.clear()
        self._filled = False

    # -- the mapping

    def set_targets(self) -> None:
        """Divide ``maxsize`` between the queues; to be called again should it ever change."""
        self._divide()

    @property
    def queues(self) -> tuple[Queue, Queue]:
        """The small queue and the main queue."""
        return self._small, self._main

    @property
    def small_share(self) -> float:
        """What part of the whole the small queue is to have at present."""
        raise NotImplementedError

    def _node(self) -> Any:
        """A node without uses, for a new entry or for a new value of an old one."""
        node = SizedNode() if self._weighs else Node()
        node.hits = 0
        return node

    def __getitem__(self, key: K) -> V:
        node = self.nodes.get(key)
        if node is not None:
            node.hits += 1
        return super().__getitem__(key)

    def __setitem__(self, key: K, value: V) -> None:
        old = self.nodes.get(key)
        recalled = self._recall(key) if old is None else 0
        super().__setitem__(key, value)  # evicts by popitem() until there is room
        if old is not None and hasattr(old, "newer"):  # it hangs in a queue, so it was not evicted meanwhile
            self._replace(old, key)
            return
        node = self._node()
        size = self.currsize - self._small.size - self._main.size
        queue = self._main if self._prepare(node, recalled) & 1 else self._small
        node.key = key
        if self._weighs:
            node.size = size
        queue.size += size
        queue.append(node)
        self.nodes[key] = node

    def _replace(self, old: Any, key: K) -> None:
        """Give a new value of an old key the old one's place and uses."""
        node = self._node()
        difference = self.currsize - self._small.size - self._main.size
        node.key = key
        self._inherit(old, node)
        self._pass_by(old)
        node.older, node.newer = old.older, old.newer
        node.older.newer = node.newer.older = node
        del old.older, old.newer  # it hangs nowhere any more
        self.nodes[key] = node
        (self._main if old.mark & 1 else self._small).size += difference
        if self._weighs:
            node.size = old.size + difference

    def __delitem__(self, key: K) -> None:
        node: Any = self.nodes.get(key)
        super().__delitem__(key)  # KeyError if there is none
        self.nodes.pop(key, None)
        self._pass_by(node)
        unlink(node)
        del node.older, node.newer  # whoever still holds it must not keep those alive that follow
        (self._main if node.mark & 1 else self._small).size -= node.size if self._weighs else 1

    def popitem(self) -> tuple[K, V]:
        """Evict one entry by the policy and return its key and value.

        Raises:
            KeyError: The cache is empty.
        """
        if not self.nodes:
            raise KeyError(f"{type(self).__name__} is empty")
        key = self._victim().key
        value = cachetools.Cache.__getitem__(self, key)
        del self[key]
        return key, value

    def clear(self) -> None:
        """Drop every entry, and what is remembered of those evicted."""
        super().clear()
        self.nodes.clear()
        self._small.empty()
        self._main.empty()
        self._forget()

    def _promote(self, node: Any) -> None:
        """Move *node* from the small queue to the new end of the main one; its mark is the caller's affair."""
        size = node.size if self._weighs else 1
        small, main = self._small, self._main
        older, newer = node.older, node.newer
        older.newer = newer
        newer.older = older
        newest = main.older
        node.older = newest
        node.newer = main
        newest.newer = main.older = node
        small.size -= size
        main.size += size

    # -- copies

    def __copy__(self) -> Self:
        copied: Any = super().__copy__()  # type: ignore[misc]
        copied._restore(self._order())
        copied._ghost = Ghost(self._stamped)
        return copied  # type: ignore[no-any-return]

    def _order(self) -> list[tuple[Any, int, int, int, float]]:
        """Each node as key, hits, mark, time and size, oldest first, the small queue first."""
        return [
            (n.key, n.hits, n.mark, getattr(n, "time", 0), getattr(n, "size", 1))
            for queue in (self._small, self._main)
            for n in queue
        ]

    def _restore(self, order: list[tuple[Any, int, int, int, float]]) -> None:
        self.nodes = {}
        self._small, self._main = Queue(), Queue()
        for key, hits, mark, time, size in order:
            node = self._node()
            node.key, node.hits, node.mark, node.time = key, hits, mark, time
            if self._weighs:
                node.size = size
            queue = self._main if mark & 1 else self._small
            queue.size += size
            queue.append(node)
            self.nodes[key] = node

    def __getstate__(self) -> dict[str, Any]:
        state = {k: v for k, v in self.__dict__.items() if k not in ("nodes", "_small", "_main", "_ghost")}
        return {**state, "order": self._order()}  # the ring itself would nest as deep as it is long

    def __setstate__(self, state: dict[str, Any]) -> None:
        order = state.pop("order")
        self.__dict__.update(state)
        self._ghost = Ghost(self._stamped)  # fingerprints of text differ from process to process
        self._restore(order)

    def _check(self) -> None:
        """Raise AssertionError unless the invariants hold."""
        assert set(self.nodes) == set(self), "nodes and keys differ"
        seen = []
        for queue, bit in ((self._small, 0), (self._main, 1)):
            size = 0
            for node in queue:
                assert self.nodes.get(node.key) is node, "a queue holds a node of no entry"
                assert node.mark & 1 == bit, "a node is in the other queue"
                assert node.newer.older is node and node.older.newer is node, "the ring is broken"
                seen.append(node.key)
                size += getattr(node, "size", 1) if self._weighs else 1
            assert size == queue.size, "a queue's size is wrong"
        assert len(seen) == len(self.nodes), "a node is in both queues or in none"
        assert self._small.size + self._main.size == self.currsize, "sizes do not add up"
        assert self.currsize <= self.maxsize, "larger than maxsize"
