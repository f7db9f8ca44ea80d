"""A time to live that depends on the value, with jitter."""

import math
import random
from datetime import timedelta
from typing import Any

import pytest
from kit.freshness import Make, warned


@pytest.mark.parametrize(
    ("life", "fresh_s"),
    [(5, 5), ("5s", 5), (timedelta(seconds=5), 5), (2.5, 2.5), (None, math.inf)],
)
def test_ttl_of_the_value(make_everywhere: Make, life: Any, fresh_s: float) -> None:
    """The function is called with the result, and what it returns is that result's ttl; None is no limit."""
    asked: list[Any] = []

    def ttl(value: Any) -> Any:
        asked.append(value)
        return life

    s = make_everywhere(ttl=ttl)
    assert s() == "a1"
    assert asked == ["a1"]
    s.clock.advance(1e9 if math.isinf(fresh_s) else fresh_s - 0.25)
    assert s() == "a1"
    if not math.isinf(fresh_s):
        assert s.cache.entry("a").expires_in == 0.25
        s.clock.advance(0.25)
        assert s() == "a2"
    else:
        assert s.cache.entry("a").expires_in is None


@pytest.mark.parametrize("life", [0, 0.0, "0s", timedelta(0)])
def test_a_ttl_of_zero_per_value_stores_nothing(make: Make, life: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The value is returned, counted as rejected, and nothing is logged."""
    s = make(ttl=lambda value: life)
    assert [s(), s()] == ["a1", "a2"]
    assert (s.cache.stats().rejected, len(s.cache)) == (2, 0)
    assert warned(caplog) == []


@pytest.mark.parametrize("life", ["-5m", "soon", True, math.nan, math.inf, "2h5", object()])
def test_a_bad_ttl_of_the_value_is_logged(make: Make, life: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The value is returned but not stored."""
    s = make(ttl=lambda value: life)
    assert [s(), s()] == ["a1", "a2"]
    assert s.cache.stats().rejected == 2
    assert len(warned(caplog)) == 2
    assert "ttl(value)" in warned(caplog)[0]


def test_a_raising_ttl_of_the_value_is_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The value is returned but not stored, by put() as well."""
    s = make(ttl=lambda value: 1 / 0)
    assert s() == "a1"
    s.cache.put("put", "a")
    assert len(s.cache) == 0
    assert len(warned(caplog)) == 2
    assert "ttl(value)" in warned(caplog)[0]


def test_stale_windows_begin_at_the_ttl_of_the_value(make: Make) -> None:
    """A value of two seconds is stale at two; one without limit never is."""
    s = make(ttl=lambda value: 2 if value == "a1" else None, stale_while_revalidate=4)
    s()
    s.clock.advance(2)
    assert s() == "a1"
    s.settle()
    s.clock.advance(1e6)
    assert s() == "a2"
    assert s.counts == (1, 1, 0, 1, 0)


@pytest.mark.parametrize("jitter", [0.1, 0.5, 0.99])
def test_jitter_spreads_lives_below_ttl(make: Make, jitter: float) -> None:
    """Each life is above ttl * (1 - jitter) and at most ttl; they differ; the seed of random decides."""
    s = make(ttl=100, jitter=jitter, max=300)

    def lives() -> list[float]:
        random.seed(7)
        s.cache.clear()
        for number in range(200):
            s(str(number))
        return [s.cache.entry(str(number)).expires_in for number in range(200)]

    first = lives()
    assert all(100 * (1 - jitter) <= life <= 100 for life in first)
    assert max(first) - min(first) > 100 * jitter * 0.8
    assert lives() == first


def test_jitter_shortens_the_ttl_of_the_value_but_no_endless_one(make: Make) -> None:
    """None remains no limit."""
    s = make(ttl=lambda value: None if value.startswith("x") else 100, jitter=0.5)
    s("x"), s("y")
    assert s.cache.entry("x").expires_in is None
    assert 50 <= s.cache.entry("y").expires_in <= 100


def test_windows_follow_a_shortened_life(make: Make) -> None:
    """The stale window is as long as was said, from wherever the life ended."""
    s = make(ttl=100, jitter=0.5, stale_if_error=20)
    s()
    life = s.cache.entry("a").expires_in
    s.body.error = LookupError()
    s.clock.advance(life)
    assert s() == "a1"
    s.clock.advance(19.5)
    assert s() == "a1"
    s.clock.advance(1)
    with pytest.raises(LookupError):
        s()
