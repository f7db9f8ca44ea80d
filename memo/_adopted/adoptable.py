"""What can be adopted: a cache that others made, told by what it can do, since only cachetools is sure to be installed.

- a *function* with ``cache_info()`` and ``cache_clear()``: ``functools.lru_cache``, ``async_lru``;
- a *function* with ``cache``, ``cache_key`` and ``cache_clear()``: ``cachetools.cached``, ``cachedmethod``;
- a *cache object*: any ``cachetools.Cache``, or a mapping with ``maxsize`` and ``currsize``.
"""

import gc
import types
import weakref
from collections.abc import Callable
from typing import Any

from memo._adopted.peek import is_bare_cache
from memo._base import attribute, given_text, way_to_weak_references, wrapped_by

__all__ = ("adoptable", "check_lock", "find_adopted", "is_cached", "library_of", "name_of")

_REMEDY = (
    "give a functools.lru_cache or async_lru function, a function decorated with cachetools.cached, "
    "or a cachetools cache"
)


def _find_adoptable(given: Any, refuse: Callable[[Any], object] | None = None) -> Any:
    """The cache that *given* is or leads to, as it would be adopted; None if there is none.

    Looks through bound methods, properties and other decorators that leave ``__wrapped__``.

    Args:
        given: Anything.
        refuse: Called with each thing on the way; may raise.
    """
    return next((link for link in wrapped_by(given) if _is_adoptable(link, refuse)), None)


def _is_adoptable(link: Any, refuse: Callable[[Any], object] | None) -> bool:
    if refuse is not None:
        refuse(link)
    if isinstance(link, type | types.MethodType):
        return False
    return is_bare_cache(link) or (_clears(link) and (is_cached(link) or callable(attribute(link, "cache_info"))))


def _clears(function: Any) -> bool:
    return callable(function) and callable(attribute(function, "cache_clear"))


def is_cached(function: Any) -> bool:
    """Whether it was decorated with ``cachetools.cached`` or ``cachedmethod``."""
    return attribute(function, "cache") is not None and callable(attribute(function, "cache_key"))


def _itself(function: Any) -> Any:
    """What stands behind a view that is made anew at each access, as ``async_lru`` makes of its methods."""
    original = attribute(function, "__wrapped__")
    if original is None or is_cached(function):
        return function
    held = [*gc.get_referents(function), *getattr(function, "__dict__", {}).values()]
    behind = [
        item
        for item in {id(item): item for item in held}.values()
        if type(item) is not type(function) and attribute(item, "__wrapped__") is original and _clears(item)
        if callable(attribute(item, "cache_info"))
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
        way = way_to_weak_references(type(found))
        raise TypeError(
            f"adopt: an object of type {type(found).__qualname__!r} allows no weak reference, so the registry would "
            f"keep it alive; {f'{way}, or ' if way else ''}adopt a function that uses it."
        ) from None
    return found


def _why_not(given: Any) -> str:
    if isinstance(given, type):
        return f"adopt: {given.__qualname__} is a class; give a cache that was made of it, or another cache."
    if library_of(given) == "cachetools" and attribute(given, "__wrapped__") is not None:
        return (
            f"adopt: {name_of(given)} is a cachedmethod seen through its class, but each instance has a cache of its "
            f"own; adopt it as seen through an instance: obj.{attribute(given, '__name__')}."
        )
    of_a_name = callable(given) and isinstance(attribute(given, "__qualname__"), str)
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
        raise TypeError(f"adopt: lock={given_text(lock)} is no lock; give the threading.Lock that guards the cache.")
    if not is_bare_cache(cache):
        raise TypeError(
            f"adopt: lock={given_text(lock)} is given with {name_of(cache)}, which knows its own; leave it out."
        )


def name_of(cache: Any) -> str:
    """``module.qualname`` of a function; of a cache object the name of its class."""
    qualname = attribute(cache, "__qualname__")
    if isinstance(cache, type) or not callable(cache) or not isinstance(qualname, str):
        return type(cache).__qualname__
    module = attribute(cache, "__module__")
    return f"{module}.{qualname}" if isinstance(module, str) else qualname


def library_of(cache: Any) -> str:
    """The package that made the class of *cache*; for a user's subclass of a cachetools class, cachetools."""
    packages = [kind.__module__.partition(".")[0] for kind in type(cache).__mro__]
    return "cachetools" if "cachetools" in packages else packages[0]
