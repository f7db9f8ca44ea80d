"""SIEVE as a ``cachetools.Cache``: one queue, and a hand that goes along it.

SIEVE: Zhang, Yang, Yue, Vigfusson and Rashmi, "SIEVE is simpler than LRU: an efficient turn-key eviction algorithm for
web caches", NSDI 2024.  Keys stand in the order in which they came, and a hit only notes that there was one.  To evict,
a hand goes from old to new: what was used since the hand last passed loses that note and stays where it is; the first
that was not used goes, and the hand waits there.  Past the newest it begins at the oldest again.

Invariants, checked by ``_check()``:

- ``nodes`` has a node for each key of the cache; the nodes hang in one ring in the order in which they came, and the
  hand, a mark, hangs among them: the next to look at is the one after it.
- ``Node.hits`` only grows, by whoever answers from the node; ``Node.mark`` is what it was when the hand last passed, so
  that the node was used since if they differ.

Complexity: a hit is one look-up and one addition and moves nothing; everything else takes constant time, but for the
hand: all evictions together pass no more nodes than there were hits, and one of them 4,096 at most.  This bound is not
the paper's; without it the first eviction of a large cache of which everything was used would pass all of it.
"""

from collections.abc import Callable, Hashable
from typing import Any, ClassVar, Generic, Self, TypeVar

import cachetools

from memo._rings import Mark, Node, Queue

__all__ = ("SieveCache",)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MOST_PASSED = 4096
"""Used nodes that the hand passes in one eviction; the next goes then, used or not."""


class SieveCache(cachetools.Cache[K, V], Generic[K, V]):
    """A cache that evicts by SIEVE; usable wherever a ``cachetools.Cache`` is.

    ``cache[key]`` counts as a use and moves nothing.  A new value of a key that is there keeps the key's place, and is
    no use.  Not thread-safe, like every cachetools cache.

    Args:
        maxsize: Most entries, or the most that ``getsizeof`` may sum up to.
        getsizeof: Weighs one value; None: every value weighs 1.
    """

    __module__ = "memo.policies"

    _marks: ClassVar[type[Any]] = Mark
    """The class of what hangs in the ring and is no entry."""

    def __init__(self, maxsize: float, getsizeof: Callable[[V], float] | None = None) -> None:
        super().__init__(maxsize, getsizeof)
        self.nodes: dict[K, Any] = {}
        """The node of each key; ``Node.hits`` may be raised by anyone at any time."""
        self._begin()

    def _begin(self) -> None:
        """An empty ring, but for the hand."""
        self._ring: Queue = Queue()
        self._hand: Mark = Mark()
        self._ring.append(self._hand)

    def __getitem__(self, key: K) -> V:
        node = self.nodes.get(key)
        if node is not None:
            node.hits += 1
        return super().__getitem__(key)

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)  # evicts by popitem() until there is room
        if key not in self.nodes:
            self._hang(key, 0)

    def _hang(self, key: K, uses: int) -> None:
        """Put in a node for *key*, as the newest."""
        node = Node()
        node.key = key
        node.hits = uses
        node.mark = 0
        self._turn()
        self._ring.append(node)
        self.nodes[key] = node

    def _turn(self) -> None:
        """Have a hand that is past the newest begin at the oldest; else what comes next would be what it meets next."""
        ring = self._ring
        newest: Any = ring.older
        while isinstance(newest, self._marks):
            if newest is self._hand:
                self._put_hand_before(ring.newer)
                return
            newest = newest.older

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)  # KeyError if there is none
        Queue.remove(self.nodes.pop(key))

    def popitem(self) -> tuple[K, V]:
        """Evict one entry by the policy and return its key and value.

        Raises:
            KeyError: The cache is empty.
        """
        if not self.nodes:
            raise KeyError(f"{type(self).__name__} is empty")
        key: K = self._victim().key
        value = cachetools.Cache.__getitem__(self, key)
        del self[key]
        return key, value

    def _victim(self) -> Any:
        """The node to evict next, which the hand then waits before; there is a node."""
        ring = self._ring
        node: Any = self._hand
        left = _MOST_PASSED
        while True:
            node = node.newer
            if node is ring or isinstance(node, self._marks):  # past the newest it goes on with the oldest
                continue
            if node.hits <= node.mark or not left:
                break
            node.mark = node.hits
            left -= 1
        self._put_hand_before(node)
        return node

    def _put_hand_before(self, node: Node) -> None:
        hand = self._hand
        if node is hand:
            return
        older, newer = hand.older, hand.newer
        older.newer = newer
        newer.older = older
        hand.older = older = node.older
        hand.newer = node
        older.newer = node.older = hand

    def clear(self) -> None:
        """Drop every entry."""
        super().clear()
        self.nodes.clear()
        self._ring.empty()
        self._begin()

    def __copy__(self) -> Self:
        copied = super().__copy__()  # type: ignore[misc]
        copied._restore(*self._order())
        return copied  # type: ignore[no-any-return]

    def _order(self) -> tuple[list[tuple[K, int]], int]:
        """Each node as its key and its uses since the hand passed, oldest first; and how many are behind the hand."""
        order: list[tuple[K, int]] = []
        behind = 0
        for node in self._ring:
            if node is self._hand:
                behind = len(order)
            else:
                order.append((node.key, node.hits - node.mark))
        return order, behind

    def _restore(self, order: list[tuple[K, int]], behind: int) -> None:
        self.nodes = {}
        self._begin()
        for key, uses in order:
            self._hang(key, uses)
        if behind < len(order):  # else it is where it began, from where it goes on with the oldest
            self._put_hand_before(self.nodes[order[behind][0]])

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name not in ("nodes", "_ring", "_hand")}
        return {**state, "order": self._order()}  # the ring itself would nest as deep as it is long

    def __setstate__(self, state: dict[str, Any]) -> None:
        order = state.pop("order")
        self.__dict__.update(state)
        self._restore(*order)

    def _check(self) -> None:
        """Raise AssertionError unless the invariants hold."""
        assert set(self.nodes) == set(self), "nodes and keys differ"
        keys = []
        hands = 0
        for node in self._ring:
            assert node.newer.older is node and node.older.newer is node, "the ring is broken"
            if node is self._hand:
                hands += 1
                continue
            assert self.nodes.get(node.key) is node, "the ring holds a node of no entry"
            assert node.hits >= node.mark >= 0, "more uses are spent than there were"
            keys.append(node.key)
        assert len(keys) == len(self.nodes), "a node is not in the ring"
        assert hands == 1, "the hand is not in the ring"
        assert self.currsize <= self.maxsize, "larger than maxsize"
