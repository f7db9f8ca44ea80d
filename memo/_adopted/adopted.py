"""Caches that others made, seen in a registry: told apart, held weakly, read without a trace, cleaned up, cleared.

An adopted cache stays as it is: nothing is written into it, and nobody who uses it takes notice.  What it is, is
told by what it can do, since of these libraries only cachetools is sure to be installed:

- a *function* with ``cache_info()`` and ``cache_clear()``: ``functools.lru_cache``, ``async_lru``;
- a *function* with ``cache``, ``cache_key`` and ``cache_clear()``: ``cachetools.cached``, ``cachedmethod``;
- a *cache object*: any ``cachetools.Cache``, or a mapping with ``maxsize`` and ``currsize``.

Everything here may run code of the cache's own (``cache_info()``, ``expire()``, its lock), so none of it is to be
called under a lock of this package.  What such code raises while figures are read is logged, and the figure unknown.
"""

import gc
import logging
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from memo._adopted.peek import Contents, bounds_of, contents_of, entries_of, entries_through_collector, is_bare_cache
from memo._base import NO_TAGS, Snapshot, Swept, counter

__all__ = (
    "Adopted",
    "AdoptedHandle",
    "AdoptedRef",
    "AdoptedStats",
    "adoptable",
    "check_lock",
    "find_adopted",
    "name_of",
)

log = logging.getLogger("memo")

T = TypeVar("T")

_REMEDY = (
    "give a functools.lru_cache or async_lru function, a function decorated with cachetools.cached, "
    "or a cachetools cache"
)
_LINKS = 100  # of wrappers around wrappers, so that a circle ends


@dataclass(frozen=True, slots=True)
class AdoptedStats(Snapshot):
    """The figures of a cache that others made.  What it does not know itself is None, never zero.

    ``later - earlier`` subtracts the counters; a difference is None unless both snapshots know the figure, and negative
    if the cache set its counters to zero in between, as ``functools.lru_cache`` does in ``cache_clear()``.
    """

    __module__ = "memo"

    name: str
    library: str
    """Package that the cache comes from: "functools", "async_lru", "cachetools" or another."""
    hits: int | None = counter(None)
    """Calls answered from the cache, as its ``cache_info()`` tells."""
    misses: int | None = counter(None)
    """Calls that were not, likewise."""
    size: int | None = None
    """Gauge: entries, also those past their life that nothing has removed yet."""
    max: int | None = None
    """Gauge: most entries; None if the cache is unbounded, bounded by weight, or does not tell."""
    weight: float | None = None
    """Gauge: sum of what the cache's ``getsizeof`` said of the values, in its own unit; None if it has none."""
    max_weight: float | None = None
    """Gauge: greatest weight; None if the cache is not bounded by weight."""
    bounded: bool | None = None
    """Gauge: whether the cache has any bound of number or weight; None if it does not tell."""

    @property
    def requests(self) -> int | None:
        """All calls; None if they are not counted."""
        return None if self.hits is None or self.misses is None else self.hits + self.misses

    @property
    def hit_ratio(self) -> float | None:
        """``hits / (hits + misses)``, 0.0 before the first call; None if they are not counted."""
        if self.hits is None or self.misses is None:
            return None
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else 0.0


# -- what can be adopted


def _find_adoptable(given: Any, refuse: Callable[[Any], object] | None = None) -> Any:
    """The cache that *given* is or leads to, as it would be adopted; None if there is none.

    Looks through bound methods, properties and other decorators that leave ``__wrapped__``.

    Args:
        given: Anything.
        refuse: Called with each thing on the way; may raise.
    """
    return next((link for link in _chain(given) if _is_adoptable(link, refuse)), None)


def _chain(given: Any) -> Iterator[Any]:
    for _ in range(_LINKS):
        if given is None:
            return
        yield given
        inner = (_look(given, name) for name in ("__func__", "__wrapped__", "fget"))
        given = next((one for one in inner if one is not None), None)  # whether it is true may be its own affair


def _is_adoptable(link: Any, refuse: Callable[[Any], object] | None) -> bool:
    if refuse is not None:
        refuse(link)
    if isinstance(link, type | types.MethodType):
        return False
    return is_bare_cache(link) or (_clears(link) and (_is_cached(link) or callable(_look(link, "cache_info"))))


def _clears(function: Any) -> bool:
    return callable(function) and callable(_look(function, "cache_clear"))


def _is_cached(function: Any) -> bool:
    """Whether it was decorated with ``cachetools.cached`` or ``cachedmethod``."""
    return _look(function, "cache") is not None and callable(_look(function, "cache_key"))


def _look(thing: Any, name: str) -> Any:
    """An attribute, or None: of things that nobody knows, reading one may raise anything."""
    try:
        return getattr(thing, name, None)
    except Exception:
        return None


def _itself(function: Any) -> Any:
    """What stands behind a view that is made anew at each access, as ``async_lru`` makes of its methods."""
    original = _look(function, "__wrapped__")
    if original is None or _is_cached(function):
        return function
    held = [*gc.get_referents(function), *getattr(function, "__dict__", {}).values()]
    behind = [
        item
        for item in {id(item): item for item in held}.values()
        if type(item) is not type(function) and _look(item, "__wrapped__") is original and _clears(item)
        if callable(_look(item, "cache_info"))
    ]
    return behind[0] if len(behind) == 1 else function


