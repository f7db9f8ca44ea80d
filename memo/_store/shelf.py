"""What a store holds: the entries, their order, and the operations that put in and take out.

Invariants, checked by ``_check()``:

- ``index`` maps each key, as ``stored_key()`` makes it, to its entry, and ``cache`` holds the same entries under the
  same keys.
- The index never holds more than ``max`` entries: room is made before an entry is put in.
- The index is the truth: the policy's order and sums, tags and the tables of instances follow from it, and ``mend()``
  makes them anew where a change was cut short.
- An operation does first what can fail: it looks up before it takes out.  What is about to leave is in the hands of the
  caller before it leaves (``gone``); should it not have left after all, ``recover()`` takes it back.

Everything here happens under the store's lock, within a change: see ``changes``.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, MutableMapping
from typing import Any

from memo._base import unhurried
from memo._call import InstanceRef
from memo._rings import StoreQueue
from memo._store.burials import Burial
from memo._store.clearing import Exodus
from memo._store.departures import Gone, Leaving
from memo._store.eviction import EvictionReason
from memo._store.figures import Figures
from memo._store.giveaway import Giveaway
from memo._store.large_table import LargeTable
from memo._store.lots import undivided
from memo._store.owners import Owners
from memo._store.parted import WHOLE
from memo._store.policy import AnyCache
from memo._store.serving import Serving, Standing
from memo._store.tag_index import TagIndex
from memo._store.weights import ENTRY_BYTES

__all__ = ("DYING", "SLICE", "Operation", "PutOff", "Shelf", "ShowIndex")

SLICE = 100
"""Most entries that are looked at, and perhaps taken out, in one hold of the lock by what goes through many: some
0.2 ms."""
DYING = 8
"""Likewise where entries die under the lock, and what lists them; see ``Pace.let_go()``."""

Operation = Callable[..., None]
"""Called with a list, to which it adds what leaves, and with its own arguments; for ``Changes.change()`` to run."""
PutOff = deque[tuple[Operation, tuple[Any, ...]]]
"""Operations, and their arguments, that are to be done at the end of the change that is under way."""
ShowIndex = Callable[[MutableMapping[Hashable, Any], StoreQueue], object]
"""Told of another index to read, and of another ring in which hits move entries; under the lock."""

_EXPIRED = EvictionReason.EXPIRED
_COLLECTED = EvictionReason.COLLECTED
_OVER = Standing.OVER


class Shelf(ABC):
    """The entries of one store; ``OwnShelf`` and ``ForeignShelf`` know how policies keep their order.

    Args:
        cache: The policy, empty.
        index: Where hits find its entries.
        ring: The entries in the order in which they came, if the policy has no rings of entries: a clean-up can go
            along them bit by bit, as it cannot along a dictionary that changes meanwhile.
        max_entries: Most entries, or None.
        max_bytes: Most bytes of entries together, or None.
        serving: Tells what is past its life.
        rich: Entries are ``RichEntry``.
        put_off: Gets what is to be done at the end of a change.
        show_index: Told of another index to read, and of the ring.
    """

    HELD = ("cache", "index", "max_bytes", "max_entries", "most", "ring")
    """What is exchanged with that of a twin."""

    __slots__ = (
        *HELD, "_put_off", "_show_index", "_standing", "away", "figures", "giving", "leaving", "lingering", "owners",
        "rich", "tags", "weighed",
    )  # fmt: skip

    def __init__(
        self,
        cache: AnyCache,
        index: MutableMapping[Hashable, Any],
        ring: StoreQueue,
        max_entries: int | None,
        max_bytes: int | None,
        serving: Serving,
        rich: bool,
        put_off: PutOff,
        show_index: ShowIndex,
    ) -> None:
        self.cache: Any = cache
        self.index = index
        self.ring = ring
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.most: float = math.inf if max_entries is None else max_entries
        self.weighed: bool = max_bytes is not None
        self.rich = rich
        self._standing = serving.standing
        self._put_off = put_off
        self._show_index = show_index
        self.figures: Figures = Figures(rich)
        self.owners: Owners = Owners()
        self.tags: TagIndex = TagIndex()
        self.leaving: Leaving | None = None
        """The entry that is being taken out."""
        self.away: Exodus | None = None
        """All entries, as they are being taken out together."""
        self.lingering: dict[InstanceRef, Burial] = {}
        """What died and has still entries here, of which each change takes out some."""
        self.giving: tuple[Giveaway, int, list[Any]] | None = None
        """What gets all entries, as they are being given away, where in it, and the heirs of the index."""

    def __del__(self) -> None:
        # by reference counts alone: the tables of instances that live on would keep the entries
        try:
            if self.owners.apart:
                for lot in unhurried(undivided(self.index), blocking=True):
                    for entry in lot:
                        self.owners.remove(entry)
        except AttributeError:  # it was never whole
            pass

    @property
    def may_grow(self) -> bool:
        """Whether the bounds allow more entries than a table that is left whole may have."""
        return self.most > WHOLE and (self.max_bytes is None or self.max_bytes > WHOLE * ENTRY_BYTES)

    # -- operations: each is given a list, to which it adds what leaves

    @abstractmethod
    def put(self, gone: list[Gone], key: Hashable, entry: Any, now: float) -> None:
        """Store *entry*, which is known to fit, under *key*."""

    def drop(self, gone: list[Gone], key: Hashable, reason: EvictionReason, now: float, only: Any = None) -> None:
        """Take the entry of *key* out, if there is one (and it is still *only*, if that is given)."""
        entry = self.index.get(key)
        if entry is None or (only is not None and entry is not only):
            return
        self.take(gone, entry, reason, now)

    def drop_all(self, gone: list[Gone], entries: list[Any], reason: EvictionReason, now: float) -> None:
        """Take out those of these entries that are still there."""
        for entry in entries:
            self.drop(gone, entry.key, reason, now, only=entry)

    def forget(self, gone: list[Gone], entries: list[Any]) -> None:
        """Take out those of these entries that are still there, and tell nobody."""
        for entry in entries:
            if self.index.get(entry.key) is entry:
                self.take(gone, entry, None, 0.0)

    def drop_owned(self, gone: list[Gone], owner: InstanceRef, reason: EvictionReason, now: float) -> None:
        """Take out what belongs to what *owner* stands for: all of it, or if that is much, by and by."""
        if len(owner.table) <= SLICE:
            self.drop_all(gone, list(owner.table.values()), reason, now)
        else:
            self.lingering[owner] = Burial(owner, now)

    def bury_some(self, gone: list[Gone]) -> None:
        """Take out some more of what lingers."""
        for burial in (*self.lingering.values(),)[:1]:
            entries = burial.next(DYING)
            self.drop_all(gone, entries, _COLLECTED, burial.now)
            if not entries:
                del self.lingering[burial.owner]

    def clear(self, gone: list[Gone], reason: EvictionReason, now: float, giveaway: Giveaway | None = None) -> None:
        """Take everything out, in one step: what left is told apart later, without the lock; see ``Exodus``.

        Args:
            gone: Gets what leaves.
            reason: Why.
            now: When.
            giveaway: Gets all that there is, if that is much, and somebody waits for it.
        """
        index = self.index
        is_large = type(index) is LargeTable and len(index) > WHOLE and not self.owners.apart
        if is_large and giveaway is not None and not giveaway.is_over:
            self._give_away(giveaway, index)
            return
        entries = list(index.values())
        if self.away is not None:  # twice in one change: nothing of it is lost
            for entry in entries:
                self.take(gone, entry, reason, now)
            return
        if self.owners.apart:
            self.owners.clear(entries)
        self.away = Exodus(entries, reason, now)
        self.index.clear()
        self._forget_order()
        self.tags.clear()
        self.figures.begin_again()

    def _give_away(self, giveaway: Giveaway, index: Any) -> None:
        heirs = index.heirs()
        self.giving = giveaway, len(giveaway.tables), heirs
        giveaway.tables += heirs
        index.give_away(heirs)  # from here on all has left; before, recover() has it stay
        remains = [*self._remains(), self.tags.all()]
        self._forget_order()
        self.tags.clear()
        giveaway.remains += remains
        self.figures.begin_again()
        self.giving = None

    def resize(self, gone: list[Gone], max_entries: int | None, max_bytes: int | None, now: float) -> None:
        """Change the bounds and evict what no longer fits; the policy's order is kept."""
        self.evict_down(gone, max_entries, max_bytes, now, math.inf)
        self.bound(max_entries, max_bytes)
        self._follow_bound()

    def evict_down(
        self, gone: list[Gone], max_entries: int | None, max_bytes: int | None, now: float, most: float
    ) -> bool:
        """Evict what does not fit into these bounds, so many entries at the most; whether the rest fits."""
        bound = self._maxsize(max_entries, max_bytes)
        entries = math.inf if max_entries is None else max_entries
        while len(self.index) > entries or self.cache.currsize > bound:
            if most <= 0:
                return False
            self.evict(gone, now)
            most -= 1
        return True

    def bound(self, max_entries: int | None, max_bytes: int | None) -> None:
        """Set the bounds, within which everything is."""
        bound = self._maxsize(max_entries, max_bytes)
        if max_entries is not None:
            self.max_entries = self.most = max_entries
        if max_bytes is not None:
            self.max_bytes = max_bytes
        # cachetools has no way to change maxsize but to build a new cache, which would forget
        # the order and the frequencies of its policy
        self.cache._Cache__maxsize = bound

    def _maxsize(self, max_entries: int | None, max_bytes: int | None) -> Any:
        """That of the cache with these bounds."""
        bound = max_bytes if self.weighed else max_entries
        return self.cache.maxsize if bound is None else bound

    def bury(self) -> None:
        """Have the entries go of what died unheard of."""
        for owner in tuple(self.owners.dead):
            self.put_off_drop(owner, -math.inf)
            self.owners.bury(owner)

    def put_off_drop(self, owner: InstanceRef, now: float) -> None:
        """Have the entries of what died go, at the end of this change or with the next."""
        self._put_off.append((self.drop_owned, (owner, _COLLECTED, now)))

    def strike_out(self, gone: list[Gone], entries: list[Any]) -> None:
        """Have these entries listed with nothing that they belong to."""
        for entry in entries:
            self.owners.remove(entry)

    def list_again(self, gone: list[Gone], entries: list[Any]) -> None:
        """List those of these entries that are still there; if what they belong to died meanwhile, they leave."""
        for entry in entries:
            if self.index.get(entry.key) is entry:
                if self.owners.is_dead(entry):
                    self.take(gone, entry, _COLLECTED, -math.inf)
                else:
                    self.own(entry)

    @abstractmethod
    def show(self, entry: Any, now: float) -> bool:
        """Show the policy a use of *entry*, which a reader found without the lock; False if it was dropped unasked."""

    # -- steps of the above

    def take(self, gone: list[Gone], entry: Any, reason: EvictionReason | None, now: float, by: Any = None) -> None:
        """Take *entry*, which is there, out, or put *by* in its place; without a reason, untold and uncounted."""
        key = entry.key
        index, left = self.index, self.figures.left
        item: Gone | None = None
        counted: tuple[str, int] | None = None
        if reason is not None:
            if reason is not _COLLECTED and self._standing(entry, now) is _OVER:
                reason = _EXPIRED
            if by is None or by.value is not entry.value:  # else the identical object put again, which has not left
                item = key, entry.value, reason
                if self.rich and (loop := getattr(entry, "loop", None)) is not None:
                    item = (*item, loop)
            if item is not None and not (self.rich and entry.failure):
                counted = reason._value_, left[reason._value_]
        self.leaving = entry, item, counted
        if item is not None:
            gone.append(item)
        if self.owners.apart:
            self.owners.remove(entry)  # first, so that no hit finds there what is not in the index
        if by is None:
            if index.get(key) is entry:
                del index[key]
        else:
            index[key] = by
        if counted is not None:
            left[counted[0]] += 1
        if entry.hits is not entry.counted:
            self.figures.add_up(entry)
        self._take_down(entry, by)
        if self.rich:
            self.tags.remove(entry)
        self.leaving = None

    def _list(self, entry: Any) -> None:
        """List *entry*, which is in the index, with its instance and its tags."""
        if self.owners.apart:
            self.own(entry)
        if self.rich:
            self.tags.add(entry)

    def own(self, entry: Any) -> None:
        """List *entry* with what it belongs to; if any of that died meanwhile, it leaves at the end of the change."""
        for died in self.owners.add(entry, self.may_grow):
            if len(died.table) > SLICE:
                self.lingering.setdefault(died, Burial(died, -math.inf))
            else:
                self.put_off_drop(died, -math.inf)

    # -- after a change that was cut short, and after all entries have left

    def recover(self, gone: list[Gone], away: Exodus | None) -> Exodus | None:
        """Take back what has not left in an operation that was cut short, and count what has.

        It calls nothing in Python, but for what a table in parts has: there may be no stack left for it.

        Args:
            gone: What the operation told.
            away: All entries that leave together, if they are in the caller's hands already.

        Returns:
            All entries that have left together, if they have.
        """
        index: Any = self.index
        giving, self.giving = self.giving, None
        if giving is not None and not index.gave_away(giving[2]):
            del giving[0].tables[giving[1] :]
        if self.away is not None:
            away, self.away = self.away, None
        if away is not None and away.entries and away.entries[0] in index.values():
            away = None
        leaving, self.leaving = self.leaving, None
        if leaving is not None:
            entry, item, counted = leaving
            stays = entry in index.values()
            if counted is not None:
                self.figures.left[counted[0]] = counted[1] + (not stays)
            if stays and item is not None and gone and gone[-1] is item:
                gone.pop()
        return away

    def mend(self, gone: list[Gone]) -> None:
        """Make everything whole from what is in the index."""
        self._mend_order(gone)
        for owner, burial in list(self.lingering.items()):
            self.lingering[owner] = Burial(owner, burial.now)  # what it took last may still be there
        if self.rich:
            self.tags.renew(self.index.values())
        if self.owners.apart:
            for entry in self.index.values():
                self.own(entry)

    def _check(self) -> None:
        """Raise AssertionError unless the invariants hold."""
        index, cache = self.index, self.cache
        entries = list(index.values())
        assert self.leaving is None and self.away is None and self.giving is None, "what left is still held"
        held = {id(entry) for entry in cache._Cache__data.values()}
        assert {id(entry) for entry in entries} == held, "cache differs"
        if self.max_entries is not None:
            assert len(index) <= self.max_entries, "more entries than max"
        if self.weighed:
            sizes = sum(entry.size for entry in entries)
            assert sizes == cache.currsize, "sizes do not add up"
            assert self.max_bytes is not None and sizes <= self.max_bytes, "more bytes than max_bytes"
        for key, entry in index.items():
            assert entry.key is key or entry.key == key, "an entry knows another key"
            assert entry.counted <= entry.hits, "more hits were counted than there were"
        if self.rich:
            self.tags._check(entries)
        self.owners._check(entries)
        self._check_order()

    # -- what the policy has its own way of

    @abstractmethod
    def evict(self, gone: list[Gone], now: float) -> None:
        """Have the policy choose, and take that out."""

    @abstractmethod
    def _take_down(self, entry: Any, by: Any) -> None:
        """Have the policy forget *entry*, which has left the index, or which *by* has taken the place of there."""

    @abstractmethod
    def _forget_order(self) -> None:
        """Have the policy begin anew, empty."""

    def _remains(self) -> list[Any]:
        """What is large of what the policy forgets then: lists, or dictionaries."""
        return []

    @abstractmethod
    def _follow_bound(self) -> None:
        """Have the policy follow a bound that has changed."""

    @abstractmethod
    def _mend_order(self, gone: list[Gone]) -> None:
        """Make what the policy has whole from what is in the index."""

    @abstractmethod
    def _check_order(self) -> None:
        """Raise AssertionError unless what the policy has is what is in the index."""
