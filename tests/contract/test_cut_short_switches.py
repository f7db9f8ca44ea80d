"""What an exception that strikes a switch, a test's clock or an adopted cache at any point leaves as it was."""

import functools
import gc
import threading

import cachetools
import pytest
from kit.strikes import held_locks, locks_of, strike

from memo import Registry, bounded
from memo._base.clock import default_clock
from memo._cache.refresh_pool import is_ending
from memo.testing import FakeClock


def test_a_block_that_is_entered_or_left_in_part() -> None:
    """No function is off after it, and none looks at the switch any more."""
    at = 0
    where: str | None = ""
    while where is not None:
        here = Registry()
        f = bounded(max=3, registry=here)(lambda x: x)
        f(1)

        def block(here: Registry = here) -> None:
            with here.disabled():
                pass

        where, raised = strike(block, at)
        assert not held_locks(locks_of(here, f)), where
        del raised
        if where is None or "SwitchedOff.__exit__ begins" not in where:  # which leaves it entered
            assert not here._switches, where
            hits = f.cache.stats().hits
            assert f(1) == 1, where
            assert f.cache.stats().hits == hits + 1, where
        at += 1


def test_a_clock_that_is_installed_in_part_is_not_installed() -> None:
    """Nor is one that is uninstalled in part left for any function."""
    gc.unfreeze()  # functions of other tests are told, too, each some instructions: those that are garbage go
    gc.collect()
    before = default_clock()
    f = bounded(max=3, registry=Registry())(lambda x: x)
    f(1)
    for operation in (FakeClock.install, FakeClock.uninstall):
        at = 0
        where: str | None = ""
        while where is not None:
            clock = FakeClock()
            if operation is FakeClock.uninstall:
                clock.install()
            where, raised = strike(functools.partial(operation, clock), at)
            if where is not None and operation is FakeClock.install:
                assert default_clock() is before, where
            del raised
            clock.uninstall()
            assert default_clock() is before, where
            assert f(1) == 1, where
            at += 1


def test_an_advance_that_is_cut_short_gets_there() -> None:
    """Whom it was to wake is woken, in order, and the next advance goes on from there."""
    at = 0
    where: str | None = ""
    while where is not None:
        clock, woken = FakeClock(0.0), []  # type: ignore[var-annotated]
        clock.call_at(3.0, functools.partial(woken.append, "late"))
        clock.call_at(1.0, functools.partial(woken.append, "early"))
        revoke = clock.call_at(2.0, functools.partial(woken.append, "never"))
        revoke()
        where, _ = strike(functools.partial(clock.advance, 2.0), at)
        if clock() == 2.0:
            assert list(dict.fromkeys(woken)) == ["early"], where
            clock.advance(2.0)
        else:
            assert clock() == 0.0, where  # it had not begun
            clock.advance(4.0)
        assert clock() == 4.0, where
        assert list(dict.fromkeys(woken)) == ["early", "late"], where
        assert not clock.waiting(), where
        at += 1


@pytest.mark.parametrize("lock", [threading.Lock, threading.RLock, threading.Condition])
def test_the_lock_of_an_adopted_cache_is_given_back(lock: type) -> None:
    """Whatever is struck of a look at it."""
    here, cache, guard = Registry(), cachetools.TTLCache(3, 60), lock()  # type: ignore[var-annotated]
    cache["a"] = 1
    record = here.adopt(cache, name="cache", lock=guard)
    for operation in (here.stats, here.cleanup, here.clear, record.adopted.clear):
        at = 0
        where: str | None = ""
        while where is not None:
            where, raised = strike(operation, at)
            assert not held_locks([getattr(guard, "_lock", guard)]), where
            del raised
            at += 1


def test_a_question_whether_the_program_ends_changes_no_answer() -> None:
    """Struck at whichever instruction, it leaves the main thread known to be alive."""
    at = 0
    where: str | None = ""
    while where is not None:
        where, _ = strike(is_ending, at)
        assert threading.main_thread().is_alive(), where
        assert not is_ending(), where
        at += 1
    assert at > 1
