"""Batches of calls of a decorated function: what is timed where libraries are compared, without what prepares it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from time import thread_time
from typing import Any

from _ratios import Timed, on_eight_threads

__all__ = (
    "SIZE", "Batch", "Decorate", "awaited_misses", "awaits", "bare", "calls_of_a_method", "calls_on_eight_threads",
    "identity", "keyword_calls", "misses", "of", "plain_calls",
)  # fmt: skip

SIZE = 500
"""The bound of all stores."""
Batch = Callable[[int], float]
"""Makes so many calls, and returns the seconds that they took together, in processor time of their thread."""
Decorate = Callable[[Any], Any]


def identity(x: Any) -> Any:
    return x


async def bare(x: Any) -> Any:
    return x


def of(batch: Batch, count: int) -> Timed:
    """Run *count* calls of a batch and return the seconds that one of them took."""
    return lambda: batch(count) / count


def plain_calls(decorate: Decorate) -> Batch:
    function = decorate(identity)

    def run(count: int) -> float:
        began = thread_time()
        for _ in itertools.repeat(None, count):
            function(7)
        return thread_time() - began

    assert function(7) == 7
    return run


def keyword_calls(decorate: Decorate) -> Batch:
    function = decorate(identity)

    def run(count: int) -> float:
        began = thread_time()
        for _ in itertools.repeat(None, count):
            function(x=7)
        return thread_time() - began

    assert function(x=7) == 7
    return run


def calls_of_a_method(decorate: Decorate) -> Batch:
    class Service:
        @decorate
        def fetch(self, x: int) -> int:
            return x

    service: Any = Service()

    def run(count: int) -> float:
        began = thread_time()
        for _ in itertools.repeat(None, count):
            service.fetch(7)
        return thread_time() - began

    assert service.fetch(7) == 7
    return run


def calls_on_eight_threads(decorate: Decorate) -> Batch:
    """Of ten keys; so many calls as fit into whole turns of eight threads, in processor time of all of them."""
    function = decorate(identity)

    def run(count: int) -> float:
        whole = max(1, count // 80) * 80
        return on_eight_threads(function, whole)() / whole * count

    return run


def misses(decorate: Decorate) -> Batch:
    """Of a full store, each for a key that was never asked for."""
    function = decorate(identity)
    fresh = itertools.count()
    for key in itertools.islice(fresh, 2 * SIZE):
        assert function(key) == key

    def run(count: int) -> float:
        began = thread_time()
        for key in itertools.islice(fresh, count):
            function(key)
        return thread_time() - began

    return run


def awaits(decorate: Decorate, runner: asyncio.Runner) -> Batch:
    function = decorate(bare)

    async def calls(count: int) -> float:
        began = thread_time()
        for _ in itertools.repeat(None, count):
            await function(7)
        took = thread_time() - began
        assert await function(7) == 7
        return took

    runner.run(calls(1))
    return lambda count: runner.run(calls(count))


def awaited_misses(decorate: Decorate, runner: asyncio.Runner) -> Batch:
    """Of a full store, each for a key that was never asked for."""
    function = decorate(bare)
    fresh = itertools.count()

    async def calls(count: int) -> float:
        began = thread_time()
        for key in itertools.islice(fresh, count):
            await function(key)
        took = thread_time() - began
        key = next(fresh)
        assert await function(key) == key
        return took

    runner.run(calls(2 * SIZE))
    return lambda count: runner.run(calls(count))
