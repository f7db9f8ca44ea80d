"""Values past their time to live, and failures worth remembering: what they may do for a call.

The models are RFC 5861 (stale-while-revalidate, stale-if-error), Caffeine's refreshAfterWrite and FusionCache's
fail-safe.  A ``RichEntry`` bears what callers need to decide without a lock:

- until ``retry`` whoever finds it stale is answered at once, and nobody begins a load;
- until ``paused`` (never later than ``retry``) that is because a load has failed.

While a background load runs, ``retry`` lies a lease ahead, so that a load that was lost with its
loop, its thread or its process is noticed by the first call after the lease.
"""

from collections import deque
from collections.abc import Hashable
from itertools import starmap
from operator import call
from typing import Any

from memo._base import renewed
from memo._cache.background import Background
from memo._cache.cache import Cache
from memo._cache.options import LEASE_S
from memo._cache.terms import Terms
from memo._call import Call
from memo._store import RichEntry, Standing

__all__ = ("StaleValues",)


class StaleValues:
    """What the store of one function has for a call that finds no fresh value.

    Args:
        cache: Its results.
        background: Begins the loads that are to replace stale values.
    """

    def __init__(self, cache: Cache, background: Background) -> None:
        self._cache = cache
        self._background = background
        self._store = cache.store
        self._options = cache.options

    def find(self, key: Hashable, now: float, after: float) -> RichEntry | None:
        """The stale value of *key* that may still serve, if there is one; raises a remembered failure.

        Args:
            key: What is looked for.
            now: The time.
            after: Only what was stored, or failed, later than this will do.
        """
        entry = self._store.index.get(key)
        if entry is None or not self._store.rich or entry.stored <= after:
            return None
        standing = self._store.standing(entry, now)
        if standing is Standing.FAILURE:
            self._store.use_stale(entry, now)
            raise renewed(entry.value.error)
        return entry if standing is Standing.STALE else None

    def at_once(self, entry: RichEntry, key: Hashable, now: float, call: Call) -> bool:
        """Whether *entry*, which is stale, answers without waiting; begins the load that this may ask for."""
        if now < entry.deadline + self._options.revalidate_s:
            if now >= entry.retry:
                self._revalidate(entry, key, now, call)
            return True
        return now < entry.paused

    def serve(self, entry: RichEntry, now: float) -> Any:
        """Answer a call with *entry*, and count it."""
        watch = self._cache.watch
        told = [] if watch is None else watch.steps("stale", entry.key, now - entry.deadline)
        self._store.use_stale(entry, now)
        deque(starmap(call, told), 0)
        return self._cache.handed(entry.value)

    def instead(self, key: Hashable, error: BaseException, terms: Terms) -> RichEntry | None:
        """The stale value that answers for a load that failed."""
        if not terms.stale or not isinstance(error, Exception) or not self._options.if_error_s:
            return None
        entry = self._store.index.get(key)
        now = self._cache.clock.read()
        if entry is None or self._store.standing(entry, now) is not Standing.STALE or entry.stored <= terms.after(now):
            return None
        return entry if now < entry.deadline + self._options.if_error_s else None

    def still(self, key: Hashable, now: float, terms: Terms) -> RichEntry | None:
        """The stale value of *key* that answers for a load that takes longer."""
        entry = self._store.index.get(key) if terms.stale and self._store.rich else None
        if entry is None or entry.stored <= terms.after(now):
            return None
        return entry if self._store.standing(entry, now) in (Standing.STALE, Standing.FRESH) else None

    def _revalidate(self, entry: RichEntry, key: Hashable, now: float, call: Call) -> None:
        """Begin a background load of a stale value, unless one runs or has failed of late."""
        flights: Any = self._cache.flights
        with self._store.lock:
            if now < entry.retry:
                return
            entry.retry = min(now + LEASE_S, entry.deadline + self._options.revalidate_s)
        flight = flights.table.by_key.get(key)
        if flight is not None:
            if flights.is_stuck(flight):
                flights.expire(flight)
                return  # which has failed, so that the next attempt is due after the pause
            if not flights.is_dead(flight):
                return
        self._background.job_for(key, call, watched=False)
