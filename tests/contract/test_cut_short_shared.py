"""What an exception leaves that strikes a load or a change of a shared result: nobody has its leave, nothing is old."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest
from kit.paper_tier import PaperTier
from kit.shared_functions import KINDS, Process
from kit.strikes import Struck, StruckError, held_locks, locks_of, strike

from memo._decorated.stack import layers_of
from memo.testing import FakeClock, isolated

errors = pytest.mark.parametrize("error", [Struck, StruckError])
_STEP = {"plain": 4, "coroutine": 13, "caller": 9}
"""Of so many points each one is struck: there are many more in coroutines, and they are those of other tests, too."""


def each_strike(
    kind: str,
    error: type[BaseException],
    operation: Callable[[Process], object],
    prepare: Callable[[Process], object],
    step: int = 0,
) -> Any:
    """The process, its fellow, and where it was struck, for each point of *operation*; all locks are free."""
    at, where = 0, ""
    while where is not None:
        clock = FakeClock()
        one, other = Process(paper := PaperTier(clock), kind), Process(paper, kind)
        prepare(one)
        where, raised = strike(functools.partial(operation, one), at, error, below=kind != "plain")
        del raised
        assert not held_locks(locks_of(one.f, *layers_of(one.f), one.registry)), where
        yield one, other, where
        at += step or _STEP[kind]


@errors
@pytest.mark.parametrize("kind", KINDS)
def test_a_load_that_is_cut_short_gives_its_leave_back(kind: str, error: type[BaseException]) -> None:
    """And the next call loads, here or elsewhere."""
    count = 0
    for one, other, where in each_strike(kind, error, lambda one: _call(one), lambda one: None):
        assert one.link.tier.leases == {}, where
        assert one.f.inflight.pending() == [], where
        assert one("a") == other("a"), where
        stats = one.stats
        assert stats.loads == len(one.calls) or where, where
        count += 1
    assert count > 10


@errors
def test_a_load_that_adopts_and_is_cut_short(error: type[BaseException]) -> None:
    """Nothing runs, and the next call gets what is there."""

    def prepare(one: Process) -> None:
        fellow = Process(one.link.tier)
        fellow("a")

    for one, _, where in each_strike("plain", error, lambda one: one("a"), prepare):
        assert one.f.inflight.pending() == [], where
        assert one("a") == "a1", where
        assert one.calls == [], where


@errors
@pytest.mark.parametrize("change", ["invalidate", "clear", "put"])
def test_a_change_that_is_cut_short_leaves_nothing_old_beside_new(change: str, error: type[BaseException]) -> None:
    """What the tier was told is done here, too: where it has nothing, or the new value, the old one is not here."""

    def prepare(one: Process) -> None:
        one("a")

    def operation(one: Process) -> None:
        if change == "put":
            one.cache.put("new", "a")
        elif change == "clear":
            one.cache.clear()
        else:
            one.cache.invalidate("a")

    for one, other, where in each_strike("plain", error, operation, prepare):
        found = other("a")
        here = one.has("a")
        if other.calls:  # it was dropped there
            assert here is None, where
        elif found == "new":
            assert here in (None, "new"), where
        assert one("a") in ("a1", "a2", "new"), where


def test_isolation_that_is_cut_short_keeps_nobody_apart() -> None:
    """Once it is left, or was never entered, loads ask the tier again, and what was changed elsewhere is gone."""

    def operation(one: Process) -> None:
        with isolated(one.registry):
            one.link.local.drop(["a"])

    def prepare(one: Process) -> None:
        one("a")
        one("b")

    for one, _, where in each_strike("plain", Struck, operation, prepare, step=7):
        left = where is None or "_Isolation.__exit__ begins" not in where
        if left:
            del one.link.steps[:]
            one("c")
            assert one.link.steps == ["ask", "store"], where
            assert one.has("b") == "b2", where
        if where is None:
            assert one.has("a") is None


def _call(one: Process) -> Any:
    try:
        return one("a")
    except asyncio.CancelledError:
        return None
