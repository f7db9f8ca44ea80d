"""The attributes that decorating adds to a function, and to whatever it is bound to or held by."""

import types
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import memo._rate  # whose handles, and those of windows, are imported where somebody asks for the annotations
import memo._window
from memo._cache import CacheHandle, CacheInfo
from memo._decorated.layer import layer_of
from memo._decorated.stack import ADDED, find_handle
from memo._flight import InflightHandle
from memo._registry import Record

__all__ = ("SHOWN", "Handles")

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
Method = TypeVar("Method", bound=Callable[..., Any])

SHOWN = (*ADDED, "__memo_record__")


class _OfStore:
    """A method of what has a store; to anything else it is not there, and ``__getattr__`` looks further."""

    __slots__ = ("_method",)

    def __init__(self, method: Any) -> None:
        self._method = method

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is None:
            return self._method
        function, prefix = obj._place()
        find_handle(function, prefix, "cache")
        return types.MethodType(self._method, obj)


def _of_store(method: Method) -> Method:
    return _OfStore(method)  # type: ignore[return-value]


class Handles(Generic[P, R_co]):
    """The attributes that decorating adds, of a function and of a bound method alike."""

    __slots__ = ()

    def _place(self) -> tuple[Any, tuple[Any, ...]]:
        """The decorated function, and what it is bound to."""
        raise NotImplementedError

    @property
    def cache(self) -> CacheHandle[P, R_co, Any]:
        """Its store; AttributeError if it is not decorated with ``bounded``."""
        return find_handle(*self._place(), kind="cache")  # type: ignore[no-any-return]

    @property
    def inflight(self) -> InflightHandle[P, R_co]:
        """Its running calls; AttributeError if it has neither ``dedupe_inflight`` nor ``bounded``."""
        return find_handle(*self._place(), kind="inflight")  # type: ignore[no-any-return]

    @property
    def window(self) -> "memo._window.WindowHandle[P, R_co]":
        """What happened of late; AttributeError if it is not decorated with ``sliding_window``."""
        return find_handle(*self._place(), kind="window")  # type: ignore[no-any-return]

    @property
    def limit(self) -> "memo._rate.LimitHandle[P, R_co]":
        """How often it may be called; AttributeError if it is not decorated with ``limit``."""
        return find_handle(*self._place(), kind="limit")  # type: ignore[no-any-return]

    @_of_store
    def cache_info(self) -> CacheInfo:
        """Hits, misses, maxsize and currsize of the whole function, as ``functools.lru_cache`` tells them."""
        return self.cache._cache.cache_info()

    @_of_store
    def cache_clear(self) -> None:
        """Drop every entry of the whole function and set its counters to zero, as ``functools.lru_cache`` does."""
        cache = self.cache
        results = cache._cache
        with cache._fence_others(None):
            cache._answers.everywhere.clear(None)
        results.forget_counts()

    @_of_store
    def cache_parameters(self) -> dict[str, Any]:
        """``maxsize`` and ``typed``, as ``functools.lru_cache`` tells them."""
        results = self.cache._cache
        return {"maxsize": results.store.max_entries, "typed": results.options.typed}

    @property
    def __memo_record__(self) -> Record | None:
        layer = layer_of(self._place()[0])
        return None if layer is None else layer.record
