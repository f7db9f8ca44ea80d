"""Failures that are remembered for a while."""

import logging
import traceback
import weakref
from typing import Any

import pytest
from kit.freshness import ERRORS, SIE, TTL, Make, warned
from kit.threads import depth_of

from memo import InflightTimeout
from memo._base.exception_copies import frameless_copy


def test_a_named_failure_is_remembered_for_error_ttl(make_everywhere: Make) -> None:
    """Calls raise a copy with a traceback of their own; they count as error hits; then it is tried again."""
    s = make_everywhere(**ERRORS)
    error = LookupError("down")
    error.add_note("a note")
    s.body.error = error
    with pytest.raises(LookupError) as caught:
        s()
    assert caught.value is error
    depths = set()
    for _ in range(100):
        with pytest.raises(LookupError, match="down") as caught:
            s()
        assert caught.value is not error
        assert caught.value.__notes__ == ["a note"]
        depths.add(depth_of(caught.value))
    assert len(depths) == 1
    assert s.counts == (0, 1, 0, 0, 100)
    s.clock.advance(5 - 0.5)
    with pytest.raises(LookupError):
        s()
    assert len(s.body.calls) == 1
    s.clock.advance(0.5)
    s.body.error = None
    assert s() == "a2"
    assert s() == "a2"
    assert s.counts == (1, 2, 0, 0, 101)
    info = s.reach().cache_info() if hasattr(s.reach(), "cache_info") else None
    assert info is None or info.hits + info.misses == sum(s.counts)


def test_only_named_failures_are_remembered(make: Make) -> None:
    """Subclasses are, others are not."""
    s = make(cache_errors=(LookupError, OSError), error_ttl=5)
    for error, executions in [(ValueError(), 2), (KeyError("k"), 1), (FileNotFoundError(2, "none"), 1)]:
        s.cache.clear()
        s.body.calls.clear()
        s.body.error = error
        for _ in range(2):
            with pytest.raises(type(error)):
                s()
        assert len(s.body.calls) == executions


def test_a_remembered_failure_is_no_entry(make: Make) -> None:
    """Neither items(), entry(), iteration, on_evict nor the numbers that operations return tell of it.

    That ``invalidate()`` dropped it is no number, and is said.
    """
    gone: list[Any] = []
    s = make(**ERRORS, max=2, on_evict=lambda *what: gone.append(what))
    s.body.error = LookupError()

    def fail(name: str = "a") -> None:
        with pytest.raises(LookupError):
            s(name)

    fail()
    assert (s.cache.items(), len(s.cache), list(s.cache), s.cache.entry("a")) == ([], 1, [], None)
    assert s.cache.stats().size == 1
    assert s.cache.invalidate("a") is True
    assert s.cache.invalidate("a") is False
    fail()
    assert len(s.body.calls) == 2
    assert s.cache.clear() == 0
    fail()
    assert len(s.body.calls) == 3
    assert s.cache.invalidate_where(lambda key, value: pytest.fail("it was asked about a failure")) == 0
    fail()
    assert len(s.body.calls) == 4
    s.clock.advance(5)
    assert s.cache.cleanup() == 0
    assert s.cache.stats().size == 0
    for name in "abcdefgh":
        fail(name)
        assert s.cache.stats().size <= 2
    s.body.error = None
    s("x"), s("y"), s("z")
    assert {what[0] for what in gone} <= {"x", "y", "z"}
    assert sum(s.cache.stats().evictions.values()) == len(gone)
    s.cache._check()


def test_put_and_refresh_replace_a_remembered_failure(make: Make) -> None:
    """Both answer from then on, and no value is said to have left."""
    gone: list[Any] = []
    s = make(**ERRORS, on_evict=lambda *what: gone.append(what))
    s.body.error = LookupError()
    for name in "ab":
        with pytest.raises(LookupError):
            s(name)
    s.cache.put("put", "a")
    assert s("a") == "put"
    s.body.error = None
    assert s.run(lambda: s.cache.refresh("b")) == "b3"
    assert s("b") == "b3"
    assert gone == []
    assert s.counts == (2, 2, 0, 0, 0)


def test_a_fenced_failure_is_not_remembered(make: Make) -> None:
    """Invalidate while the load runs: its error reaches the caller, and the next call loads anew."""
    s = make(**ERRORS)
    s.body.error = LookupError()
    gate = s.hold()
    call = s.begin()
    s.until(gate.entered.is_set)
    assert s.cache.invalidate("a") is False
    gate.open()
    assert isinstance(call.error(), LookupError)
    s.body.error = None
    assert s() == "a2"


