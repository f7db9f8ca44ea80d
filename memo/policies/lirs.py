"""LIRS as a ``cachetools.Cache``: what counts is how close together a key's uses lie, not how long ago the last was.

LIRS: Jiang and Zhang, "LIRS: an efficient low inter-reference recency set replacement policy to improve buffer cache
performance", SIGMETRICS 2002.  Keys whose uses lie close together are *hot* and have nearly the whole cache; the others
are *cold* and share a fiftieth, and of them that goes first which was used longest ago.  A stack has the keys by their
last use, down to the hot one that was used longest ago; in it are also cold ones, and some that are *gone*.  A cold or
gone key that is used while it is in the stack was used twice within the time for which the last hot one was not: it
becomes hot, and that one cold.

Invariants, checked by ``_check()``:

- ``_nodes`` has a node for each key of the cache.  A hot node hangs in the stack; a cold one is listed in ``_cold``,
  the first to go in front, and may hang in the stack as well.
- The oldest of the stack is hot: what lies below the last hot one is taken out.  Without hot ones it is empty.
- The hot ones weigh no more together than their share.
- A gone node hangs in the stack and is listed in ``_gone`` by the hash of its key, which it does not keep alive.  After
  an eviction there are at most twice as many as entries.  Two keys of one hash are taken for one, which costs a little
  of the hit ratio and nothing else.

Complexity: each use moves its node, and everything takes constant time, but for what is taken out below the last hot
node: one operation may take out much, all together no more than was put in.  Beside an entry's own node there are up to
two of gone keys.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, Self, TypeVar

import cachetools

from memo._rings import Queue, SizedNode, unlink

__all__ = ("LIRSCache",)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_COLD_SHARE = 50
"""Cold entries have one part in so many."""
_GONE_SHARE = 2
"""Gone nodes are at most so many times as many as entries."""
_COLD, _HOT, _GONE = 0, 1, 2
"""``Node.mark``."""


class LIRSCache(cachetools.Cache[K, V], Generic[K, V]):
    """A cache that evicts by LIRS; usable wherever a ``cachetools.Cache`` is.

    ``cache[key]`` is a use and moves the key, as in a ``cachetools.LRUCache``.  A new value of a key that is there is
    no use.  Not thread-safe, like every cachetools cache.

    Args:
        maxsize: Most entries, or the most that ``getsizeof`` may sum up to.
        getsizeof: Weighs one value; None: every value weighs 1.
    """

    __module__ = "memo.policies"

    def __init__(self, maxsize: float, getsizeof: Callable[[V], float] | None = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._begin()
        self._cool()

    def _begin(self) -> None:
        self._nodes: dict[K, SizedNode] = {}
        self._stack: Queue = Queue()
        """Nodes by their last use, the latest as the newest; its ``size`` is what the hot ones weigh."""
        self._cold: OrderedDict[K, None] = OrderedDict()
        self._gone: OrderedDict[int, SizedNode] = OrderedDict()
        self._weight: float = 0
        """What all nodes weigh."""

    # -- the mapping

    def __getitem__(self, key: K) -> V:
        node = self._nodes.get(key)
        if node is not None:
            self._use(node)
        return super().__getitem__(key)

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)  # evicts by popitem() until there is room
        size = self.currsize - self._weight
        self._weight = self.currsize
        node = self._nodes.get(key)
        if node is not None:
            node.size += size
            if node.mark == _HOT:
                self._stack.size += size
        self._cool()
        if node is not None:
            return
        node = self._make_node(key, size, _COLD)
        if self._recall(hash(key)) or self._stack.size + size <= self._hot_most:
            self._stack.append(node)
            self._heat(node)
        else:
            self._cold[key] = None
            self._put_on_stack(node)

    def _make_node(self, key: K, size: float, mark: int) -> SizedNode:
        node = self._nodes[key] = SizedNode()
        node.key = key
        node.size = size
        node.mark = mark
        return node

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)  # KeyError if there is none
        node = self._nodes.pop(key)
        self._weight = self.currsize
        if node.mark == _HOT:
            self._stack.size -= node.size
        else:
            del self._cold[key]
        Queue.remove(node)
        self._prune()

    def popitem(self) -> tuple[K, V]:
        """Evict one entry by the policy and return its key and value.

        Raises:
            KeyError: The cache is empty.
        """
        if not self._nodes:
            raise KeyError(f"{type(self).__name__} is empty")
        self._cool()
        if not self._cold:
            self._cool_one()
        key = next(iter(self._cold))
        value = cachetools.Cache.__getitem__(self, key)
        node = self._nodes[key]
        if hasattr(node, "newer"):
            self._remember(node)
        del self[key]
        return key, value

    def clear(self) -> None:
        """Drop every entry, and what is remembered of those evicted."""
        super().clear()
        self._stack.empty()
        self._begin()

    # -- hot and cold

    def _use(self, node: SizedNode) -> None:
        if node.mark == _HOT:
            stack = self._stack
            was_oldest = stack.newer is node
            unlink(node)
            stack.append(node)
            if was_oldest:
                self._prune()
        elif hasattr(node, "newer"):
            del self._cold[node.key]
            self._put_on_stack(node)
            self._heat(node)
        else:
            self._cold.move_to_end(node.key)
            self._put_on_stack(node)

    def _put_on_stack(self, node: SizedNode) -> None:
        """Make a cold node the newest of the stack, unless there are no hot ones to compare it with."""
        stack = self._stack
        Queue.remove(node)
        if stack.newer is not stack:
            stack.append(node)

    def _heat(self, node: SizedNode) -> None:
        """Make a node hot that is the newest of the stack."""
        node.mark = _HOT
        self._stack.size += node.size
        self._cool()
        self._prune()

    def _cool(self) -> None:
        """Have hot nodes keep to their share, of a ``maxsize`` that a store may have changed."""
        stack = self._stack
        self._hot_most: float = self.maxsize - max(1, self.maxsize // _COLD_SHARE)
        while stack.size > self._hot_most and stack.newer is not stack:
            self._cool_one()

    def _cool_one(self) -> None:
        """Make the hot node cold that was used longest ago; there is one."""
        node: Any = self._stack.newer
        Queue.remove(node)
        node.mark = _COLD
        self._stack.size -= node.size
        self._cold[node.key] = None
        self._prune()

    def _prune(self) -> None:
        """Take out of the stack what lies below the last hot node."""
        stack = self._stack
        node: Any = stack.newer
        while node is not stack and node.mark != _HOT:
            newer = node.newer
            if node.mark == _GONE:
                del self._gone[node.key]
            Queue.remove(node)
            node = newer
        if node is stack:
            stack.size = 0  # sums of fractions may be off by a little

    # -- keys that are gone

    def _remember(self, node: SizedNode) -> None:
        """Leave a node of the same place in the stack behind."""
        left = SizedNode()
        left.key = hash(node.key)
        left.mark = _GONE
        left.older = node
        left.newer = node.newer
        node.newer.older = left
        node.newer = left
        self._recall(left.key)  # another key of the same hash
        self._gone[left.key] = left
        while len(self._gone) > _GONE_SHARE * len(self._nodes):
            _, oldest = self._gone.popitem(last=False)
            Queue.remove(oldest)

    def _recall(self, key_hash: int) -> bool:
        """Whether a key of that hash is gone and still in the stack, where it then is no longer."""
        node = self._gone.pop(key_hash, None)
        if node is None:
            return False
        Queue.remove(node)
        return True

    # -- copies

    def __copy__(self) -> Self:
        copied = super().__copy__()  # type: ignore[misc]
        copied._restore(*self._order())
        return copied  # type: ignore[no-any-return]

    def _order(self) -> tuple[list[tuple[K, float, bool]], list[tuple[K, float]]]:
        """The nodes of the stack, oldest first, as key, weight, whether hot; and the cold ones, which may be there too.

        Gone ones are left out: hashes of text differ from process to process.
        """
        nodes: Any = (node for node in self._stack if node.mark != _GONE)
        stacked = [(node.key, node.size, node.mark == _HOT) for node in nodes]
        return stacked, [(key, self._nodes[key].size) for key in self._cold]

    def __getstate__(self) -> dict[str, Any]:
        left_out = ("_nodes", "_stack", "_cold", "_gone")
        state = {name: value for name, value in self.__dict__.items() if name not in left_out}
        return {**state, "order": self._order()}  # the stack itself would nest as deep as it is long

    def __setstate__(self, state: dict[str, Any]) -> None:
        order = state.pop("order")
        self.__dict__.update(state)
        self._restore(*order)

    def _restore(self, stacked: list[tuple[K, float, bool]], cold: list[tuple[K, float]]) -> None:
        self._begin()
        self._weight = self.currsize
        for key, size in cold:
            self._cold[key] = None
            self._make_node(key, size, _COLD)
        for key, size, is_hot in stacked:
            if is_hot:
                self._make_node(key, size, _HOT)
                self._stack.size += size
            self._stack.append(self._nodes[key])

    def _check(self) -> None:
        """Raise AssertionError unless the invariants hold."""
        assert set(self._nodes) == set(self), "nodes and keys differ"
        stack: list[Any] = list(self._stack)
        assert not stack or stack[0].mark == _HOT, "the oldest of the stack is not hot"
        for node in stack:
            assert node.newer.older is node and node.older.newer is node, "the ring is broken"
            if node.mark == _GONE:
                assert self._gone.get(node.key) is node, "a gone node is not listed"
            else:
                assert self._nodes.get(node.key) is node, "the stack holds a node of no entry"
        hot = [node for node in stack if node.mark == _HOT]
        assert len(self._gone) == sum(node.mark == _GONE for node in stack), "a gone node is not in the stack"
        assert {node.key for node in hot} == set(self._nodes) - set(self._cold), "one is both hot and cold, or neither"
        assert all(self._nodes[key].mark == _COLD for key in self._cold), "a node is listed as cold that is not"
        assert math.isclose(self._stack.size, sum(node.size for node in hot), abs_tol=1e-9), "the hot weigh otherwise"
        assert not hot or self._stack.size <= self._hot_most, "the hot have more than their share"
        assert math.isclose(self._weight, self.currsize, abs_tol=1e-9), "sizes do not add up"
        assert self.currsize <= self.maxsize, "larger than maxsize"
