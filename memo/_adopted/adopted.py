"""A cache that others made, seen in a registry: held weakly, read without a trace, cleaned up, cleared.

An adopted cache stays as it is: nothing is written into it, and nobody who uses it takes notice.

Everything here may run code of the cache's own (``cache_info()``, ``expire()``, its lock), so none of it is to be
called under a lock of this package.  What such code raises while figures are read is logged, and the figure unknown.
"""

import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from memo._adopted.adoptable import is_cached, library_of
from memo._adopted.peek import Contents, bounds_of, contents_of, entries_of, entries_through_collector, is_bare_cache
from memo._adopted.stats import AdoptedStats
from memo._base import NO_TAGS, Staying, Swept, attribute

__all__ = ("Adopted", "AdoptedHandle", "AdoptedRef")

log = logging.getLogger("memo")

T = TypeVar("T")


class AdoptedRef(weakref.ref[Any]):
    """A weak reference to an adopted cache that takes its record out of a table when the cache dies.

    The callback may run in any thread at any point, so it takes no lock: it removes one key of a dict.
    """

    __slots__ = ("address", "table")

    address: int
    table: dict[int, tuple["AdoptedRef", Any]]

    @staticmethod
    def died(ref: weakref.ref[Any]) -> None:
        """Forget the cache, before another object can come to live at its address."""
        assert isinstance(ref, AdoptedRef)
        ref.table.pop(ref.address, None)


class _Named(Protocol):
    """What bears the name: a record."""

    name: str


