"""Looking into caches that others made, without leaving a trace.

A look must not count as a use, move an entry in a policy's order, or expire anything: cachetools' own ``len()``
and ``currsize`` expire what is old, which is no reader's business, least of all in a thread whose lock the cache
does not know.  So a cachetools cache is read through its base class, and a dict through ``dict``.

Of ``functools.lru_cache`` and ``async_lru`` nothing but the collector sees the entries: what it is told there is a
debugging aid of CPython and may fail to be of use elsewhere, so whoever asks must be ready for None.
"""

import gc
import math
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from typing import Any

import cachetools

__all__ = (
    "UNKNOWN",
    "Contents",
    "bounds_of",
    "contents_of",
    "entries_of",
    "entries_through_collector",
    "is_bare_cache",
)

UNKNOWN: Any = type("Unknown", (), {"__slots__": (), "__repr__": lambda self: "UNKNOWN"})()
"""Stands for a value that could not be seen."""
Contents = list[tuple[Any, Any]]
"""Keys and values."""

_Cache = cachetools.Cache
_currsize: Any = vars(_Cache)["currsize"]
_ENDLESS = (dict, OrderedDict, defaultdict)
"""Mappings that never drop anything."""


def is_bare_cache(given: Any) -> bool:
    """Whether *given* is itself a cache object: one of cachetools, or what looks like one."""
    if isinstance(given, type):
        return False
    if isinstance(given, _Cache):
        return True
    kind = type(given)
    return (
        all(callable(getattr(kind, name, None)) for name in ("__len__", "__getitem__", "clear"))
        and hasattr(given, "maxsize")
        and hasattr(given, "currsize")
    )


def entries_of(cache: Any) -> int | None:
    """How many entries *cache* has, those past their life that nothing removed yet included; None if it cannot say."""
    if isinstance(cache, _Cache):
        return _Cache.__len__(cache)
    return len(cache) if hasattr(type(cache), "__len__") else None


def bounds_of(cache: Any) -> tuple[bool | None, int | None, float | None, float | None]:
    """Whether *cache* is bounded (None: unknown), its most entries, its weight and its greatest weight.

    A cache made with ``getsizeof=`` is bounded by the sum of what that returns, not by number.
    """
    maxsize = getattr(cache, "maxsize", UNKNOWN)
    if maxsize is UNKNOWN:
        return (False if type(cache) in _ENDLESS else None), None, None, None
    if maxsize is None or maxsize == math.inf:
        return False, None, None, None
    if isinstance(cache, _Cache):
        weighed = cache.getsizeof is not _Cache.getsizeof
        weight = _currsize.__get__(cache) if weighed else None
    else:
        weight = cache.currsize if hasattr(cache, "currsize") else None
        weighed = weight is not None and weight != entries_of(cache)
    return (True, None, weight, maxsize) if weighed else (True, int(maxsize), None, None)


def contents_of(cache: Any) -> Contents | None:
    """Keys and values of a cache object, those past their life that nothing removed yet included; None: cannot be seen.

    To be called under the cache's own lock, if it has one.
    """
    if isinstance(cache, dict):
        return list(dict.items(cache))  # not a subclass's own, which may count
    if not isinstance(cache, _Cache):
        return None
    keys = list(_Cache.__iter__(cache))
    # asked whether it is there: a missing key may be loaded by a subclass's __missing__
    return [(key, _Cache.__getitem__(cache, key)) for key in keys if _Cache.__contains__(cache, key)]


def entries_through_collector(function: Any) -> Contents | None:
    """Keys and values of a ``functools.lru_cache`` or ``async_lru`` function, as the collector sees them.

    A value is ``UNKNOWN`` if only its key could be seen, or if it is still being loaded; None if nothing was found.
    """
    own = getattr(function, "__dict__", {})  # some interpreters show the collector its values in its stead
    not_it = {id(own), *map(id, own.values())}
    referents = gc.get_referents(function)
    tables = [item for item in referents if isinstance(item, dict) and id(item) not in not_it]
    if len(tables) != 1:
        return None
    entries = list(dict.items(tables[0]))
    if not any(type(value).__name__ == "_lru_list_elem" for _, value in entries):
        return [(key, _result_of(value)) for key, value in entries]
    # A bounded lru_cache keeps links in its table.  The collector is shown each one's key, then its result.
    results = dict(_pairs(referents, {id(key) for key, _ in entries}))
    return [(key, results.get(id(key), UNKNOWN)) for key, _ in entries]


def _pairs(referents: list[Any], keys: set[int]) -> Iterable[tuple[int, Any]]:
    following = iter(referents)
    for item in following:
        if id(item) in keys:
            yield id(item), next(following, UNKNOWN)


def _result_of(value: Any) -> Any:
    """The result that an entry of ``async_lru`` holds; that of ``functools.lru_cache`` is the value itself."""
    task = getattr(value, "task", None) if type(value).__module__.partition(".")[0] == "async_lru" else None
    if task is None:
        return value
    # the exception by its private name: asked for it, the task would no longer log that nobody did
    if not task.done() or task.cancelled() or getattr(task, "_exception", None) is not None:
        return UNKNOWN
    return task.result()
