"""Terms of a caller's own: how long to wait, how old a value may be."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest
from kit.freshness import SIE, SWR, TTL, Make
from kit.threads import depth_of

from memo import InflightTimeout


def test_within_gives_a_value_that_comes_in_time(make_everywhere: Make) -> None:
    """On functions without any stale option: a miss, a hit, and a value that comes late for this caller alone."""
    s = make_everywhere(ttl=TTL)
    assert s.run(lambda: s.cache.within(7).call("a")) == "a1"
    assert s.run(lambda: s.cache.within(7).call(name="a")) == "a1"
    assert s() == "a1"
    assert s.counts == (2, 1, 0, 0, 0)
    s.clock.advance(TTL)
    gate = s.hold()
    hasty = s.begin(lambda: s.cache.within("7s").call("a"))
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    patient = s.begin()
    s.until(lambda: sum(flight.waiters for flight in s.cache.inflight.pending()) == 1)
    s.clock.advance(7)
    error = hasty.error()
    assert isinstance(error, InflightTimeout)
    assert "within the 7 s" in str(error)
    assert (error.key, error.timeout) == (s.cache._key(("a",), {}), 7)
    gate.open()
    assert patient.result() == "a2"
    assert s.counts == (2, 2, 1, 0, 0)
    assert s() == "a2"


def test_within_answers_stale_where_that_is_allowed(make: Make) -> None:
    """Time over: call() answers stale inside stale_if_error, fresh() raises there too."""
    s = make(**SIE)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    stale = s.begin(lambda: s.cache.within(7).call("a"))
    fresh = s.begin(lambda: s.cache.within(7).fresh("a"))
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 2)
    s.clock.advance(7)
    assert stale.result() == "a1"
    assert isinstance(fresh.error(), InflightTimeout)
    gate.open()
    s.settle()
    assert s.run(lambda: s.cache.within(7).fresh("a")) == "a2"
    assert sum(s.counts) == 4


def test_within_answers_at_once_inside_stale_while_revalidate(make: Make) -> None:
    """call() begins the background load and does not wait; fresh() waits for it."""
    s = make(**SWR)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    assert s.run(lambda: s.cache.within(7).call("a")) == "a1"
    fresh = s.begin(lambda: s.cache.within(7).fresh("a"))
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    gate.open()
    assert fresh.result() == "a2"
    assert len(s.body.calls) == 2
    assert s.counts == (0, 1, 1, 1, 0)


def test_a_value_that_was_put_meanwhile_answers_when_the_time_is_over(make: Make) -> None:
    """It counts as a hit; the load that it overtook is fenced."""
    s = make(ttl=TTL)
    gate = s.hold()
    call = s.begin(lambda: s.cache.within(7).call("a"))
    s.until(lambda: gate.entered.is_set() and s.clock.waiting() == 1)
    s.cache.put("put", "a")
    s.clock.advance(7)
    assert call.result() == "put"
    assert s.counts == (1, 0, 0, 0, 0)
    gate.open()
    s.settle()
    assert s() == "put"


def test_fresh_accepts_no_stale_value(make_everywhere: Make) -> None:
    """A fresh value is a hit; else it loads, and raises what the load raises."""
    s = make_everywhere(ttl=TTL, stale_while_revalidate=20, stale_if_error=20)
    assert s.run(lambda: s.cache.fresh("a")) == "a1"
    assert s.run(lambda: s.cache.fresh("a")) == "a1"
    s.clock.advance(TTL)
    assert s.run(lambda: s.cache.fresh("a")) == "a2"
    s.clock.advance(TTL)
    s.body.error = LookupError("down")
    with pytest.raises(LookupError, match="down"):
        s.run(lambda: s.cache.fresh("a"))
    assert s.counts == (1, 3, 0, 0, 0)
    assert s() == "a2"


def test_get_is_a_plain_call(make_everywhere: Make) -> None:
    """It answers and counts as the decorated function does."""
    s = make_everywhere(**SWR)
    assert s.run(lambda: s.cache.call("a")) == "a1"
    assert s() == "a1"
    s.clock.advance(TTL)
    assert s.run(lambda: s.cache.call(name="a")) == "a1"
    s.settle()
    assert s.counts == (1, 1, 0, 1, 0)


def test_a_failure_within_the_time_is_raised(make: Make) -> None:
    """With its traceback as the load left it, of the same depth each time."""
    s = make(ttl=TTL)
    depths = set()
    for _ in range(20):
        s.body.error = LookupError("down")
        with pytest.raises(LookupError, match="down") as caught:
            s.run(lambda: s.cache.within(7).call("a"))
        depths.add(depth_of(caught.value))
        assert "raise self.error" in "".join(traceback.format_exception(caught.value))
    assert len(depths) == 1
    assert s.counts == (0, 20, 0, 0, 0)


def test_within_goes_straight_to_a_function_that_is_switched_off(make: Make) -> None:
    """within() and fresh() obey registry.disabled() as calls do."""
    s = make(ttl=TTL)
    s()

    async def off(call: Callable[[], Any]) -> Any:
        with s.registry.disabled():
            return await call()

    for call in (lambda: s.cache.within(7).call("a"), lambda: s.cache.fresh("a"), lambda: s.cache.call("a")):
        if s.is_async:
            s.run(lambda call=call: off(call))
        else:
            with s.registry.disabled():
                call()
    assert len(s.body.calls) == 4
    assert s.counts == (0, 1, 0, 0, 0)


@pytest.mark.parametrize(("span", "error"), [(0, ValueError), ("5x", ValueError), (True, TypeError), (None, TypeError)])
def test_a_bad_limit_is_refused_at_once(make: Make, span: Any, error: type[Exception]) -> None:
    """within() itself raises, and names itself and the value."""
    s = make()
    with pytest.raises(error, match="within") as caught:
        s.cache.within(span)
    assert repr(span) in str(caught.value)


def test_a_limited_call_says_what_it_is(make: Make) -> None:
    """Its repr names the function and the limit."""
    assert repr(make().cache.within("50ms")).endswith("fetch within 0.05 s>")
