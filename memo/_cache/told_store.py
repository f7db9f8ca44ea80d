"""A store whose departures are told, whatever cuts a change short."""

from collections.abc import Callable, Hashable
from typing import Any

from memo._base import Pace, need_depth
from memo._cache.eviction_log import evictions_logged, line_on
from memo._cache.figures import CallCounts
from memo._cache.leases import Leases
from memo._cache.listener import Listener, Reveal
from memo._call import InstanceRef
from memo._flight import Watch
from memo._store import Departures, EvictionReason, Failure, Giveaway, Gone, Standing, Store

__all__ = ("ToldStore", "left_for")

_TRIES = 20
"""How often what takes out a dead instance's entries tries to get the lock, for which it must not wait, before it
leaves the rest to the changes that follow."""


class ToldStore:
    """The store of one function, and ``on_evict``, which is told what leaves it.

    Args:
        name: The function's qualified name, for messages.
        store: The store.
        counts: Of what it rejects.
        listener: Tells ``on_evict``; None if there is none.
        revealer: Gives what makes of a key what users see.
    """

    def __init__(
        self, name: str, store: Store, counts: CallCounts, listener: Listener | None, revealer: Callable[[], Reveal]
    ) -> None:
        self._name = name
        self.store = store
        self.listener = listener
        self.revealer = revealer
        self.counts = counts
        self.leases: Leases | None = None
        """Who has values in use; None before the first lease.  Set under the lock."""
        self._watch: Watch | None = None

    def be_watched(self, watch: Watch | None) -> None:
        """Tell *watch* of what leaves, if it wants to know, or (None) nobody but ``on_evict``."""
        self._watch = watch if watch is not None and watch.audience.minds_evictions else None

    def alter(self, operation: Callable[..., None], *args: Any) -> Departures:
        """Change the store, and tell ``on_evict`` what left, also where an exception cuts the change short.

        Raises:
            RecursionError: There is no room on the stack to do both; then neither was begun.
        """
        need_depth()
        gone = Departures()
        try:
            self.store.change(operation, *args, gone=gone)
            self.report(gone)
        except BaseException:
            self.report(gone)
            raise
        return gone

    def empty(self, operation: Callable[..., None], giveaway: Giveaway, *args: Any) -> int:
        """Take everything out, in one step, and tell ``on_evict``, also where an exception cuts that short.

        Args:
            operation: Called with *giveaway* and *args*.
            giveaway: Gets what is taken out, if that is much: it is told, and freed, bit by bit.
            args: More arguments.

        Returns:
            How many values left for the reason of *giveaway*.

        Raises:
            RecursionError: There is no room on the stack to do both; then neither was begun.
        """
        need_depth()
        gone = Departures()
        try:
            self.store.change(operation, giveaway, *args, gone=gone)
            self.report(gone)
            self.let_go(giveaway)
        except BaseException:
            self.report(gone)
            self.let_go(giveaway)
            raise
        return left_for(gone, giveaway.reason) + giveaway.number

    def let_go(self, giveaway: Giveaway) -> None:
        """Tell, and free, what was given away, bit by bit; it goes on where it was interrupted, called again."""
        giveaway.is_over = True
        pace = Pace()
        while (lot := giveaway.lot()) is not None:
            gone = self.store.tell_apart(lot, giveaway.counted)
            self.report(gone)
            giveaway.done(left_for(gone, giveaway.reason))
            pace.let_go(lot.entries)
            gone.let_go(pace)
            del lot, gone
            pace.rest()
        for _ in giveaway.crumbs():
            pace.rest()

    def report(self, gone: Departures) -> None:
        """Tell ``on_evict`` what left, and who else wants to know; it goes on where it was interrupted if it is called
        again."""
        if gone and (self._watch is not None or evictions_logged[0]):
            gone.announce(self._steps)
        listener = self.listener
        if listener is None or not gone:
            return
        if self.leases is None:
            listener.tell(gone, self._shown)
        else:
            self.leases.tell(gone, self.revealer())

    def collected(self, owner: InstanceRef, now: float) -> None:
        """Drop the entries of an instance that died: as long as the lock is free, bit by bit."""
        pace = Pace(blocking=True)
        self._bury(pace, self.store.collected, owner, now)
        missed = 0
        while missed < _TRIES and self.store.lingers:
            if self._bury(pace, self.store.bury):
                missed = 0
                pace.rest()
            else:
                missed += 1
                pace.pause()

    def _bury(self, pace: Pace, take_some: Callable[..., bool], *args: Any) -> bool:
        gone = Departures()
        try:
            free = take_some(*args, gone)
            self.report(gone)
        except BaseException:
            self.report(gone)
            raise
        gone.let_go(pace)
        return free

    # -- steps of a change, called with the lock held

    def keep(self, gone: list[Gone], key: Hashable, entry: Any, now: float, is_word: bool = True) -> bool:
        """Put *entry* in, if it fits; whether it does.

        Args:
            gone: Gets what leaves for it.
            key: Its key.
            entry: The entry.
            now: The time.
            is_word: See ``refuse()``.
        """
        if self.listener is not None and self.store.rich:
            self.listener.note_home(entry.loop)
        if self.fits(entry):
            self.store.put(gone, key, entry, now)
            return True
        self.counts.rejected += 1
        self.refuse(gone, key, now, is_word)
        return False

    def refuse(self, gone: list[Gone], key: Hashable, now: float, is_word: bool) -> None:
        """Have what is there of *key* make way for a value that is refused: not wanted, too large, of no life.

        ``put()`` and ``refresh()`` are a caller's word that what was there is over, so it leaves, whatever becomes of
        the new value: no later call may be answered with less than that caller has seen.  Loads that calls begin, or
        that run in the background for them, are no such word: refused, they leave what may still serve to the end of
        its life, as those that fail do.

        Args:
            gone: Gets what leaves.
            key: The key, as tables hold it.
            now: The time.
            is_word: The value was put, or loaded by a refresh.
        """
        entry = self.store.index.get(key)
        if is_word or entry is None or self.store.standing(entry, now) is Standing.OVER:
            self.store.drop(gone, key, EvictionReason.REPLACED, now)

    def fits(self, entry: Any) -> bool:
        """Whether *entry* alone is within the bounds."""
        store = self.store
        return not store.weighed or (entry.size is not None and entry.size <= (store.max_bytes or 0))

    # -- steps of telling

    def _steps(self, gone: list[Gone]) -> list[tuple[Any, ...]]:
        """The calls that tell what left; what is remembered of failures is no value."""
        left = [(item[0], item[2]) for item in gone if type(item[1]) is not Failure]
        steps: list[tuple[Any, ...]] = []
        if self._watch is not None:
            for key, reason in left:
                steps += self._watch.steps("eviction", key, None, None, None, reason)
        if evictions_logged[0]:
            reveal = self.revealer()
            steps += [(line_on, self._name, reveal(key), reason) for key, reason in left]
        return steps

    def _shown(self, gone: list[Gone]) -> list[Gone]:
        """What left as users see it."""
        return self.listener.shown(gone, self.revealer())  # type: ignore[union-attr]  # it asks


def left_for(gone: list[Gone], reason: EvictionReason) -> int:
    """How many values left for *reason*; what is remembered of failed loads is none."""
    return sum(item[2] is reason and type(item[1]) is not Failure for item in gone)