def test_a_failure_is_not_remembered_while_a_stale_value_is_at_hand(make: Make) -> None:
    """Within the window the value serves; after it the failure is remembered."""
    s = make(**SIE, **ERRORS)
    s()
    s.body.error = LookupError()
    s.clock.advance(TTL)
    assert [s(), s()] == ["a1"] * 2
    assert s.cache.entry("a").stale
    s.clock.advance(20)
    for _ in range(3):
        with pytest.raises(LookupError):
            s()
    assert len(s.body.calls) == 3
    assert s.counts == (0, 2, 0, 2, 2)


def test_a_failing_refresh_keeps_a_fresh_value(make: Make) -> None:
    """Its error is raised and not remembered."""
    s = make(**SIE, **ERRORS)
    s()
    s.body.error = LookupError()
    with pytest.raises(LookupError):
        s.run(lambda: s.cache.refresh("a"))
    assert s() == "a1"
    assert s.counts == (1, 1, 0, 0, 0)


def test_a_timed_out_load_is_remembered_if_its_type_is_named(make: Make) -> None:
    """InflightTimeout is a TimeoutError, and a load that timed out is a failed load."""
    s = make(timeout=3, cache_errors=TimeoutError, error_ttl=5)
    gate = s.hold()
    leader = s.begin()
    s.until(gate.entered.is_set)
    joiner = s.begin()
    s.until(lambda: [flight.waiters for flight in s.cache.inflight.pending()] == [1])
    s.clock.advance(3)
    assert isinstance(joiner.error(), InflightTimeout)
    with pytest.raises(InflightTimeout):
        s()
    assert len(s.body.calls) == 1
    gate.open()
    if s.is_async:
        assert isinstance(leader.error(), InflightTimeout)
    else:
        assert leader.result() == "a1"
    assert s.counts[-1] == 1


def test_a_remembered_failure_holds_no_frame(make: Make) -> None:
    """Neither the failure nor its causes keep alive what the function's frames refer to."""

    class Held:
        pass

    held: list[weakref.ref[Any]] = []

    def raising() -> None:
        local = Held()
        held.append(weakref.ref(local))
        raise KeyError("cause")

    def result(name: str, number: int) -> Any:
        local = Held()
        held.append(weakref.ref(local))
        try:
            raising()
        except KeyError as cause:
            raise LookupError("down") from cause

    s = make(**ERRORS)
    s.body.result = result
    with pytest.raises(LookupError):
        s()
    with pytest.raises(LookupError) as caught:
        s()
    assert repr(caught.value.__cause__) == "KeyError('cause')"
    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.__traceback__ is None
    del caught
    import gc

    gc.collect()
    assert [ref() for ref in held] == [None, None]


class Awkward(LookupError):
    """It cannot be copied: its arguments are its own affair."""

    @property
    def args(self) -> Any:
        return ("again",)


def test_a_failure_that_cannot_be_copied_is_not_remembered(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The log says so, and the caller's traceback is whole."""
    s = make(**ERRORS)
    s.body.error = Awkward("once")
    with caplog.at_level(logging.WARNING, "memo"), pytest.raises(Awkward) as caught:
        s()
    assert "raise self.error" in "".join(traceback.format_exception(caught.value))
    assert "cannot be copied" in warned(caplog)[0]
    s.body.error = None
    assert s() == "a2"


def test_copies_without_frames_keep_groups_and_circles() -> None:
    """Parts of a group are copied too; an error that is its own context does not loop for ever."""

    def caught(error: BaseException) -> BaseException:
        try:
            raise error
        except BaseException as found:
            return found

    part, odd = caught(KeyError("part")), caught(Awkward("odd"))
    group = caught(ExceptionGroup("group", [part, odd, ValueError("bare")]))  # type: ignore[list-item]
    group.__context__ = part
    part.__context__ = group
    copy = frameless_copy(group)
    assert isinstance(copy, ExceptionGroup)
    assert [repr(each) for each in copy.exceptions] == ["KeyError('part')", "ValueError('bare')"]
    assert all(each.__traceback__ is None for each in copy.exceptions)
    assert repr(copy.__context__) == "KeyError('part')"
    assert part.__traceback__ is not None
    assert group.__traceback__ is not None
    assert odd.__traceback__ is not None
    assert frameless_copy(odd) is None
    assert odd.__traceback__ is not None


def test_the_bytes_of_a_failure_count(make: Make) -> None:
    """With max_bytes alone remembered failures are bounded too, and what is too large is not remembered."""
    s = make(max=None, max_bytes=2_000, sizeof=len, **ERRORS)
    for number in range(50):
        s.body.error = LookupError("x" * 100)
        with pytest.raises(LookupError):
            s(f"n{number}")
        stats = s.cache.stats()
        assert stats.bytes is not None
        assert stats.bytes <= 2_000
    assert 0 < s.cache.stats().size < 10
    s.body.error = LookupError("x" * 5_000)
    for _ in range(2):
        with pytest.raises(LookupError):
            s("large")
    assert s.body.calls[-2:] == ["large", "large"]
    s.cache._check()
