"""Each call of a cached function is counted once, where it is known what it was."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kit.threads import Gate, Running, until

from memo import Registry, bounded
from memo.testing import FakeClock

LATE = {"ttl": 10, "stale_if_error": 60}


class Boom(Exception):
    """What the function raises."""


def made(is_async: bool, fails: set[int], **options: Any) -> tuple[Any, Callable[[int], Any]]:
    """A function that raises for what is in *fails*, and what calls it and answers with the error's type."""

    def load(x: int) -> int:
        if x in fails:
            raise Boom
        return x

    async def load_later(x: int) -> int:
        return load(x)

    f: Any = bounded(max=9, registry=Registry(), **options)(load_later if is_async else load)

    def call(x: int) -> Any:
        try:
            return asyncio.run(f(x)) if is_async else f(x)
        except Boom:
            return Boom

    return f, call


@pytest.mark.parametrize("is_async", [False, True])
def test_a_call_is_a_miss_or_a_stale_hit_and_never_both(is_async: bool) -> None:
    """What led a load that failed is a stale hit if a stale value answered, and a miss if none could."""
    clock = FakeClock()
    fails: set[int] = set()
    f, call = made(is_async, fails, clock=clock, **LATE)
    assert call(1) == 1
    clock.advance(20)
    fails.update((1, 2))
    assert call(1) == 1
    assert call(2) is Boom
    stats = f.cache.stats()
    assert (stats.misses, stats.joins, stats.stale_hits, stats.requests) == (2, 0, 1, 3)
    assert f.inflight.stats().started == 3


def test_those_who_joined_a_load_that_fails_count_as_they_were_answered() -> None:
    """Joiners of a failed load are stale hits where a stale value answers, else joins; the leader likewise."""
    clock = FakeClock()
    gate: Gate | None = None

    @bounded(max=9, registry=Registry(), clock=clock, **LATE)
    def f(x: int) -> int:
        if gate is not None:
            gate.wait()
            raise Boom
        return x

    f(1)
    clock.advance(20)
    for x, stale in ((1, True), (2, False)):
        gate = Gate()
        before = f.cache.stats()
        leader = Running(lambda x=x: answer(f, x))  # type: ignore[misc]
        gate.reached()
        joiner = Running(lambda x=x: answer(f, x))  # type: ignore[misc]
        until(lambda: [flight.waiters for flight in f.inflight.pending()] == [1])
        gate.open()
        assert {leader.result(), joiner.result()} == ({1} if stale else {Boom})
        now = f.cache.stats() - before
        assert (now.misses, now.joins, now.stale_hits) == ((0, 0, 2) if stale else (1, 1, 0))


def answer(f: Any, x: int) -> Any:
    try:
        return f(x)
    except Boom:
        return Boom


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Boom])
def test_a_call_whose_load_is_interrupted_is_a_miss(error: type[BaseException]) -> None:
    """It led a load, whatever ended that."""

    @bounded(max=9, registry=Registry(), **LATE)
    def f() -> None:
        raise error

    with contextlib.suppress(error):
        f()
    stats = f.cache.stats()
    assert (stats.misses, stats.joins, stats.load_errors) == (1, 0, 1)


@pytest.mark.parametrize("options", [{}, LATE])
@pytest.mark.parametrize("is_async", [False, True])
def test_cache_clear_counts_calls_anew_and_keeps_the_figures_of_flights(
    is_async: bool, options: dict[str, Any]
) -> None:
    """It begins with zero what cache.stats() says; what inflight.stats() says goes on, and is never less."""
    f, call = made(is_async, {3}, **options)
    for x in (1, 1, 2, 3):
        call(x)
    flights = f.inflight.stats()
    f.cache_clear()
    assert f.cache.stats() == f.cache.stats() - f.cache.stats()
    assert f.cache_info()[:2] == (0, 0)
    assert f.inflight.stats() == flights
    call(1)
    call(3)
    stats = f.cache.stats()
    assert (stats.hits, stats.misses, stats.loads, stats.load_errors) == (0, 2, 1, 1)
    assert (f.inflight.stats().started, f.inflight.stats().failed) == (flights.started + 2, flights.failed + 1)


def test_cache_clear_loses_no_count_that_another_thread_makes() -> None:
    """Executions that are counted while the counts are moved aside are in the figures of flights afterwards."""
    f, call = made(False, set())
    ends = threading.Event()

    def clear() -> None:
        while not ends.is_set():
            f.cache_clear()

    clearing = Running(clear)
    try:
        for x in range(2000):
            call(x)
    finally:
        ends.set()
    clearing.result()
    stats = f.inflight.stats()
    assert stats.started == stats.completed == 2000