class Adopted:
    """One adopted cache, as its record sees it.

    Args:
        cache: What is adopted; held weakly.
        record: Bears its name; held weakly.
        lock: What guards a cache object; None: nothing.  (A function says itself what guards its cache.)
    """

    kind = "adopted"
    tags = NO_TAGS
    is_made = True
    link = None

    def __init__(self, cache: Any, record: _Named, lock: Any = None) -> None:
        self._ref = weakref.ref(cache)
        self._record = weakref.ref(record)
        self._first_name = record.name
        self._lock = lock
        self._thread = threading.get_ident()
        self._library = library_of(cache)

    @property
    def cache(self) -> Any:
        """What is adopted; None once it is gone."""
        return self._ref()

    def handle(self) -> "AdoptedHandle":
        """The handle on it."""
        return AdoptedHandle(self)

    def name(self) -> str:
        """Its name in the registry."""
        record = self._record()
        return self._first_name if record is None else record.name

    # -- reading

    def stats(self, name: str) -> AdoptedStats:
        """What it tells of itself now."""
        cache = self._ref()
        hits = misses = size = most = weight = max_weight = bounded = None
        try:
            info = attribute(cache, "cache_info")
            if callable(info):
                told = info()
                hits, misses = _number(told, "hits"), _number(told, "misses")
                size, most = _number(told, "currsize"), _number(told, "maxsize")
                bounded = most is not None if hasattr(told, "maxsize") else None
            store = self._store(cache)
            if store is not None:
                size, (bounded, most, weight, max_weight) = self._guarded(
                    cache, lambda: (entries_of(store), bounds_of(store))
                )
        except Exception:
            log.exception("%s: an adopted cache could not tell its figures", name)
        return AdoptedStats(name, self._library, hits, misses, size, most, weight, max_weight, bounded)

    def contents(self) -> Contents | None:
        """Its keys and values; None if it lets nobody see them.

        Counts nothing, moves nothing in its order and drops nothing.  For debugging: of caches in C it takes the
        collector's word.
        """
        cache = self._ref()
        try:
            store = self._store(cache)
            if store is not None:
                return self._guarded(cache, lambda: contents_of(store))
            return None if cache is None else entries_through_collector(cache)
        except Exception:
            log.exception("%s: the entries of an adopted cache could not be read", self.name())
            return None

    @property
    def expires(self) -> bool:
        """Whether its entries leave by their age."""
        return callable(attribute(self._store(self._ref()), "expire"))

    def _store(self, cache: Any) -> Any:
        """The cache object: itself, or what the function keeps its results in; None if that is hidden."""
        if cache is None or is_bare_cache(cache):
            return cache
        return attribute(cache, "cache") if is_cached(cache) else None

    def _own_lock(self, cache: Any) -> Any:
        for name in ("cache_lock", "cache_condition"):
            lock = attribute(cache, name)
            if lock is not None and hasattr(type(lock), "__enter__"):  # not that of coroutines
                return lock
        return self._lock

    def _guarded(self, cache: Any, act: Callable[[], T]) -> T:
        """Call *act* with the lock of *cache* held, if there is one.

        The lock may be a condition, whose ``__enter__`` is written in Python: an exception of a signal handler that
        struck there would leave it taken.  So it is taken by its ``acquire``, in one step that notes it.
        """
        lock = self._own_lock(cache)
        if lock is None:
            return act()
        acquire = getattr(lock, "acquire", None)
        if not callable(acquire):
            with lock:
                return act()
        took: list[Any] = []
        try:
            took.extend(map(acquire, (True,)))
            return act()
        finally:
            if took:
                lock.release()

    def tracked(self) -> None:
        """It counts no calls by key."""

    def load_stats(self, name: str) -> None:
        """Nothing: its loads are its own."""

    def sparkline(self, width: int) -> str:
        """Nothing: it does not keep what happened of late."""
        return ""

    # -- changing

    def expire(self) -> int:
        """Drop what is past its life; how many entries went.

        Without a lock only the thread that adopted the cache does so: nothing would tell another whether somebody
        is changing the cache at that moment.
        """
        cache = self._ref()
        store = self._store(cache)
        expire = attribute(store, "expire")
        if not callable(expire) or (self._own_lock(cache) is None and threading.get_ident() != self._thread):
            return 0

        def expired() -> tuple[int, Any]:
            before = entries_of(store) or 0
            went = expire()
            return before - (entries_of(store) or 0), went

        count, went = self._guarded(cache, expired)
        del went  # the values, outside the lock
        return count

    def sweep(self) -> Iterator[Swept]:
        """Drop what is past its life."""
        yield Swept(entries=self.expire())

    def forget_inherited(self) -> int:
        """Nothing: nobody is told what leaves it."""
        return 0

    def empty(self) -> None:
        """Drop everything; a cache that raises is logged, so that the others are cleared all the same."""
        try:
            self.clear()
        except Exception:
            log.exception("%s: an adopted cache could not be cleared", self.name())

    def clear(self) -> None:
        """Drop everything; what the cache raises reaches the caller."""
        cache = self._ref()
        if cache is None:
            return
        if is_bare_cache(cache):
            self._guarded(cache, cache.clear)
        else:
            cache.cache_clear()

    def fence(self, call: tuple[tuple[Any, ...], dict[str, Any]] | None) -> None:
        """Nothing: its calls are its own."""

    def drop_tagged(self, tag: str | None) -> int:
        """Nothing: its entries bear no tags."""
        return 0

    def watch_switch(self, on: bool) -> None:
        """Nothing: it cannot be switched off."""

    def be_watched(self, audience: object) -> None:
        """Nothing: it tells of nothing."""


def _number(told: Any, name: str) -> int | None:
    value = getattr(told, name, None)
    return value if isinstance(value, int) else None


class AdoptedHandle(Staying):
    """A cache that others made, as the registry sees it: ``record.adopted``.

    It does not keep the cache alive.  Once that is gone, every figure is None and there is nothing to drop.
    """

    __slots__ = ("_part",)

    def __init__(self, part: Adopted) -> None:
        self._part = part

    def _stays(self) -> tuple[str, str]:
        return (
            f"{self._part.name()}: a handle stands for what this process has of the cache",
            "its stats(), or the cache itself",
        )

    @property
    def cache(self) -> Any:
        """The adopted function or cache itself; None once it is gone."""
        return self._part.cache

    def stats(self) -> AdoptedStats:
        """Its figures now.  Expires nothing; waits for the cache's own lock, if it has one."""
        return self._part.stats(self._part.name())

    def cleanup(self) -> int:
        """Have the cache expire what is past its life, if it can, under its own lock; how many entries went.

        A cache without a lock is cleaned up by the thread that adopted it alone; in others nothing happens.
        """
        return self._part.expire()

    def clear(self) -> None:
        """Drop every entry, as the cache's own ``cache_clear()`` or ``clear()`` does, its counters with them if that
        sets them to zero."""
        self._part.clear()

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<adopted cache {self._part.name()}>"
