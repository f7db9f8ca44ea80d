"""A stale value is served when the load fails, or takes too long."""

import asyncio
import logging

import pytest
from kit.freshness import (
    SIE,
    TTL,
    Make,
    warned,
)

from memo import InflightTimeout

# -- stale_if_error


def test_a_failing_load_is_answered_stale_and_not_tried_again_for_a_while(
    make_everywhere: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Within the window: one attempt, the stale value, a pause of error_ttl, the next attempt; after it the error."""
    s = make_everywhere(**SIE)
    s()
    s.body.error = LookupError("down")
    s.clock.advance(TTL)
    with caplog.at_level(logging.WARNING, "memo"):
        assert s() == "a1"
    assert len(warned(caplog)) == 1
    assert len(s.body.calls) == 2
    assert [s(), s()] == ["a1"] * 2
    s.clock.advance(0.5)
    assert s() == "a1"
    assert len(s.body.calls) == 2
    s.clock.advance(0.5)
    assert s() == "a1"
    assert len(s.body.calls) == 3
    s.clock.advance(18.5)
    assert s() == "a1"
    s.clock.advance(0.5)
    assert len(s.body.calls) == 4
    with pytest.raises(LookupError, match="down"):
        s()
    assert s.counts == (0, 2, 0, 6, 0)
    s.body.error = None
    assert s() == "a6"
    stats = s.cache.stats()
    assert (stats.loads, stats.load_errors, stats.refreshes) == (2, 4, 0)


def test_a_load_that_succeeds_within_the_window_is_answered_fresh(make: Make) -> None:
    """Past ttl the caller loads himself, as without the option."""
    s = make(**SIE)
    s()
    s.clock.advance(TTL)
    assert s() == "a2"
    assert s.counts == (0, 2, 0, 0, 0)


def test_base_exceptions_are_not_answered_stale(make: Make) -> None:
    """What ends a call rather than failing it reaches the caller."""
    s = make(**SIE)
    s()
    s.clock.advance(TTL)
    s.body.error = asyncio.CancelledError() if s.is_async else GeneratorExit()
    with pytest.raises(type(s.body.error)):
        s()
    s.body.error = None
    assert s() == "a3"


def test_a_timed_out_load_is_answered_stale_for_joiners(make: Make) -> None:
    """Joiners, and the leader of a coroutine, get the stale value instead of InflightTimeout."""
    s = make(**SIE, timeout=5)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    leader = s.begin()
    s.until(gate.entered.is_set)
    joiners = [s.begin() for _ in range(3)]
    s.until(lambda: [flight.waiters for flight in s.cache.inflight.pending()] == [3])
    s.clock.advance(5)
    assert [joiner.result() for joiner in joiners] == ["a1"] * 3
    gate.open()
    assert leader.result() == ("a1" if s.is_async else "a2")
    assert s.counts == (0, 1, 0, 4, 0) if s.is_async else (0, 2, 0, 3, 0)
    assert s() == "a1"


def test_without_a_stale_value_a_timeout_raises(make: Make) -> None:
    """Past the window InflightTimeout is raised as without the option."""
    s = make(**SIE, timeout=5)
    s()
    s.clock.advance(TTL + 20)
    gate = s.hold()
    leader = s.begin()
    s.until(gate.entered.is_set)
    joiner = s.begin()
    s.until(lambda: [flight.waiters for flight in s.cache.inflight.pending()] == [1])
    s.clock.advance(5)
    assert isinstance(joiner.error(), InflightTimeout)
    gate.open()
    if s.is_async:
        assert isinstance(leader.error(), InflightTimeout)
    else:
        assert leader.result() == "a2"


def test_both_windows_follow_one_another(make: Make) -> None:
    """Within stale_while_revalidate the answer is immediate; beyond it, within stale_if_error, the caller loads."""
    s = make(ttl=TTL, stale_while_revalidate=5, stale_if_error=20)
    s()
    s.body.error = LookupError()
    s.clock.advance(TTL)
    assert s() == "a1"
    s.settle()
    assert len(s.body.calls) == 2
    s.clock.advance(5)
    assert s() == "a1"
    assert len(s.body.calls) == 3
    assert s() == "a1"
    assert len(s.body.calls) == 3
    s.clock.advance(15)
    with pytest.raises(LookupError):
        s()
    assert s.counts == (0, 2, 0, 3, 0)


# -- soft_timeout


def test_a_slow_load_is_answered_stale_after_soft_timeout_and_stored_later(make_everywhere: Make) -> None:
    """The caller gets the stale value when the time is over; the load goes on, and its value answers from then on."""
    s = make_everywhere(**SIE, soft_timeout=7)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    calls = [s.begin() for _ in range(3)]
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 3)
    s.clock.advance(6.5)
    s.until(lambda: s.clock.waiting() == 3)
    s.clock.advance(0.5)
    assert [call.result() for call in calls] == ["a1"] * 3
    assert s.counts == (0, 1, 0, 3, 0)
    assert len(s.body.calls) == 2
    gate.open()
    s.settle()
    assert s() == "a2"
    assert s.counts == (1, 1, 0, 3, 0)
    stats = s.cache.stats()
    assert (stats.loads, stats.refreshes) == (2, 1)


def test_a_fast_load_is_answered_fresh_under_soft_timeout(make_everywhere: Make) -> None:
    """The load ends within the time: its value answers, and the call counts as a miss."""
    s = make_everywhere(**SIE, soft_timeout=7)
    s()
    s.clock.advance(TTL)
    assert s() == "a2"
    assert s.counts == (0, 2, 0, 0, 0)
    assert s.cache.stats().loads == 2


def test_joiners_under_soft_timeout_count_as_joins(make: Make) -> None:
    """Of those who wait for one load that ends in time, one counts as a miss and the others as joins."""
    s = make(**SIE, soft_timeout=7)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    calls = [s.begin() for _ in range(4)]
    s.until(lambda: s.clock.waiting() == 4)
    gate.open()
    assert [call.result() for call in calls] == ["a2"] * 4
    assert s.counts == (0, 2, 3, 0, 0)


def test_a_load_that_fails_within_soft_timeout_is_answered_stale(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The failure is logged once, however many were answered stale for it; then the pause holds."""
    s = make(**SIE, soft_timeout=7)
    s()
    s.clock.advance(TTL)
    s.body.error = LookupError("down")
    gate = s.hold()
    calls = [s.begin() for _ in range(3)]
    s.until(lambda: s.clock.waiting() == 3)
    with caplog.at_level(logging.WARNING, "memo"):
        gate.open()
        assert [call.result() for call in calls] == ["a1"] * 3
        s.settle()
    assert len(warned(caplog)) == 1
    assert s() == "a1"
    assert len(s.body.calls) == 2
    assert s.counts == (0, 1, 0, 4, 0)


def test_a_load_that_fails_after_soft_timeout_is_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for it any more, so the log tells."""
    s = make(**SIE, soft_timeout=7)
    s()
    s.clock.advance(TTL)
    s.body.error = LookupError("down")
    gate = s.hold()
    call = s.begin()
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    s.clock.advance(7)
    assert call.result() == "a1"
    with caplog.at_level(logging.WARNING, "memo"):
        gate.open()
        s.settle()
    assert len(warned(caplog)) == 1
    assert s() == "a1"
    assert len(s.body.calls) == 2


def test_a_window_that_ends_within_soft_timeout_makes_the_caller_wait_for_the_load(make: Make) -> None:
    """No value is served past its window, and a call without terms of its own does not time out."""
    s = make(**SIE, soft_timeout=7)
    s()
    s.clock.advance(TTL + 15)
    gate = s.hold()
    call = s.begin()
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    s.clock.advance(7)
    s.until(lambda: [flight.waiters for flight in s.cache.inflight.pending()] == [1])
    gate.open()
    assert call.result() == "a2"
    assert sum(s.counts) == 2


def test_within_stale_while_revalidate_soft_timeout_does_not_wait(make: Make) -> None:
    """The answer there is immediate."""
    s = make(ttl=TTL, stale_while_revalidate=5, stale_if_error=20, soft_timeout=7)
    s()
    s.clock.advance(TTL)
    s.hold()
    assert s() == "a1"
    assert s.counts == (0, 1, 0, 1, 0)


def test_without_a_stale_value_soft_timeout_does_nothing(make: Make) -> None:
    """A first call, and one past the window, wait for the load."""
    s = make(**SIE, soft_timeout=7)
    gate = s.hold()
    call = s.begin()
    s.until(gate.entered.is_set)
    s.clock.advance(100)
    gate.open()
    assert call.result() == "a1"
    assert s.counts == (0, 1, 0, 0, 0)
