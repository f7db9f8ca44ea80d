"""What answers every caller in place of an error: ``fallback=`` and ``fallback_on=``."""

import asyncio
import logging
import threading
from typing import Any

import pytest
from kit.freshness import ERRORS, SIE, TTL, Make, failing, warned

from memo import InflightTimeout, bounded


def test_a_value_answers_for_a_load_that_fails(make_everywhere: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The very object, each time; nothing is stored, the failure is logged, the call counts as the miss it is."""
    value = {"name": "somebody"}
    s = failing(make_everywhere, ttl=TTL, fallback=value)
    with caplog.at_level(logging.WARNING, "memo"):
        assert s() is s() is value
    assert [record.exc_info[1] for record in caplog.records] == [s.body.error] * 2
    assert "a fallback answers" in warned(caplog)[0]
    assert len(s.cache) == 0
    stats = s.cache.stats()
    assert (stats.misses, stats.load_errors, stats.fallbacks, stats.requests) == (2, 2, 2, 2)
    s.body.error = None
    assert s() == "a3"
    assert s() == "a3"
    assert s.cache.stats().fallbacks == 2


def test_none_is_a_fallback(make: Make) -> None:
    """And copy= applies to a value, since all callers would share it."""
    assert failing(make, fallback=None)() is None
    value: list[int] = []
    s = failing(make, fallback=value, copy="shallow")
    first = s()
    assert first == []
    assert first is not s() is not value


def test_it_answers_for_a_remembered_failure(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Which counts as the error hit it is, and is logged no more."""
    s = failing(make, **ERRORS, fallback=lambda name: name.upper())
    assert s() == "A"
    caplog.clear()
    with caplog.at_level(logging.WARNING, "memo"):
        assert s() == "A"
        assert s.run(lambda: s.cache.within(7).call("a")) == "A"
    assert warned(caplog) == []
    assert s.counts == (0, 1, 0, 0, 2)


def test_what_is_stale_comes_first(make: Make) -> None:
    """The fallback answers once nothing stale may; also where soft_timeout has begun the load."""
    s = make(**SIE, soft_timeout=5, fallback="fallback")
    assert s() == "a1"
    s.body.error = LookupError("down")
    s.clock.advance(TTL)
    assert s() == "a1"
    s.clock.advance(20)
    assert s() == "fallback"
    assert s.counts == (0, 2, 0, 1, 0)


def test_it_answers_a_first_call_after_soft_timeout(make_everywhere: Make) -> None:
    """Without a ttl, too: the load goes on and is stored; those who insist on a load wait for it."""
    s = make_everywhere(soft_timeout=5, fallback="fallback")
    gate = s.hold()
    hasty = [s.begin() for _ in range(2)]
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 2)
    patient = s.begin(lambda: s.cache.fresh("a"))
    s.until(lambda: s.cache.inflight.stats().waiting == 1)
    s.clock.advance(5)
    assert [call.result() for call in hasty] == ["fallback"] * 2
    gate.open()
    assert patient.result() == "a1"
    s.settle()
    assert s() == "a1"
    assert s.cache.stats().fallbacks == 2
    assert s.counts == (1, 1, 2, 0, 0)


def test_it_answers_once_what_was_stale_is_over(make: Make) -> None:
    """While a caller waits for soft_timeout the stale value comes to its end."""
    s = make(ttl=TTL, stale_if_error=3, soft_timeout=5, fallback="fallback")
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    call = s.begin()
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    s.clock.advance(5)
    assert call.result() == "fallback"
    gate.open()
    s.settle()
    assert s() == "a2"


def test_it_answers_where_a_load_times_out(make: Make) -> None:
    """Those who joined it, and of a coroutine function the first caller, too."""
    s = make(timeout=5, fallback=lambda name: name.upper())
    gate = s.hold()
    first = s.begin()
    s.until(gate.entered.is_set)
    joined = s.begin()
    s.until(lambda: s.cache.inflight.stats().waiting == 1)
    s.clock.advance(5)
    assert joined.result() == "A"
    gate.open()
    assert first.result() == ("A" if s.is_async else "a1")
    s.settle()


