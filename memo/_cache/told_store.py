"""A store whose departures are told, whatever cuts a change short."""

import logging
from collections.abc import Callable, Hashable
from typing import Any

from memo._base import need_depth
from memo._cache.figures import CallCounts
from memo._call import InstanceRef
from memo._store import Departures, EvictionReason, Failure, Gone, Store

__all__ = ("ToldStore",)

log = logging.getLogger("memo")


class ToldStore:
    """The store of one function, and ``on_evict``, which is told what leaves it.

    Args:
        name: The function's qualified name, for messages.
        store: The store.
        counts: Of what it rejects.
        on_evict: Called with each key, value and reason, without a lock.
        revealer: Gives what makes of a key what users see.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        counts: CallCounts,
        on_evict: Callable[[Any, Any, EvictionReason], object] | None,
        revealer: Callable[[], Callable[[Any], Any]],
    ) -> None:
        self.name = name
        self.store = store
        self.on_evict = on_evict
        self.revealer = revealer
        self.counts = counts

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

    def report(self, gone: Departures) -> None:
        """Tell ``on_evict`` what left; it goes on where it was interrupted if it is called again."""
        if self.on_evict is not None and gone:
            gone.tell(self.on_evict, self._shown, self._log_listener)

    def collected(self, owner: InstanceRef, now: float) -> None:
        """Drop the entries of an instance that died."""
        gone = Departures()
        try:
            self.store.collected(owner, now, gone)
            self.report(gone)
        except BaseException:
            self.report(gone)
            raise

    # -- steps of a change, called with the lock held

    def keep(self, gone: list[Gone], key: Hashable, entry: Any, now: float) -> None:
        """Put *entry* in, if it fits."""
        if self.fits(entry):
            self.store.put(gone, key, entry, now)
            return
        self.counts.rejected += 1
        self.store.drop(gone, key, EvictionReason.REPLACED, now)  # an older value must not outlive a newer one

    def fits(self, entry: Any) -> bool:
        """Whether *entry* alone is within the bounds."""
        store = self.store
        return not store.weighed or (entry.size is not None and entry.size <= (store.max_bytes or 0))

    # -- steps of telling

    def _shown(self, gone: list[Gone]) -> list[Gone]:
        """What left as users see it."""
        reveal = self.revealer()
        return [(reveal(key), value, reason) for key, value, reason in gone if type(value) is not Failure]

    def _log_listener(self, error: Exception, reason: EvictionReason) -> None:
        log.error("%s: on_evict raised for a value that left (%s)", self.name, reason, exc_info=error)
