"""S3-FIFO as a ``cachetools.Cache``, and the rings that policies are made of.

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
"""

import sys
from collections.abc import Hashable, Iterator
from typing import Any, Generic, Self, TypeVar

import cachetools

__all__ = ("MARKS", "MOST_ROUNDS", "PROMOTED_FROM", "Ghost", "Mark", "Node", "Queue", "S3FIFOCache", "SizedNode")

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_SMALL_SHARE = 10
"""The small queue is one part in so many."""
MOST_ROUNDS = 3
_ORDER = sys.byteorder
MARKS = 4294967291
"""The largest prime below 2**32: a remainder by it depends on all bits of a hash."""
PROMOTED_FROM = 2
"""Uses that take a key from the small queue to the main queue."""


class Node:
    """A key's place in a queue, and how often it was used.

    ``mark`` is twice the count of hits up to which uses are spent, plus 1 in the main queue.
    """

    __slots__ = ("hits", "key", "mark", "newer", "older")

    key: Any
    hits: int
    mark: int
    newer: "Node"
    older: "Node"


class Mark(Node):
    """A place in a ring: a node of no entry."""

    __slots__ = ()


class SizedNode(Node):
    """A node of a cache that weighs its values."""

    __slots__ = ("size",)

    size: float


class Queue(Node):
    """A FIFO queue of nodes: a ring that begins and ends with itself."""

    __slots__ = ("size",)

    mark: int
    newer: Node
    older: Node
    size: float

    def __init__(self) -> None:
        self.key: Any = None
        self.mark = 0
        """Raised whenever the ring begins anew."""
        self.reset()

    def reset(self) -> None:
        """Begin anew; what hung here is not told."""
        self.newer = self.older = self
        self.size = 0
        self.mark += 1

    def empty(self) -> None:
        """Forget every node."""
        for node in list(self):
            del node.older, node.newer  # a ring would keep what they hold until the next garbage collection
        self.reset()

    def append(self, node: Node) -> None:
        """Put *node* in as the newest."""
        newest = self.older
        node.older = newest
        node.newer = self
        newest.newer = self.older = node

    @staticmethod
    def remove(node: Node) -> None:
        """Take *node* out of its queue, if it hangs in one.

        It forgets its neighbours: whoever still holds it must not keep those alive that follow.
        """
        if hasattr(node, "newer"):
            older, newer = node.older, node.newer
            older.newer = newer
            newer.older = older
            del node.older, node.newer

    def __iter__(self) -> Iterator[Node]:
        """The nodes, oldest first."""
        node = self.newer
        while node is not self:
            yield node
            node = node.newer


def _unlink(node: Node) -> None:
    """Take *node* out of its queue."""
    older, newer = node.older, node.newer
    older.newer = newer
    newer.older = older


class Ghost:
    """Fingerprints of the keys evicted last, which it does not keep alive.

    A table of 32-bit fingerprints in buckets of eight, each bucket a ring whose oldest gives way to
    the newest.  So a key is remembered until about as many others have followed as the table has
    places, which is approximate, and two keys may share a fingerprint: both cost a little of the
    hit ratio and nothing else.  The table grows with the number of entries, to 9 bytes each at the
    most.
    """

    __slots__ = ("buckets", "cells", "marks", "most", "turns")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._allocate(1)

    def _allocate(self, buckets: int) -> None:
        self.buckets: int = buckets
        self.most: int = 8 * buckets
        """The places."""
        self.marks: bytearray = bytearray(32 * buckets)
        """Eight fingerprints of four bytes for each bucket; 0 is a free place."""
        self.cells: memoryview = memoryview(self.marks).cast("I")
        """The same as numbers: writing one costs a third of writing its bytes."""
        self.turns: bytearray = bytearray(buckets)
        """Which place of its bucket the next fingerprint takes."""

    def add(self, key: Hashable, capacity: int) -> None:
        """Remember *key* for about *capacity* more."""
        if capacity > self.most:
            self._grow(capacity)
        mark = hash(key) % MARKS + 1
        bucket = mark % self.buckets
        turn = self.turns[bucket]
        self.turns[bucket] = turn + 1 & 7
        self.cells[bucket * 8 + turn] = mark

    def take(self, key: Hashable) -> bool:
        """Whether *key* is remembered; if so, it no longer is."""
        mark = hash(key) % MARKS + 1
        first = mark % self.buckets * 32
        wanted = mark.to_bytes(4, _ORDER)
        at = self.marks.find(wanted, first, first + 32)
        while at > 0 and at & 3:  # the same bytes, but across two fingerprints
            at = self.marks.find(wanted, at + 1, first + 32)
        if at < 0:
            return False
        self.marks[at : at + 4] = b"\0\0\0\0"
        return True

    def _grow(self, capacity: int) -> None:
        old, turns = self.cells, self.turns
        buckets = self.buckets
        while 8 * buckets < capacity:
            buckets = 2 * buckets + 1  # odd, so that keys a power of two apart spread over all of them
        self._allocate(buckets)
        for bucket, turn in enumerate(turns):
            for place in range(turn, turn + 8):  # oldest first
                mark = old[bucket * 8 + (place & 7)]
                if mark:
                    self.add(mark - 1, 0)


class S3FIFOCache(cachetools.Cache[K, V], Generic[K, V]):
    """A cache that evicts by S3-FIFO; usable wherever a ``cachetools.Cache`` is.

    ``cache[key]`` counts as a use and moves nothing.  Not thread-safe, like every cachetools cache.

    Args:
        maxsize: Most entries, or the most that ``getsizeof`` may sum up to.
        getsizeof: Weighs one value; None: every value weighs 1.
    """

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
        _unlink(node)
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
                _unlink(node)  # another round
                main.append(node)
                node.mark = (node.hits - min(uses, MOST_ROUNDS) + 1) << 1 | 1
                continue
            node = small.newer
            if node.hits - (node.mark >> 1) < PROMOTED_FROM:
                self._ghost.add(node.key, max(1, len(self.nodes) * (_SMALL_SHARE - 1) // _SMALL_SHARE))
                return node
            size = node.size if weighs else 1
            _unlink(node)
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