def test_it_answers_a_limited_caller(make: Make) -> None:
    """In his own thread, when the load is slow, or has failed; his own default comes first."""
    ran: list[threading.Thread] = []

    def fallback(name: str) -> str:
        ran.append(threading.current_thread())
        return name.upper()

    s = make(fallback=fallback)
    gate = s.hold()
    hasty = s.begin(lambda: s.cache.within(7).call("a"))
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    s.clock.advance(7)
    assert hasty.result() == "A"
    gate.open()
    s.settle()
    s.cache.clear()
    s.body.error = LookupError("down")
    ran.clear()
    assert s.run(lambda: s.cache.within(7).call("a")) == "A"
    assert ran == [threading.current_thread()]
    assert s.run(lambda: s.cache.within(7, default=None).call("a")) is None
    assert len(ran) == 1


def test_those_who_insist_on_a_load_get_its_error(make: Make) -> None:
    """refresh(), fresh() and the fresh() of within(): the old value stays."""
    s = make(fallback="fallback")
    s()
    s.body.error = LookupError("down")
    with pytest.raises(LookupError):
        s.run(lambda: s.cache.refresh("a"))
    for limited in (s.cache, s.cache.within(7), s.cache.within(max_age=0)):
        with pytest.raises(LookupError):
            s.run(lambda limited=limited: limited.fresh("b"))
    assert s() == "a1"
    assert s.cache.stats().fallbacks == 0


def test_it_is_for_the_named_exceptions(make: Make) -> None:
    """Others are raised; a timeout is an InflightTimeout."""
    s = make(fallback=None, fallback_on=(KeyError, OSError), timeout=5)
    for error, answered in ((KeyError("k"), True), (FileNotFoundError(), True), (LookupError(), False)):
        s.body.error = error
        if answered:
            assert s() is None
        else:
            with pytest.raises(LookupError):
                s()
    s.body.error = None
    gate = s.hold()
    first = s.begin()
    s.until(gate.entered.is_set)
    joined = s.begin()
    s.until(lambda: s.cache.inflight.stats().waiting == 1)
    s.clock.advance(5)
    assert joined.result() is None  # TimeoutError is an OSError
    gate.open()
    first.result()
    s.settle()

    s = make(fallback=None, fallback_on=KeyError, soft_timeout=5)  # which it is not for
    gate = s.hold()
    first = s.begin()
    s.until(gate.entered.is_set)
    hasty = s.begin(lambda: s.cache.within(7).call("a"))
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    s.clock.advance(7)
    assert isinstance(hasty.error(), InflightTimeout)
    gate.open()
    assert first.result() == "a1"
    s.settle()


def test_it_is_for_exceptions_alone(make: Make) -> None:
    """What else ends a load ends the call, and arguments that cannot be hashed are a mistake."""
    s = make(fallback=None)
    s.body.error = asyncio.CancelledError() if s.is_async else SystemExit(3)
    with pytest.raises(type(s.body.error)):
        s()
    with pytest.raises(TypeError, match="unhashable"):
        s([])
    with pytest.raises(TypeError):
        s.run(lambda: s.reach()())
    assert s.cache.stats().fallbacks == 0


def test_it_is_not_asked_while_the_function_is_switched_off(make: Make) -> None:
    """Calls go straight to the function."""
    s = failing(make, fallback=None)

    async def off() -> Any:
        with s.registry.disabled():
            return await s.reach()("a")

    if s.is_async:
        with pytest.raises(LookupError):
            s.run(off)
    else:
        with s.registry.disabled(), pytest.raises(LookupError):
            s()


def test_what_the_decorator_was_told_is_shown() -> None:
    """Its repr names a fallback that was given, None too, and none else."""
    assert repr(bounded(max=8, fallback=None)) == "bounded(max=8, fallback=None)"
    assert repr(bounded(max=8)) == "bounded(max=8)"
