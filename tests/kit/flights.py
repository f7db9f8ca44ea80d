"""Functions with running calls: every stack of decorators that has them, and what is to be true of their tables."""

from collections.abc import Callable
from typing import Any

import pytest

from kit.threads import Gate, Running, until
from memo import Registry, bounded, dedupe_inflight

__all__ = (
    "MAKERS",
    "Make",
    "assert_idle",
    "check_circle",
    "deduped",
    "deduped_remembered",
    "every_make",
    "lead_and_join",
    "remembered",
    "remembered_deduped",
    "single_make",
    "tables",
    "waiters",
)

Make = Callable[..., Any]


def waiters(function: Any) -> list[int]:
    """How many wait for each running call, longest running first."""
    return [flight.waiters for flight in function.inflight.pending()]


def deduped(function: Any, *, timeout: Any = 30, clock: Any = None) -> Any:
    """Single flight by itself."""
    return dedupe_inflight(timeout=timeout, clock=clock, registry=Registry())(function)


def remembered(function: Any, *, timeout: Any = 30, clock: Any = None) -> Any:
    """The loads of a cache."""
    return bounded(max=10_000, timeout=timeout, clock=clock, registry=Registry())(function)


def remembered_deduped(function: Any, *, timeout: Any = 30, clock: Any = None) -> Any:
    """A cache above single flight."""
    registry = Registry()
    inner = dedupe_inflight(timeout=timeout, clock=clock, registry=registry)(function)
    return bounded(max=10_000, timeout=timeout, clock=clock, registry=registry)(inner)


def deduped_remembered(function: Any, *, timeout: Any = 30, clock: Any = None) -> Any:
    """Single flight above a cache."""
    registry = Registry()
    inner = bounded(max=10_000, timeout=timeout, clock=clock, registry=registry)(function)
    return dedupe_inflight(timeout=timeout, clock=clock, registry=registry)(inner)


MAKERS = [deduped, remembered, remembered_deduped, deduped_remembered]

every_make = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)

single_make = pytest.mark.parametrize("make", MAKERS[:2], ids=lambda make: make.__name__)


def tables(function: Any) -> list[Any]:
    """The handles on running calls of every layer."""
    found = []
    while hasattr(function, "inflight"):
        found.append(function.inflight)
        function = function.__wrapped__
    return found


def assert_idle(function: Any) -> None:
    """No layer thinks that a call runs or waits."""
    for table in tables(function):
        stats = table.stats()
        assert (len(table), table.pending(), stats.active, stats.waiting, stats.oldest) == (0, [], 0, 0, None)


def lead_and_join(function: Any, gate: Gate, joiners: int, *args: Any) -> list[Running]:
    """Calls of *function* that share one flight, whose leader stands at *gate*."""
    running = [Running(lambda: function(*args), "leader")]
    gate.reached()
    running += [Running(lambda: function(*args)) for _ in range(joiners)]
    until(lambda: waiters(function) == [joiners])
    return running


def check_circle(results: list[int]) -> None:
    """Each of 1, 2, 3... needed the next one's result, and the last that of 1; each put its own digit at the end.

    The call that closes the circle runs straight through; whoever waits gets what the next one made.
    """
    size = len(results)
    straight = 0
    for number, result in enumerate(results, 1):
        following = number % size + 1
        assert result % 10 == number
        assert result // 10 in (results[following - 1], following)
        straight += result // 10 == following
    assert straight == 1
