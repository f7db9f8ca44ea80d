"""Who comes between the parts of an operation finds neither half of it."""

import asyncio
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kit.fencing import Later, awaited, refresh
from kit.flights import assert_idle, waiters
from kit.threads import Gate, Running, until

from memo import Registry, bounded, dedupe_inflight


def register_clear(function: Any) -> None:
    function.__memo_record__.clear()


def put_new(function: Any) -> None:
    function.cache.put(99, "a")


@pytest.mark.parametrize("is_async", [False, True], ids=["function", "coroutine"])
@pytest.mark.parametrize(
    "later",
    [
        lambda function: function.cache.invalidate("a"),
        lambda function: function.cache.invalidate_where(lambda key, value: True),
        lambda function: function.cache.clear(),
        lambda function: function.cache_clear(),
        register_clear,
        put_new,
        refresh,
    ],
    ids=["invalidate", "invalidate_where", "clear", "cache_clear", "registry", "put", "refresh"],
)
def test_who_got_the_old_value_during_it_hands_it_to_nobody_who_comes_after_it(later: Later, is_async: bool) -> None:
    """A flight above the cache that was begun while the cache was being changed serves no call that follows."""
    registry = Registry()
    numbers = itertools.count()
    gate = Gate()
    between: list[Callable[[], object]] = []
    slow: set[int] = set()

    def clock() -> float:
        if between:
            between.pop()()
        return 1000.0

    def copy(value: int) -> int:
        if threading.get_ident() in slow:
            gate.wait()
        return value

    def cached(function: Any) -> Any:
        return dedupe_inflight(registry=registry)(bounded(max=8, registry=registry, clock=clock, copy=copy)(function))

    if is_async:

        @cached
        async def fetch(name: str) -> int:
            return next(numbers)

    else:

        @cached
        def fetch(name: str) -> int:
            return next(numbers)

    def call() -> Any:
        return asyncio.run(awaited(fetch("a"))) if is_async else fetch("a")

    def call_slowly() -> Any:
        slow.add(threading.get_ident())
        return call()

    early: list[Running] = []

    def begin_a_flight() -> None:
        early.append(Running(call_slowly))
        gate.reached()

    assert call() == 0
    between.append(begin_a_flight)
    later(fetch)
    late = Running(call)
    until(lambda: not late.thread.is_alive() or waiters(fetch) == [1])
    gate.open()
    assert early[0].result() == 0
    assert late.result() > 0
    assert_idle(fetch)
