"""Caches of others, for the tests of adoption."""

import collections
import functools
from collections.abc import Callable
from typing import Any

import cachetools
import cachetools.func

from memo import AdoptedStats, Record, Registry

__all__ = (
    "AsyncDuck",
    "AsyncDuckView",
    "Info",
    "Service",
    "cells",
    "passing",
    "stats_of",
)

Info = collections.namedtuple("Info", "hits misses maxsize currsize")


class AsyncDuck:
    """The surface of ``async_lru``: a coroutine function that remembers, and makes a view of itself at each access."""

    def __init__(self, function: Callable[..., Any], maxsize: int | None = 128) -> None:
        functools.update_wrapper(self, function)
        self._maxsize = maxsize
        self._table: collections.OrderedDict[Any, Any] = collections.OrderedDict()
        self._hits = self._misses = 0

    async def __call__(self, *args: Any) -> Any:
        if args in self._table:
            self._hits += 1
        else:
            self._misses += 1
            self._table[args] = await self.__wrapped__(*args)
        return self._table[args]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return AsyncDuckView(self, instance)

    def cache_info(self) -> Info:
        return Info(self._hits, self._misses, self._maxsize, len(self._table))

    def cache_clear(self) -> None:
        self._table.clear()
        self._hits = self._misses = 0

    def cache_parameters(self) -> dict[str, Any]:
        return {"maxsize": self._maxsize, "typed": False, "tasks": 0, "closed": False}


class AsyncDuckView:
    """What is made anew at each access of a method."""

    def __init__(self, duck: AsyncDuck, instance: Any) -> None:
        functools.update_wrapper(self, duck.__wrapped__)
        self._duck, self._instance = duck, instance

    async def __call__(self, *args: Any) -> Any:
        return await self._duck(self._instance, *args)

    def cache_info(self) -> Info:
        return self._duck.cache_info()

    def cache_clear(self) -> None:
        self._duck.cache_clear()

    def cache_parameters(self) -> dict[str, Any]:
        return self._duck.cache_parameters()


class Service:
    """Adoptable methods of each make."""

    def __init__(self) -> None:
        self.store = cachetools.LRUCache[Any, Any](5)

    @functools.lru_cache(maxsize=10)  # noqa: B019  # what keeps self alive is what is to be found
    def c_method(self, x: int) -> list[int]:
        return [x]

    @AsyncDuck
    async def async_method(self, x: int) -> list[int]:
        return [x]

    @cachetools.cachedmethod(lambda self: self.store)
    def of_instance(self, x: int) -> list[int]:
        return [x]

    @property
    @functools.cache  # noqa: B019
    def c_property(self) -> list[int]:
        return []

    @staticmethod
    @functools.cache
    def c_static(x: int) -> list[int]:
        return [x]


def passing(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of somebody else."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def stats_of(record: Record) -> AdoptedStats:
    stats = record.stats().adopted
    assert stats is not None
    return stats


def cells(own: Registry, name: str) -> dict[str, str]:
    """One row of the printed table, by column."""
    lines = str(own).splitlines()
    columns = ["function", *(word for word in lines[0].replace("hit ratio", "hit_ratio").split()[1:])]
    (row,) = [line.split() for line in lines[2:] if line.split()[0] == name]
    return dict(zip(columns, row, strict=True))
