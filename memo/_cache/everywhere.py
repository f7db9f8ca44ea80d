"""Changes of the results of one function: here, and through the tier that they are shared through everywhere else.

Each is done here, said to the tier, and done here once more: what was read from the tier in between is of before.  What
is said is about keys, tags, or all of the function; so what concerns the entries of one instance alone, which no other
process knows, is done here alone, and so is everything while ``isolated()`` has set the results aside.
"""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

from memo._cache.cache import Cache
from memo._cache.shared_loads import SharedLoads
from memo._store import SLICE

__all__ = ("Everywhere",)

T = TypeVar("T")


class Everywhere:
    """Changes the results of one function, wherever they are.

    Args:
        cache: Those that are here.
    """

    __slots__ = ("_cache",)

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    @property
    def _shared(self) -> SharedLoads | None:
        """What knows the way to the tier; None: nothing is said."""
        shared = self._cache.shared
        return None if shared is None or shared.is_apart() else shared

    def put(self, key: Hashable, value: Any, tags: tuple[str, ...] | None) -> bool:
        """Store *value*; whether it was stored here, and not rejected."""
        cache, shared = self._cache, self._shared
        if shared is None:
            return cache.put(key, value, tags).is_stored
        key = cache.table.at_hand(key)
        put = cache.put(key, value, tags)
        try:
            if put.shared_s is None:
                shared.link.invalidate((key,))
            else:
                shared.link.put(key, cache.handed(put.entry.value), put.shared_s, shared.all_tags(tags or ()))
        finally:
            if cache.store.index.get(key) is not put.entry:  # evicted: what came meanwhile may have been read before
                cache.invalidate(key)
        return put.is_stored

    def invalidate(self, key: Hashable) -> bool:
        """Drop the result of *key*; whether there was one here, or a failure that is remembered."""
        cache, shared = self._cache, self._shared
        if shared is None:
            return cache.invalidate(key)
        key = cache.table.at_hand(key)
        return _around(partial(cache.invalidate, key), partial(shared.link.invalidate, (key,)))

    def invalidate_where(self, predicate: Callable[[Any, Any], object], scope: Hashable | None) -> int:
        """Drop those for whose keys and values *predicate* is true, as far as they are here; how many."""
        cache, shared = self._cache, self._shared
        if shared is None or scope is not None:
            return cache.invalidate_where(predicate, scope)
        keys: list[Hashable] = []
        count = cache.invalidate_where(predicate, scope, keys.extend)
        while keys:
            some = keys[-SLICE:]
            del keys[-SLICE:]
            try:
                shared.link.invalidate(some)
            finally:
                for key in some:
                    cache.invalidate(key)
        return count

    def clear(self, scope: Hashable | None) -> int:
        """Drop everything; how many were here."""
        cache, shared = self._cache, self._shared
        if shared is None or scope is not None:
            return cache.clear(scope)
        return _around(partial(cache.clear, None), shared.link.invalidate_all)


def _around(change: Callable[[], T], say: Callable[[], object]) -> T:
    """Do *change*, say it, and do it once more; what the first time came to."""
    try:
        done = change()
        say()
    finally:
        change()
    return done
