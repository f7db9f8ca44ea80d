"""``@lru_cache``: what ``functools.lru_cache`` is, with the handles of ``@bounded``."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from memo._base import is_decorable, knows_its_options, refuse_class, short_text
from memo._bounded import BoundedLayer, bounded, checked_options
from memo._cache import CacheOptions
from memo._call import KeyOptions
from memo._decorated import AnyProperty, Decorator, Layer, Placement

if TYPE_CHECKING:
    from memo._decorated import Function, Method

__all__ = ("lru_cache",)

P = ParamSpec("P")
R = TypeVar("R")


class _LruLayer(BoundedLayer):
    """Results of one function, as ``functools.lru_cache`` keeps them."""

    where = "lru_cache"


@overload
def lru_cache(maxsize: int | None = 128, typed: bool = False) -> Decorator: ...
@overload
def lru_cache(maxsize: staticmethod[P, R], typed: bool = False) -> Method[P, R]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
@overload
def lru_cache(maxsize: classmethod[Any, P, R], typed: bool = False) -> Method[P, R]: ...
@overload
def lru_cache(maxsize: AnyProperty, typed: bool = False) -> AnyProperty: ...
@overload
def lru_cache(maxsize: Function[P, R], typed: bool = False) -> Function[P, R]: ...
@overload
def lru_cache(maxsize: Callable[P, R], typed: bool = False) -> Function[P, R]: ...
@knows_its_options
def lru_cache(maxsize: Any = 128, typed: bool = False) -> Any:
    """Remember last results: a drop-in for ``functools.lru_cache``, but listed.

    ``@memo.lru_cache``, ``@memo.lru_cache(maxsize=500)`` and
    ``memo.lru_cache(f)`` are what they are there: the results that were used
    last are kept, in exact order; calls are counted alike; ``cache_info()``,
    ``cache_clear()``, ``cache_parameters()`` and ``__wrapped__`` are there;
    calls that miss at the same time each run the function, in their own
    threads, and none waits for another.  Beyond that it has what ``@bounded``
    has, but for single flight: it works in every placement, has the handles
    ``f.cache`` and ``f.inflight``, and stands in the registry.

    What differs:

    - One call has one key, however it is spelled: ``f(1)``, ``f(x=1)``, and
      ``f(1, y=2)`` where 2 is the default.  The order of ``**kwargs`` does not
      matter.
    - Where a call may consist of one argument, it counts with its type however
      the call is spelled, and ``1.0`` is not ``True`` either.
    - A method has entries of its own for each instance, which counts by
      identity, is not kept alive, and need not be hashable.
    - Of a coroutine function the awaited result is remembered.  A generator
      function is refused at decoration, since its results can be used only
      once.
    - An argument is hashed once more in a miss.  A recursion goes half as deep
      before ``RecursionError``.
    - A result is not stored if the cache was cleared, or the same call began
      anew, while it was made.
    - To clear the cache of a method through an instance,
      ``obj.f.cache.clear()``; ``obj.f.cache_clear()`` clears all.

    Safe from any thread and any event loop.

    Args:
        maxsize: Most entries; None: **without bound**.  Below 0 is 0.
            0 remembers nothing and counts calls.  None is what this package is
            there to prevent; ``registry.report()`` tells it.  Should
            ``f.cache.resize()`` bound it later, what was stored first goes
            first.
        typed: Whether all arguments of different types have different keys.
            Not only one that a call may consist of alone.

    Raises:
        TypeError: At decoration: maxsize is neither an integer nor None nor
            what can be decorated, or typed is no bool.  At a call: an argument
            cannot be hashed.
    """
    if maxsize is None or (not callable(maxsize) and hasattr(type(maxsize), "__index__")):
        return _decorator(maxsize, typed)
    refuse_class("lru_cache", maxsize)
    if not is_decorable(maxsize):
        raise TypeError(
            f"lru_cache: maxsize={short_text(maxsize)} is no integer, and nothing that can be decorated; give a number "
            f"of entries, or None for a cache without bound."
        )
    return _decorator(128, typed)(maxsize)


def _decorator(maxsize: Any, typed: bool) -> Decorator:
    if isinstance(maxsize, bool):
        raise TypeError(f"lru_cache: maxsize={short_text(maxsize)} is no number of entries; give one, such as 128.")
    most = None if maxsize is None else max(operator.index(maxsize), 0)
    options, keys = _options(most, typed)

    def make(function: Callable[..., Any], takes_instance: bool | None) -> Layer:
        return _LruLayer(function, options, keys, None, takes_instance)

    return Decorator(Placement("lru_cache", make, None, None), lru_cache, {"maxsize": maxsize, "typed": typed})


def _options(most: int | None, typed: bool) -> tuple[CacheOptions, KeyOptions]:
    policy = "fifo" if most is None else "lru"  # where nothing is evicted, a hit need not keep an order
    told = {"max": most or 1, "policy": policy, "typed": typed, "dedupe": False, "one_shot": "share"}
    options, keys = checked_options("lru_cache", **{**_of_bounded(), **told})
    if most is None:
        options = dataclasses.replace(options, max_entries=None)
    elif most == 0:
        options = dataclasses.replace(options, max_entries=0, cache_if=_never)
    return options, keys


@functools.cache  # once
def _of_bounded() -> dict[str, Any]:
    """The options of ``bounded``, at their defaults."""
    parameters = inspect.signature(bounded).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _never(value: object) -> bool:
    return False
