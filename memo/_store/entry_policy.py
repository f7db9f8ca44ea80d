"""What the policies of the stores have in common: a ``cachetools.Cache`` whose values are entries in rings.

Invariants, checked by ``_check()``:

- ``nodes``, the very dictionary in which cachetools keeps the values, is the truth; rings and sums follow from it, and
  ``mend()`` makes them anew should an operation have been cut short.
- An entry hangs in a ring as long as it is in ``nodes``: it is hung in before, and taken down after.
- A ring is changed by a run of plain assignments to attributes, with no call in between.  So no other thread, no
  signal and no finalizer ever sees one half-changed, and a hit may move its entry without a lock.
- No step hashes or compares a key, but for those that look into ``nodes`` or the ghost; all of these come first.
"""

import copy
import sys
from collections.abc import Hashable, Iterable, Iterator, MutableMapping
from typing import Any, ClassVar, Generic, Self, TypeVar

import cachetools

from memo._native import speed
from memo._rings import StoreMark, StoreNode, StoreQueue
from memo._store.crumbs import free
from memo._store.large_table import LargeTable
from memo._store.last_reference import ALONE
from memo._store.parted import WHOLE

__all__ = ("EntryPolicy",)

K = TypeVar("K", bound=Hashable)

_BORROWED = speed is not None
"""Links own nothing: nodes made in C."""


