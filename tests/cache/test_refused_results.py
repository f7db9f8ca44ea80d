"""What becomes of the stored value when a newer one is refused, whatever for: one rule for each way that it comes."""

import logging
from typing import Any

import pytest
from kit.freshness import TTL, Make
from kit.shared_functions import MakeProcess

from memo import EvictionReason
from memo.testing import FakeClock

BAD = "bad" * 1000
"""What is refused; the others are not."""


def raises(value: str) -> bool:
    if value == BAD:
        raise LookupError("no opinion")
    return True


def prices(value: str) -> int:
    if value == BAD:
        raise LookupError("no price")
    return 10


REFUSALS: dict[str, dict[str, Any]] = {
    "not wanted": {"ttl": TTL, "cache_if": lambda value: value != BAD},
    "cache_if raises": {"ttl": TTL, "cache_if": raises},
    "no life": {"ttl": lambda value: 0 if value == BAD else TTL},
    "too large": {"ttl": TTL, "max_bytes": 2000, "sizeof": len},
    "not measurable": {"ttl": TTL, "max_bytes": 2000, "sizeof": prices},
}

refusals = pytest.mark.parametrize("options", REFUSALS.values(), ids=REFUSALS)
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What options raise is logged, which is not of interest here."""
    caplog.set_level(logging.CRITICAL, "memo")


def after_a_bad_one(name: str, number: int) -> str:
    return BAD if number == 2 else f"{name}{number}"


@refusals
def test_a_refused_refresh_drops_the_older_value(make_everywhere: Make, options: dict[str, Any]) -> None:
    """Who refreshed has seen a newer one: the next call loads, and the old one has left as replaced."""
    gone: list[Any] = []
    s = make_everywhere(**options, on_evict=lambda *what: gone.append(what[1:]))
    s.body.result = after_a_bad_one
    assert s() == "a1"
    refresh = s.reach().cache.refresh
    assert s.run(lambda: refresh("a")) == BAD
    assert gone == [("a1", EvictionReason.REPLACED)]
    assert s.cache.entry("a") is None
    assert (s(), s()) == ("a3", "a3")
    stats = s.cache.stats()
    assert (stats.refreshes, stats.rejected, stats.loads, stats.size) == (1, 1, 3, 1)


@refusals
def test_a_refused_put_drops_the_older_value(make_everywhere: Make, options: dict[str, Any]) -> None:
    """As a refused refresh does, and for the same reason."""
    gone: list[Any] = []
    s = make_everywhere(**options, on_evict=lambda *what: gone.append(what[1:]))
    assert s() == "a1"
    s.cache.put(BAD, "a")
    assert gone == [("a1", EvictionReason.REPLACED)]
    assert s.cache.put_many({"a": BAD}) == 0
    assert (s(), s()) == ("a2", "a2")
    assert s.cache.stats().rejected == 2


@refusals
@pytest.mark.parametrize("what", ["refresh", "put"])
def test_what_is_stale_leaves_for_it_too(make: Make, options: dict[str, Any], what: str) -> None:
    """No window keeps a value that a refused refresh or put is newer than."""
    s = make(**options, stale_if_error=1000, stale_while_revalidate=500)
    s.body.result = after_a_bad_one
    assert s() == "a1"
    s.clock.advance(TTL)
    if what == "put":
        s.cache.put(BAD, "a")
    else:
        assert s.run(lambda: s.cache.refresh("a")) == BAD
    s.body.error = LookupError()
    with pytest.raises(LookupError):
        s()


@refusals
def test_a_refused_load_in_the_background_leaves_the_stale_value(make: Make, options: dict[str, Any]) -> None:
    """It answers to the end of its windows, and the next load begins after ``error_ttl``, as after one that failed."""
    s = make(**options, stale_while_revalidate=20)
    s.body.result = after_a_bad_one
    assert s() == "a1"
    s.clock.advance(TTL)
    assert s() == "a1"
    s.settle()
    assert s.cache.stats().rejected == 1
    assert s() == "a1"
    s.settle()
    assert len(s.body.calls) == 2
    s.clock.advance(1)
    assert s() == "a1"
    s.settle()
    assert s() == "a3"


@refusals
def test_a_refused_load_of_a_call_leaves_the_stale_value(make: Make, options: dict[str, Any]) -> None:
    """The caller gets what was loaded, and the older value may stand in for a load that fails."""
    s = make(**options, stale_if_error=20)
    s.body.result = after_a_bad_one
    assert s() == "a1"
    s.clock.advance(TTL)
    assert s() == BAD
    s.body.error = LookupError()
    assert s() == "a1"
    s.clock.advance(20)
    with pytest.raises(LookupError):
        s()


@refusals
def test_the_terms_of_one_caller_take_nothing_from_others(make: Make, options: dict[str, Any]) -> None:
    """Where a call wants something newer, and that is refused, others still get what is fresh."""
    s = make(**options)
    s.body.result = after_a_bad_one
    assert s() == "a1"
    assert s.run(lambda: s.cache.within(max_age=0).call("a")) == BAD
    assert s() == "a1"


@refusals
def test_what_is_past_its_life_leaves(make: Make, options: dict[str, Any]) -> None:
    """A refused load of a call takes out what can answer nobody any more, as expired."""
    gone: list[Any] = []
    s = make(**options, on_evict=lambda *what: gone.append(what[1:]))
    s.body.result = after_a_bad_one
    assert s() == "a1"
    s.clock.advance(TTL)
    assert s() == BAD
    assert gone == [("a1", EvictionReason.EXPIRED)]


@refusals
def test_a_refused_refresh_that_was_overtaken_drops_nothing(make: Make, options: dict[str, Any]) -> None:
    """What was put during the refresh is newer, and stays."""
    s = make(**options)
    s.body.result = after_a_bad_one
    assert s() == "a1"
    gate = s.hold()
    refresh = s.cache.refresh
    running = s.begin(lambda: refresh("a"))
    s.until(gate.entered.is_set)
    s.cache.put("new", "a")
    gate.open()
    assert running.result() == BAD
    assert s() == "new"


def test_a_refused_refresh_is_everywhere(process: MakeProcess, paper_clock: FakeClock) -> None:
    """Neither the tier nor another process serves what it is newer than."""
    wanted = True
    one, other = process(cache_if=lambda value: wanted), process()
    assert (one("a"), other("a")) == ("a1", "a1")
    wanted = False
    assert one.refresh("a") == "a2"
    assert (one.has("a"), other.has("a")) == (None, None)
    assert other("a") == f"a{len(other.calls)}"
    assert len(other.calls) == 1
