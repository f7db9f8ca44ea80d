"""A stale value is served while one load renews it."""

import contextvars
import logging
from typing import Any

import pytest
from kit.freshness import SWR, TTL, Make, warned

from memo import EvictionReason
from memo.testing import isolated

# -- stale_while_revalidate


def test_a_stale_value_answers_at_once_and_is_replaced(make_everywhere: Make) -> None:
    """At exactly ttl the old value answers while one load runs, whose value answers from then on as a hit."""
    gone: list[Any] = []
    s = make_everywhere(**SWR, on_evict=lambda *what: gone.append(what))
    assert s() == "a1"
    s.clock.advance(TTL - 0.5)
    assert s() == "a1"
    assert s.counts == (1, 1, 0, 0, 0)
    s.clock.advance(0.5)
    gate = s.hold()
    assert [s(), s(), s()] == ["a1"] * 3
    s.until(gate.entered.is_set)
    assert s.body.calls == ["a", "a"]
    assert gone == []
    assert s.counts == (1, 1, 0, 3, 0)
    gate.open()
    s.settle()
    assert gone == [("a", "a1", EvictionReason.REPLACED)]
    assert [s(), s()] == ["a2"] * 2
    stats = s.cache.stats()
    assert s.counts == (3, 1, 0, 3, 0)
    assert (stats.loads, stats.load_errors, stats.refreshes) == (2, 0, 1)


def test_at_exactly_the_end_of_the_window_the_value_is_expired(make_everywhere: Make) -> None:
    """Just before ttl + window the stale value answers; exactly there the caller loads himself."""
    s = make_everywhere(**SWR)
    s()
    s.hold()
    s.clock.advance(TTL + 19.5)
    assert s() == "a1"
    s.body.gate.open()  # type: ignore[union-attr]
    s.settle()
    s.body.gate = None
    assert s() == "a2"
    s.clock.advance(TTL + 20)
    assert s() == "a3"
    assert s.counts == (1, 2, 0, 1, 0)


def test_a_failing_background_load_is_logged_and_tried_again_after_error_ttl(
    make_everywhere: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """The old value stays until its window ends; attempts are a second apart; then the error is raised."""
    s = make_everywhere(**SWR)
    s()
    s.body.error = LookupError("down")
    s.clock.advance(TTL)
    with caplog.at_level(logging.WARNING, "memo"):
        assert s() == "a1"
        s.settle()
    assert len(warned(caplog)) == 1
    assert "fetch" in warned(caplog)[0]
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].exc_info[1] is not None
    assert repr(caplog.records[0].exc_info[1]) == "LookupError('down')"
    assert [s(), s()] == ["a1"] * 2
    s.settle()
    assert len(s.body.calls) == 2
    s.clock.advance(0.999)
    assert s() == "a1"
    s.settle()
    assert len(s.body.calls) == 2
    s.clock.advance(0.001)
    assert s() == "a1"
    s.settle()
    assert len(s.body.calls) == 3
    s.clock.advance(19)
    with pytest.raises(LookupError, match="down"):
        s()
    assert s.counts == (0, 2, 0, 5, 0)
    stats = s.cache.stats()
    assert (stats.loads, stats.load_errors, stats.refreshes) == (1, 3, 2)


def test_error_ttl_is_the_pause_between_attempts(make: Make) -> None:
    """With error_ttl=5 the second attempt begins five seconds after the first failed."""
    s = make(**SWR, error_ttl=5)
    s()
    s.body.error = LookupError()
    s.clock.advance(TTL)
    s()
    s.settle()
    s.clock.advance(4.5)
    s()
    s.settle()
    assert len(s.body.calls) == 2
    s.clock.advance(0.5)
    s.body.error = None
    s()
    s.settle()
    assert len(s.body.calls) == 3
    assert s() == "a3"