class EntryPolicy(cachetools.Cache[K, Any], Generic[K]):
    """Base of the policies: the mapping, and the order in which entries came.

    Not thread-safe, like every cachetools cache.

    Args:
        maxsize: Most entries, or the most that ``getsizeof`` may sum up to.
        getsizeof: Weighs one entry; it must always say the same of it.  None: each weighs 1.
    """

    holds_entries: ClassVar[bool] = False
    """It has tables of its own that hold entries, beside the index."""
    touches: ClassVar[str] = ""
    """How a hit moves its entry: "" not at all, "newest" to the new end of the ring, "count" as ``EntryLFU`` has it."""

    def __init__(self, maxsize: float, getsizeof: Any = None) -> None:
        # not super(): the cache of cachetools that a subclass also is would keep an order of its own
        cachetools.Cache.__init__(self, maxsize, getsizeof)
        self._Cache__size = None  # an entry knows its size
        self._weighs = getsizeof is not None
        self.leaving: Any = None
        """The entry that an exchange is taking out, until its caller has it."""
        self.ring = StoreQueue()
        """The entries, the one to go first at the old end."""

    @property
    def nodes(self) -> MutableMapping[K, Any]:
        """The entry of each key."""
        return self._Cache__data  # type: ignore[attr-defined, no-any-return]

    @property
    def rings(self) -> tuple[StoreQueue, ...]:
        """What the entries hang in, the first to go first."""
        return (self.ring,)

    def set_targets(self) -> None:
        """Follow a ``maxsize`` that has changed."""

    def weight(self, entry: Any) -> Any:
        """What *entry* counts towards ``maxsize``."""
        return self.getsizeof(entry) if self._weighs else 1

    # -- steps: none of them touches ``nodes``, or runs code of the user's

    def recall(self, key: K) -> int:
        """How *key*, which is new, is to begin, 0 if the policy remembers nothing of it.

        Asked once, before room is made for it.  Looks at its hash.
        """
        return 0

    def choose(self) -> Any:
        """The entry that is to go next, which stays for now; there is one.  May give others another round."""
        node: Any = self.ring.newer
        while isinstance(node, StoreMark):
            node = node.newer
        return node

    def hang(self, entry: Any, recalled: int) -> None:
        """Hang a new entry in, whose ``key`` is set."""
        ring = self.ring
        newest = ring.older
        entry.older = newest
        entry.newer = ring
        newest.newer = ring.older = entry

    def take_down(self, entry: Any) -> None:
        """Take *entry* down; it forgets its neighbours, so as not to keep them alive."""
        older, newer = entry.older, entry.newer
        older.newer = newer
        newer.older = older
        del entry.older, entry.newer

    def succeed(self, old: Any, entry: Any) -> None:
        """Hang *entry* in for *old*, whose key it has, and which is taken down later."""
        self.hang(entry, 0)

    def use(self, entry: Any) -> None:
        """Note a use of *entry*, which hangs in a ring."""

    def forget_order(self) -> None:
        """Begin anew, as if nothing had ever been here; what hung here is no concern any more."""
        self.ring.reset()

    def abandon_order(self) -> None:
        """Let go of what the rings keep beside the entries, for good.

        Also called when the interpreter ends and has emptied modules such as ``math``: nothing is made anew.
        """
        self.forget_order()

    def remains(self) -> list[Any]:
        """What is large of what ``forget_order()`` lets go of, beside the rings: lists, for who frees them later."""
        return []

    def exchange(self, key: K, entry: Any) -> Any:
        """``popitem`` and ``__setitem__`` in one, on the path of every miss.

        The cache is full, *key* is new, and every entry weighs 1.  Returns the entry that left.
        """
        victim = self.choose()
        self.leaving = victim
        nodes: MutableMapping[K, Any] = self._Cache__data  # type: ignore[attr-defined]
        del nodes[victim.key]
        self.take_down(victim)
        entry.key = key
        self.hang(entry, 0)
        nodes[key] = entry
        return victim

    # -- the mapping

    def __getitem__(self, key: K) -> Any:
        entry = self.nodes.get(key)
        if entry is None:
            return self.__missing__(key)
        self.use(entry)
        return entry

    def __setitem__(self, key: K, entry: Any) -> None:
        nodes = self.nodes
        recalled = 0 if key in nodes else self.recall(key)
        size = self.weight(entry)
        if size > self.maxsize:
            raise ValueError("value too large")
        if size < 0:
            raise ValueError("value size must be non-negative")
        old = nodes.get(key)
        while self.currsize + size - (0 if old is None else self.weight(old)) > self.maxsize:
            self.popitem()
            old = nodes.get(key)
        if old is entry:
            if self.touches:
                self.use(entry)
            return
        entry.key = key
        if old is None:
            self.hang(entry, recalled)
        else:
            self.succeed(old, entry)
        nodes[key] = entry
        self.resize_by(size)
        if old is not None:
            self.take_down(old)
            self.resize_by(-self.weight(old))

    def __delitem__(self, key: K) -> None:
        entry = self.nodes.pop(key)
        self.take_down(entry)
        self.resize_by(-self.weight(entry))

    def resize_by(self, size: Any) -> None:
        """Add to the sum of what the entries weigh."""
        self._Cache__currsize += size

    def popitem(self) -> tuple[K, Any]:
        """Evict one entry by the policy and return its key and value.

        Raises:
            KeyError: The cache is empty.
        """
        if not self.nodes:
            raise KeyError(f"{type(self).__name__} is empty")
        entry = self.choose()
        del self[entry.key]
        return entry.key, entry

    def clear(self) -> None:
        """Drop every entry, and what is remembered of those evicted."""
        entries = list(self.nodes.values())
        self.nodes.clear()
        self._Cache__currsize = 0
        self.forget_order()
        _cut_loose(entries)

    def __del__(self) -> None:
        # by reference counts alone: a ring would keep its entries, and itself, until the next garbage collection;
        # it does so if they drop it at the recursion limit, where the interpreter can call no finalizer
        try:
            nodes = self.nodes
            if type(nodes) is LargeTable and len(nodes) > WHOLE and not sys.is_finalizing():
                free(nodes, self.remains(), _cut_loose)
            if _BORROWED and not self.holds_entries:
                return  # nor does a ring keep anything; and the collector must find the entries that it visits for
            if sys.getrefcount(self) > ALONE:
                return  # the collector's, which takes rings as well; what goes with this may call on it yet
            _cut_loose(nodes.values())
            self.abandon_order()
            for ring in self.rings:
                del ring.newer, ring.older
                ring.key = None
        except AttributeError:  # it was never whole
            pass

    def __copy__(self) -> Self:
        order = [(rank, [copy.copy(entry) for entry in entries]) for rank, entries in self._order()]
        return _made(*self._parts(order))  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        # the rings themselves would nest as deep as they are long
        return _made, self._parts(self._order())

    def _parts(self, order: list[tuple[int, list[Any]]]) -> tuple[Any, ...]:
        return type(self), self.maxsize, self.getsizeof if self._weighs else None, self._state(), order

    def _state(self) -> dict[str, Any]:
        """What a copy takes over besides the entries."""
        return {}

    def _order(self) -> list[tuple[int, list[Any]]]:
        """The entries, the first to go first, with the rank of each lot, which ``_restore()`` understands."""
        return [(rank, list(_entries(ring))) for rank, ring in enumerate(self.rings)]

    # -- after an operation that was cut short

    def mend(self) -> None:
        """Make rings and sums anew from ``nodes``, with as much of the order as can be found.

        Should it be cut short itself, it is called again.
        """
        if self.touches:
            self.ring.key = True  # hits keep off
        held = {id(entry): entry for entry in self.nodes.values()}
        order: list[tuple[int, list[Any]]] = []
        most = 2 * len(held) + 1000  # should the links go round in a circle
        for rank, ring in enumerate(self.rings):
            ahead: list[Any] = []
            behind: list[Any] = []
            for found, way in ((ahead, "newer"), (behind, "older")):
                node: Any = getattr(ring, way, ring)
                steps = 0
                while node is not ring and steps < most:
                    steps += 1
                    if held.pop(id(node), None) is not None:
                        found.append(node)
                    node = getattr(node, way, ring)
                if found:
                    order.append((rank, found))
            behind.reverse()
        if held:
            order.append((0, list(held.values())))
        order = self._ranked(order)
        self.forget_order()
        self._restore(order)
        if self.ring.key is True:
            self.ring.key = None

    def _ranked(self, order: list[tuple[int, list[Any]]]) -> list[tuple[int, list[Any]]]:
        """*order*, found ring by ring, with ranks as ``_restore()`` understands them."""
        return order

    def _restore(self, order: Iterable[tuple[int, list[Any]]]) -> None:
        """Hang all entries in anew, as *order* has them."""
        total = 0
        for _, entries in order:
            for entry in entries:
                self.hang(entry, 0)
                total += self.weight(entry)
        self._Cache__currsize = total

    def _check(self) -> None:
        """Raise AssertionError unless the invariants hold."""
        seen = 0
        total = 0
        for ring in self.rings:
            assert ring.newer.older is ring and ring.older.newer is ring, "the ring is broken"
            for entry in _entries(ring):
                held: Any = self.nodes.get(entry.key)
                assert held is entry, "a ring holds what is no entry"
                assert entry.newer.older is entry and entry.older.newer is entry, "the ring is broken"
                seen += 1
                total += self.weight(entry)
        assert seen == len(self.nodes), "an entry hangs in two rings or in none"
        assert total == self.currsize, "sizes do not add up"
        assert self.currsize <= self.maxsize, "larger than maxsize"


def _entries(ring: StoreQueue) -> Iterator[Any]:
    """The entries of a ring, which may hold marks as well, oldest first."""
    return (node for node in ring if not isinstance(node, StoreMark))


def _cut_loose(entries: Iterable[StoreNode]) -> None:
    """Have entries that were left hanging in a ring forget their neighbours."""
    for entry in entries:
        try:
            del entry.older, entry.newer
        except AttributeError:
            pass


def _made(
    kind: type[Any], maxsize: float, getsizeof: Any, state: dict[str, Any], order: list[tuple[int, list[Any]]]
) -> Any:
    made = kind(maxsize, getsizeof)
    for name, held in state.items():
        setattr(made, name, held)
    for _, entries in order:
        for entry in entries:
            made.nodes[entry.key] = entry
    made._restore(order)
    return made
