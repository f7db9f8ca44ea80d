"""The libraries that the figures are compared with, each set up as its users would for the same end."""

import asyncio
import datetime as dt
import importlib
import inspect
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ("FLIGHTS", "FLIGHTS_AWAITED", "HITS", "HITS_AWAITED", "Peer", "installed")

TTL_S = 3600
Make = Callable[[Any, int], Any]
"""Decorates a function, given a bound."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A library, how it is set up, and what decorates with it."""

    name: str
    settings: str
    make: Make


def _cachetools(cache: str, *args: Any, **options: Callable[[], Any]) -> Make:
    def make(function: Any, size: int) -> Any:
        library = importlib.import_module("cachetools")
        made = {option: new() for option, new in options.items()}
        return library.cached(getattr(library, cache)(size, *args), **made)(function)

    return make


def _cachetools_flight(function: Any, size: int) -> Any:
    """``condition`` adds single flight; a cache that holds nothing makes every call a load."""
    library = importlib.import_module("cachetools")
    return library.cached(library.LRUCache(0), condition=threading.Condition())(function)


def _cachebox(seconds: float) -> Make:
    def make(function: Any, size: int) -> Any:
        library = importlib.import_module("cachebox")
        return library.cached(library.TTLCache(size, seconds))(function)

    return make


def _moka(function: Any, size: int) -> Any:
    return importlib.import_module("moka_py").cached(maxsize=size, ttl=TTL_S)(function)


def _theine(function: Any, size: int) -> Any:
    return importlib.import_module("theine").Memoize(size, dt.timedelta(seconds=TTL_S))(function)


def _warp(function: Any, size: int) -> Any:
    return importlib.import_module("warp_cache").cache(max_size=size, ttl=TTL_S)(function)


def _async_lru(function: Any, size: int) -> Any:
    return importlib.import_module("async_lru").alru_cache(maxsize=size, ttl=TTL_S)(function)


def _async_lru_flight(function: Any, size: int) -> Any:
    """With ``maxsize=0`` nothing is kept beyond the flight."""
    return importlib.import_module("async_lru").alru_cache(maxsize=0)(function)


def _coalescer(function: Any, size: int) -> Any:
    return importlib.import_module("coalescer").coalesce()(function)


HITS = (
    Peer("cachetools LRU", "lock, no ttl", _cachetools("LRUCache", lock=threading.Lock)),
    Peer("cachetools TTL", "lock", _cachetools("TTLCache", TTL_S, lock=threading.Lock)),
    Peer("cachetools TTL, condition", "condition=", _cachetools("TTLCache", TTL_S, condition=threading.Condition)),
    Peer("cachebox", "TTLCache", _cachebox(TTL_S)),
    Peer("moka-py", "ttl", _moka),
    Peer("theine", "ttl", _theine),
    Peer("warp-cache", "ttl", _warp),
)
HITS_AWAITED = (
    Peer("cachebox", "TTLCache", _cachebox(TTL_S)),
    Peer("moka-py", "ttl", _moka),
    Peer("theine", "ttl", _theine),
    Peer("warp-cache", "ttl", _warp),
    Peer("async-lru", "ttl", _async_lru),
)
FLIGHTS = (
    Peer("cachetools", "LRUCache(0), condition=", _cachetools_flight),
    Peer("cachebox", "TTLCache, stale at once", _cachebox(1e-9)),
)
FLIGHTS_AWAITED = (
    Peer("cachebox", "TTLCache, stale at once", _cachebox(1e-9)),
    Peer("async-lru", "maxsize=0", _async_lru_flight),
    Peer("coalescer", "coalesce()", _coalescer),
)


def installed(peers: tuple[Peer, ...], function: Any, size: int) -> Iterator[tuple[Peer, Any]]:
    """Each installed peer and *function* decorated with it; those that are not, or that fail, are named on the way."""
    for peer in peers:
        try:
            decorated = peer.make(function, size)
            answer = asyncio.run(_awaited(decorated)) if inspect.iscoroutinefunction(function) else decorated(7)
            assert answer == 7, f"{peer.name} answers {answer!r}"
        except ImportError as error:
            print(f"{peer.name} is left out: {error}; pip install '.[bench]'")
            continue
        yield peer, peer.make(function, size)


async def _awaited(decorated: Any) -> Any:
    return await decorated(7)