def find_adopted(given: Any) -> Any:
    """What *given* would be adopted as, which is how it is found again; None if it cannot be."""
    found = _find_adoptable(given)
    return None if found is None else _itself(found)


def adoptable(given: Any, refuse: Callable[[Any], object] | None = None) -> Any:
    """The cache that *given* is or leads to.

    Raises:
        TypeError: It is none, or allows no weak reference; or *refuse* says so.
    """
    found = _find_adoptable(given, refuse)
    if found is None:
        raise TypeError(_why_not(given))
    found = _itself(found)
    try:
        weakref.ref(found)
    except TypeError:
        kind = type(found)
        raise TypeError(
            f"adopt: an object of type {kind.__qualname__!r} allows no weak reference, so the registry would keep it "
            f"alive; add '__weakref__' to {kind.__qualname__}.__slots__, or adopt a function that uses it."
        ) from None
    return found


def _why_not(given: Any) -> str:
    if isinstance(given, type):
        return f"adopt: {given.__qualname__} is a class; give a cache that was made of it, or another cache."
    if _library_of(given) == "cachetools" and _look(given, "__wrapped__") is not None:
        return (
            f"adopt: {name_of(given)} is a cachedmethod seen through its class, but each instance has a cache of its "
            f"own; adopt it as seen through an instance: obj.{_look(given, '__name__')}."
        )
    of_a_name = callable(given) and isinstance(_look(given, "__qualname__"), str)
    what = name_of(given) if of_a_name else f"an object of type {type(given).__qualname__!r}"
    return f"adopt: {what} is no cache that can be adopted; {_REMEDY}."


def check_lock(cache: Any, lock: Any) -> None:
    """Check what is to guard *cache*.

    Raises:
        TypeError: It is no lock, or *cache* is a function, which knows its own.
    """
    if lock is None:
        return
    if not hasattr(type(lock), "__enter__"):
        raise TypeError(f"adopt: lock={lock!r} is no lock; give the threading.Lock that guards the cache.")
    if not is_bare_cache(cache):
        raise TypeError(f"adopt: lock={lock!r} is given with {name_of(cache)}, which knows its own; leave it out.")


def name_of(cache: Any) -> str:
    """``module.qualname`` of a function; of a cache object the name of its class."""
    qualname = _look(cache, "__qualname__")
    if isinstance(cache, type) or not callable(cache) or not isinstance(qualname, str):
        return type(cache).__qualname__
    module = _look(cache, "__module__")
    return f"{module}.{qualname}" if isinstance(module, str) else qualname


def _library_of(cache: Any) -> str:
    """The package that made the class of *cache*; for a user's subclass of a cachetools class, cachetools."""
    packages = [kind.__module__.partition(".")[0] for kind in type(cache).__mro__]
    return "cachetools" if "cachetools" in packages else packages[0]


# -- what is adopted


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

    def __init__(self, cache: Any, record: _Named, lock: Any = None) -> None:
        self._ref = weakref.ref(cache)
        self._record = weakref.ref(record)
        self._first_name = record.name
        self._lock = lock
        self._thread = threading.get_ident()
        self._library = _library_of(cache)

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
            info = _look(cache, "cache_info")
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
        return callable(_look(self._store(self._ref()), "expire"))

    def _store(self, cache: Any) -> Any:
        """The cache object: itself, or what the function keeps its results in; None if that is hidden."""
        if cache is None or is_bare_cache(cache):
            return cache
        return _look(cache, "cache") if _is_cached(cache) else None

    def _own_lock(self, cache: Any) -> Any:
        for name in ("cache_lock", "cache_condition"):
            lock = _look(cache, name)
            if lock is not None and hasattr(type(lock), "__enter__"):  # not that of coroutines
                return lock
        return self._lock

    def _guarded(self, cache: Any, look: Callable[[], T]) -> T:
        """Call *look* with the lock of *cache* held, if there is one.

        The lock may be a condition, whose ``__enter__`` is written in Python: an exception of a signal handler that
        struck there would leave it taken.  So it is taken by its ``acquire``, in one step that notes it.
        """
        lock = self._own_lock(cache)
        if lock is None:
            return look()
        acquire = getattr(lock, "acquire", None)
        if not callable(acquire):
            with lock:
                return look()
        took: list[Any] = []
        try:
            took.extend(map(acquire, (True,)))
            return look()
        finally:
            if took:
                lock.release()

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
        expire = _look(store, "expire")
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


def _number(told: Any, name: str) -> int | None:
    value = getattr(told, name, None)
    return value if isinstance(value, int) else None


class AdoptedHandle:
    """A cache that others made, as the registry sees it: ``record.adopted``.

    It does not keep the cache alive.  Once that is gone, every figure is None and there is nothing to drop.
    """

    __slots__ = ("_part",)

    def __init__(self, part: Adopted) -> None:
        self._part = part

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