def test_the_background_load_runs_in_the_context_of_the_caller_that_began_it(make: Make) -> None:
    """It sees that caller's context variables, and what it sets there the caller does not see."""
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who")
    s = make(**SWR)
    s()
    s.clock.advance(TTL)
    seen: list[Any] = []

    def result(name: str, number: int) -> Any:
        seen.append(who.get(None))
        who.set("load")
        return number

    s.body.result = result
    gate = s.hold()

    def as_caller(name: str) -> Any:
        who.set(name)
        call = s.reach()("a")
        return call, name

    async def as_async_caller(name: str) -> Any:
        who.set(name)
        return await s.reach()("a"), who.get()

    if s.loop is None:
        contexts = [contextvars.copy_context() for _ in range(2)]
        assert [c.run(as_caller, n) for c, n in zip(contexts, ("first", "second"), strict=True)] == [
            ("a1", "first"),
            ("a1", "second"),
        ]
        s.until(gate.entered.is_set)
        gate.open()
        s.settle()
        assert [c[who] for c in contexts] == ["first", "second"]
    else:
        assert s.run(lambda: as_async_caller("first")) == ("a1", "first")
        assert s.run(lambda: as_async_caller("second")) == ("a1", "second")
        gate.open()
        s.settle()
    assert seen == ["first"]
    assert who.get(None) is None


def test_a_lost_background_load_is_noticed_after_a_second(make: Make) -> None:
    """A lease of a second keeps others from beginning one; then a call looks whether it runs, and it does."""
    s = make(**SWR)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    s()
    s.until(gate.entered.is_set)
    for _ in range(5):
        s.clock.advance(1)
        assert s() == "a1"
    assert len(s.body.calls) == 2
    gate.open()
    s.settle()
    assert s() == "a2"


def test_a_background_load_past_timeout_is_given_up_and_another_begins(make: Make) -> None:
    """The stale value goes on answering, and the next attempt comes after the pause."""
    s = make(**SWR, timeout=3)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    assert s() == "a1"
    s.until(gate.entered.is_set)
    s.clock.advance(3)
    assert s() == "a1"
    s.until(lambda: not s.cache._cache.table)
    s.body.gate = None
    s.clock.advance(0.5)
    assert s() == "a1"
    assert len(s.body.calls) == 2
    s.clock.advance(0.5)
    assert s() == "a1"
    s.until(lambda: len(s.body.calls) == 3)
    s.until(lambda: s.cache.entry("a").value == "a3")
    gate.open()
    s.settle()
    assert s() == "a3"
    assert s.cache.inflight.stats().timeouts == 1


def test_invalidate_during_a_background_load_fences_it(make: Make) -> None:
    """What it brings is not stored; the next call loads anew."""
    s = make(**SWR)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    s()
    s.until(gate.entered.is_set)
    s.body.gate = None
    assert s.cache.invalidate("a") is True
    assert s() == "a3"
    gate.open()
    s.until(lambda: s.cache.stats().loads == 3)
    assert s() == "a3"


@pytest.mark.parametrize("act", ["put", "clear", "where", "refresh", "tag"])
def test_whatever_comes_later_wins_over_a_background_load(make: Make, act: str) -> None:
    """After put, refresh, clear, invalidate_where and a tag's invalidation its value is dropped."""
    s = make(**SWR, tags=("t",), name="f")
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    s()
    s.until(gate.entered.is_set)
    s.body.gate = None
    if act == "put":
        s.cache.put("put", "a")
    elif act == "clear":
        assert s.cache.clear() == 1
    elif act == "where":
        assert s.cache.invalidate_where(lambda key, value: True) == 1
    elif act == "refresh":
        assert s.run(lambda: s.cache.refresh("a")) == "a3"
    else:
        assert s.registry.invalidate(tag="t") == 1
    before = s.cache.items()
    gate.open()
    s.until(lambda: s.cache.stats().loads == (3 if act == "refresh" else 2))
    s.settle()
    assert s.cache.items() == before
    assert before == {"put": [("a", "put")], "refresh": [("a", "a3")]}.get(act, [])


def test_isolation_sets_a_background_load_aside(make: Make) -> None:
    """Begun before isolated(), it stores nothing inside."""
    s = make(**SWR)
    s()
    s.clock.advance(TTL)
    gate = s.hold()
    s()
    s.until(gate.entered.is_set)
    s.body.gate = None
    with isolated(s.registry):
        assert s() == "a3"
        assert s.counts == (0, 1, 0, 0, 0)
        gate.open()
        s.until(lambda: s.cache.stats().loads == 2)
        assert s() == "a3"
    assert s.cache.entry("a").value == "a1"
