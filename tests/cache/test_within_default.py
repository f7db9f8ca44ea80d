"""What one caller gets in place of an error: ``within(default=)``."""

import asyncio
import logging
from typing import Any

import pytest
from kit.freshness import ERRORS, SIE, TTL, Awaited, Make, warned


def answer(s: Any, default: Any, *span: Any, fresh: bool = False) -> Any:
    """The answer to a caller with a default."""
    limited = s.cache.within(*span, default=default)
    return s.run(lambda: (limited.fresh if fresh else limited.call)("a"))


@pytest.mark.parametrize("span", [(), (7,)], ids=["no limit", "limit"])
def test_a_default_answers_for_a_load_that_fails(
    make_everywhere: Make, span: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Any value, the very object; it is not stored, the failure is logged, and the call counts as the miss it is."""
    s = make_everywhere(ttl=TTL)
    s.body.error = LookupError("down")
    for default in (None, [], ValueError("a value")):
        with caplog.at_level(logging.WARNING, "memo"):
            assert answer(s, default, *span) is default
    assert [record.exc_info[1] for record in caplog.records] == [s.body.error] * 3
    assert len(s.cache) == 0
    stats = s.cache.stats()
    assert (stats.misses, stats.load_errors, stats.fallbacks, stats.requests) == (3, 3, 3, 3)
    s.body.error = None
    assert answer(s, None, *span) == "a4"
    assert answer(s, None, *span) == "a4"
    assert s.cache.stats().fallbacks == 3


def test_a_default_answers_for_a_load_that_is_slow(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The load goes on and is stored; one that fails later is logged."""
    s = make(ttl=TTL)
    gate = s.hold()
    with caplog.at_level(logging.WARNING, "memo"):
        calls = [s.begin(lambda: s.cache.within(7, default=None).call("a")) for _ in range(3)]
        s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 3)
        s.clock.advance(7)
        assert [call.result() for call in calls] == [None] * 3
        gate.open()
        s.settle()
        assert warned(caplog) == []
        assert s() == "a1"
        assert s.counts == (1, 1, 2, 0, 0)
        s.cache.clear()
        s.body.error = LookupError("down")
        gate = s.hold()
        call = s.begin(lambda: s.cache.within(7, default=None).call("a"))
        s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
        s.clock.advance(7)
        assert call.result() is None
        gate.open()
        s.settle()
    assert len(warned(caplog)) == 1
    assert s.cache.stats().fallbacks == 4


def test_a_failure_is_logged_only_if_no_caller_learns_of_it(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Once for many with a default; not where another who waited for the load gets its error."""
    for other, logged in ((None, 1), ("plain", 0)):
        s = make(ttl=TTL)
        s.body.error = LookupError("down")
        gate = s.hold()
        caplog.clear()
        with caplog.at_level(logging.WARNING, "memo"):
            calls = [s.begin(lambda s=s: s.cache.within(7, default=None).call("a")) for _ in range(3)]
            s.until(lambda gate=gate: gate.entered.is_set())
            s.until(lambda s=s: s.clock.waiting() == 3)
            if other:
                told = s.begin(lambda s=s: s.cache.within(7).call("a"))
                s.until(lambda s=s: s.clock.waiting() == 4)
            gate.open()
            assert [call.result() for call in calls] == [None] * 3
            if other:
                assert isinstance(told.error(), LookupError)
            s.settle()
        assert len(warned(caplog)) == logged


def test_what_is_stale_comes_before_a_default(make: Make) -> None:
    """Except for fresh(), whose caller takes the default rather than that."""
    s = make(**SIE)
    s()
    s.clock.advance(TTL)
    s.body.error = LookupError("down")
    assert answer(s, None) == "a1"
    s.clock.advance(2)
    assert answer(s, None, 7) == "a1"
    assert answer(s, None, 7, fresh=True) is None
    assert s.counts == (0, 2, 0, 2, 0)


@pytest.mark.parametrize("span", [(), (7,)], ids=["no limit", "limit"])
def test_a_default_answers_for_a_remembered_failure(make: Make, span: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It counts as the error hit it is, and nothing more is logged."""
    s = make(**ERRORS)
    s.body.error = LookupError("down")
    with pytest.raises(LookupError):
        s()
    with caplog.at_level(logging.WARNING, "memo"):
        assert answer(s, None, *span) is None
    assert warned(caplog) == []
    assert s.counts == (0, 1, 0, 0, 1)


def test_a_default_hides_no_mistake_in_the_call(make: Make) -> None:
    """Arguments that cannot be hashed, or do not fit, raise as ever."""
    s = make()
    limited = s.cache.within(7, default=None)
    for args in (([],), (), ("a", "b")):
        with pytest.raises(TypeError):
            s.run(lambda args=args: limited.call(*args))
    assert s.counts == (0, 0, 0, 0, 0)


@pytest.mark.parametrize("span", [(), (7,)], ids=["no limit", "limit"])
def test_a_default_is_for_exceptions_alone(make: Make, span: Any) -> None:
    """What else ends a load ends the call."""
    s = make()
    s.body.error = asyncio.CancelledError() if s.is_async else SystemExit(3)
    with pytest.raises(type(s.body.error)):
        answer(s, None, *span)
    assert s.cache.stats().fallbacks == 0


@pytest.mark.parametrize("span", [(), (7,)], ids=["no limit", "limit"])
def test_a_cancelled_caller_gets_no_default(make: Make, span: Any) -> None:
    """He leaves alone: another who waits with a default gets the value."""
    s = make()
    if not s.is_async:
        pytest.skip("threads are not cancelled")
    gate = s.hold()
    leaver: Awaited = s.begin(lambda: s.cache.within(*span, default=None).call("a"))
    s.until(gate.entered.is_set)
    stayer: Awaited = s.begin(lambda: s.cache.within(*span, default=None).call("a"))
    s.until(lambda: s.clock.waiting() == 2 if span else s.cache.inflight.stats().waiting == 1)
    leaver.task.cancel()
    assert isinstance(leaver.error(), asyncio.CancelledError)
    gate.open()
    assert stayer.result() == "a1"
    assert s.counts == (0, 1, 1, 0, 0)
    assert s.cache.stats().fallbacks == 0


def test_a_function_that_is_switched_off_has_no_default(make: Make) -> None:
    """The call goes straight to it, and raises what it raises."""
    s = make()
    s.body.error = LookupError("down")

    async def off() -> Any:
        with s.registry.disabled():
            return await s.cache.within(7, default=None).call("a")

    if s.is_async:
        with pytest.raises(LookupError):
            s.run(off)
    else:
        with s.registry.disabled(), pytest.raises(LookupError):
            s.cache.within(7, default=None).call("a")
    assert s.cache.stats().fallbacks == 0
