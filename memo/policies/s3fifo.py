"""S3-FIFO as a ``cachetools.Cache``.

S3-FIFO: Yang, Zhang, Qiu, Yue and Vigfusson, "FIFO queues are all you need for cache eviction",
SOSP 2023.  New keys enter a small queue, a tenth of the whole.  What was used at least twice by
the time it reaches the small queue's end moves to the main queue; the rest is evicted and leaves
a fingerprint in the ghost, and a key found there enters the main queue at once.  The main
queue gives what was used another round for each use, three at most.  Until the first eviction,
what overflows the small queue enters the main queue, as in the authors' simulator.

Invariants, checked by ``_check()``:

- ``nodes`` has a node for each key of the cache, and each node hangs in exactly one queue.
- ``Node.hits`` only grows, by whoever answers from the node, also without a lock; the policy reads
  it and remembers in ``Node.mark`` up to where it has counted.

Complexity: a hit is one look-up and one addition and moves nothing; everything else takes constant time, but for the
rounds of the main queue: one eviction may go through it three times, all together no more than there were hits.  Beside
an entry's node the ghost takes up to 9 bytes.
"""

from collections.abc import Hashable
from typing import Any, Generic, Self, TypeVar

import cachetools

from memo._rings import MOST_ROUNDS, PROMOTED_FROM, Ghost, Node, Queue, SizedNode, unlink

__all__ = ("S3FIFOCache",)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_SMALL_SHARE = 10
"""The small queue is one part in so many."""


class S3FIFOCache(cachetools.Cache[K, V], Generic[K, V]):
    """A cache that evicts by S3-FIFO; usable wherever a ``cachetools.Cache`` is.

    ``cache[key]`` counts as a use and moves nothing.  Not thread-safe, like every cachetools cache.

    Args:
        maxsize: Most entries, or the most that ``getsizeof`` may sum up to.
        getsizeof: Weighs one value; None: every value weighs 1.
    """

    __module__ = "memo.policies"

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        super().__init__(maxsize, getsizeof)
        self.nodes: dict[K, Any] = {}
        """The node of each key; ``Node.hits`` may be raised by anyone at any time."""
        self._small = Queue()
        self._main = Queue()
        self._ghost = Ghost()
        self._filled = False
        """There was an eviction."""
        self._weighs = self.getsizeof is not cachetools.Cache.getsizeof
        self.set_targets()

    def set_targets(self) -> None:
        """Divide ``maxsize`` between the queues; to be called again should it ever change."""
        self._small_most = max(1, self.maxsize // _SMALL_SHARE)
        self._main_most = self.maxsize - self._small_most

    @property
    def queues(self) -> tuple[Queue, Queue]:
        """The small queue and the main queue."""
        return self._small, self._main

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
        remembered = old is None and self._filled and self._ghost.take(key)
        super().__setitem__(key, value)  # evicts by popitem() until there is room
        if old is not None and hasattr(old, "newer"):  # it hangs in a queue, so it was not evicted meanwhile
            self._replace(old, key)
            return
        node = self._node()
        small = self._small
        size = self.currsize - small.size - self._main.size
        if remembered or (not self._filled and small.size >= self._small_most):
            queue = self._main
            node.mark = 1
        else:
            queue = small
            node.mark = 0
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
        uses = min(MOST_ROUNDS, old.hits - (old.mark >> 1))
        node.key = key
        node.mark = (-uses << 1) | (old.mark & 1)
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

    def _victim(self) -> Any:
        """The node to evict next, after giving others their next round; its key is in the ghost if that is due."""
        self._filled = True
        small, main = self._small, self._main
        weighs = self._weighs
        main_target = self._main_most
        while True:
            if small.newer is small or (main.size > main_target and main.newer is not main):
                node: Any = main.newer
                uses = node.hits - (node.mark >> 1)
                if uses <= 0:
                    return node
                unlink(node)  # another round
                main.append(node)
                node.mark = (node.hits - min(uses, MOST_ROUNDS) + 1) << 1 | 1
                continue
            node = small.newer
            if node.hits - (node.mark >> 1) < PROMOTED_FROM:
                self._ghost.add(node.key, max(1, len(self.nodes) * (_SMALL_SHARE - 1) // _SMALL_SHARE))
                return node
            size = node.size if weighs else 1
            unlink(node)
            main.append(node)
            small.size -= size
            main.size += size
            node.mark = node.hits << 1 | 1

    def clear(self) -> None:
        """Drop every entry, and what is remembered of those evicted."""
        super().clear()
        self.nodes.clear()
        self._small.empty()
        self._main.empty()
        self._ghost.clear()
        self._filled = False

    def __copy__(self) -> Self:
        copied = super().__copy__()  # type: ignore[misc]
        copied._restore(self._order())
        copied._ghost = Ghost()
        return copied  # type: ignore[no-any-return]

    def _order(self) -> list[tuple[Any, int, int, float]]:
        """Each node as key, hits, mark and size, oldest first, the small queue first."""
        return [(n.key, n.hits, n.mark, getattr(n, "size", 1)) for queue in (self._small, self._main) for n in queue]

    def _restore(self, order: list[tuple[Any, int, int, float]]) -> None:
        self.nodes = {}
        self._small, self._main = Queue(), Queue()
        for key, hits, mark, size in order:
            node = self._node()
            node.key, node.hits, node.mark = key, hits, mark
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
        self._ghost = Ghost()  # fingerprints of text differ from process to process
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
