"""What a window tells of single keys: exact while that is possible, and else within the bounds that it states."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import tracemalloc
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit.processes import counts_alone
from kit.recorders import Clock, note

from memo import KeyCount, Registry, sliding_window
from memo._window.by_key import KeyReader
from memo._window.intake import Intake
from memo._window.recorder import Recorder
from memo.testing import FakeClock, isolated

SPAN_S = 240.0  # slices of 10 s


def make(keys: int | None, max_events: int = 1) -> tuple[Recorder, KeyReader, Clock]:
    clock = Clock()
    intake = Intake(span_s=SPAN_S, max_events=max_events, keys=keys, only=None, clock=clock, wall=Clock(1e9))
    return Recorder(intake), KeyReader(intake), clock


def tracked(reader: KeyReader) -> int:
    found = reader.tracked()
    assert found is not None
    return found.keys


# A stream: steps of the clock in seconds, and after each of them keys that are called.
steps = st.tuples(st.sampled_from((0.0, 0.0, 0.25, 3.0, 10.0, 100.0)), st.lists(st.integers(0, 12), max_size=40))
# All keys in turn, so that each drives another out; then one that was driven out comes in force.
ROUND = [(0.25, [*range(13)] * 3)] * 6
LATE = [*ROUND, (0.25, [0] * 30), *ROUND]


@settings(max_examples=150, deadline=None)
@given(stream=st.lists(steps, max_size=30), keys=st.integers(1, 5), late=st.booleans())
@example(stream=ROUND, keys=1, late=False)
@example(stream=LATE, keys=3, late=True)
@example(stream=[(0.0, [*range(300), *range(300)]), (10.0, [*range(600)])], keys=5, late=False)
def test_a_count_is_within_its_bounds(stream: list[tuple[float, list[int]]], keys: int, late: bool) -> None:
    """The true number lies in the bounds, which are at most 1/keys of all calls apart, the cut slice aside."""
    recorder, reader, clock = make(keys)
    events: list[tuple[float, int]] = []
    for step, called in stream:
        clock.now += step
        for key in called:
            ended = clock.now - (key if late and clock.now >= key else 0)
            recorder.intake.note(ended, ended, "ok", key)
            events.append((ended, key))
        recorder._check()
    for last in (SPAN_S, 100.0, 7.0):
        first_whole = (clock.now - last) // 10 + 1
        true = Counter(key for ended, key in events if ended + last > clock.now)
        counted = Counter(key for ended, key in events if ended // 10 >= first_whole - 1)
        cut = Counter(key for ended, key in events if ended // 10 == first_whole - 1)
        for key in range(14):
            told = reader.of_key(key, last)
            assert told.at_least <= true[key] <= told.at_most
            assert told.at_least <= told.count <= told.at_most
            assert told.count <= max(counted[key], true[key])
            apart = told.at_most - told.at_least - cut[key]
            assert apart <= counted.total() / keys, "further from the truth than stated"
        top = reader.top(100, last)
        assert [one.count for one in top] == sorted((one.count for one in top), reverse=True)
        assert all(one == reader.of_key(one.key, last) for one in top)
        heavy = {key for key, count in true.items() if count > counted.total() / keys}
        assert heavy <= {one.key for one in top}


@pytest.mark.parametrize("keys", [None, 3])
def test_counts_are_exact_while_all_calls_are_kept(keys: int | None) -> None:
    """Up to `max` calls in the span a key's count is exact to the clock, with tables of keys or without."""
    recorder, reader, clock = make(keys, max_events=100)
    for number in range(90):
        clock.now += 3.0
        note(recorder, clock, key=number % 10, outcome="error" if number % 20 == 0 else "ok")
    for last in (SPAN_S, 90.0, 3.5):
        for key in range(11):
            true = sum(3.0 * (n + 1) + last > clock.now for n in range(90) if n % 10 == key)
            assert (reader.of_key(key, last).count, reader.of_key(key, last).exact) == (true, True)
    assert reader.of_key(0).errors == 4
    assert len(reader.top(4)) == 4


def test_without_tables_what_is_not_kept_is_not_known() -> None:
    """A window without `keys=` counts the kept calls, and says how many others there were."""
    recorder, reader, clock = make(None, max_events=10)
    for key in ("a", "b", "b") * 20:
        note(recorder, clock, key=key)
    assert reader.of_key("b") == KeyCount("b", count=7, errors=0, at_least=7, at_most=57)
    assert reader.of_key("c") == KeyCount("c", count=0, errors=0, at_least=0, at_most=50)
    assert reader.top(1) == [reader.of_key("b")]
    assert reader.tracked() is None  # it has no tables


def test_a_heavy_key_stays_exact_in_a_flood() -> None:
    """A key that calls often is counted to the call while thousands of others come once each."""
    recorder, reader, clock = make(20)
    for number in range(5_000):
        clock.now += SPAN_S / 10_000
        note(recorder, clock, key=f"stranger {number}")
        if number % 5 == 0:
            note(recorder, clock, key="heavy", outcome="error" if number % 10 == 0 else "ok")
    assert reader.top(1) == [KeyCount("heavy", count=1_000, errors=500, at_least=1_000, at_most=1_000)]
    assert reader.of_key("nobody").count == 0
    assert 20 < tracked(reader) <= 27 * 20
    recorder._check()


def test_what_is_out_of_the_span_is_forgotten() -> None:
    """Keys go with cleanup(), with clear(), and with any later call."""
    recorder, reader, clock = make(5)
    for leave in (recorder.intake.cleanup, recorder.intake.clear, lambda: note(recorder, clock, key="new")):
        for key in range(5):
            note(recorder, clock, key=key)
        assert tracked(reader) >= 5
        clock.now += SPAN_S + 20.0
        leave()
        assert tracked(reader) <= 1
    assert reader.of_key(3) == KeyCount(3)


def heap_of(keys: int | None, size: int) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        recorder, _, clock = make(keys)
        for number in range(30 * 250):
            clock.now += SPAN_S / 24 / 250
            recorder.intake.note(clock.now, clock.now, "ok", f"{number:0{size}}")
        recorder.count()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@counts_alone
def test_tables_of_keys_take_no_more_than_is_stated() -> None:
    """27 times `keys` keys of 400 bytes each, where each slice sees only keys that no other has."""
    size = 200 - len("''")
    keys = 100
    took = heap_of(keys, size) - heap_of(None, size)
    assert 25 * keys * size < took <= 27 * keys * 400


def make_function(**options: Any) -> tuple[Any, FakeClock]:
    clock = FakeClock()

    @sliding_window("1h", clock=clock, registry=Registry(), **options)
    def ask(who: object, what: str = "") -> object:
        if what == "bad":
            raise ValueError(who)
        return who

    return ask, clock


@pytest.mark.parametrize("max_events", [1, 100])
def test_keys_are_asked_for_as_calls_have_them(max_events: int) -> None:
    """What `key=` returned is told apart by its type; text that stands for a key is the same as that text."""
    thing = object()
    ask, _ = make_function(max=max_events, keys=20, key=lambda who, what: who)
    given_keys = ("a", 1, 1.0, True, None, b"a", ("a", 1), ("a", True), [1, 2], thing, "<object>", "x" * 300)
    for who in given_keys:
        ask(who)
    counts = [ask.window.count(key=who) for who in given_keys]
    assert counts == [1] * 9 + [2, 2, 1]
    for one in ask.window.top(20):
        assert ask.window.of_key(one.key) == one
        assert type(one.key) is not str or len(one.key) <= 200
        assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert ask.window.stats().keys == 11


def test_the_handle_answers_by_key() -> None:
    """Counts, rates, ratios and events of one key go by `last`, too; without a key they are of all."""
    ask, clock = make_function(keys=10)
    ask("alice")
    clock.advance("30m")
    for who, what in (("alice", ""), ("bob", ""), ("bob", "bad")):
        try:
            ask(who, what)
        except ValueError:
            pass
    window = ask.window
    assert (window.count(), window.count(key=("alice", "")), window.count("1m", key=("alice", ""))) == (4, 2, 1)
    assert window.rate("1h", key=("alice", "")) == 2.0
    assert window.rate("1m", "1m", key=("alice", "")) == window.rate("1m", key=("bob", "bad")) * 60
    assert (window.error_ratio(), window.error_ratio(key=("bob", "bad")), window.error_ratio(key="?")) == (
        0.25,
        1.0,
        0.0,
    )
    assert [event.outcome for event in window.events(key=("bob", "bad"))] == ["error"]
    assert (window.errors(key=("bob", "")), len(window.errors(key=("bob", "bad"), last="1m"))) == ([], 1)
    assert window.top(1)[0].as_dict() == {
        "key": ["alice", ""], "count": 2, "errors": 0, "at_least": 2, "at_most": 2, "exact": True,
    }  # fmt: skip
    for bad, error in ((0, ValueError), (True, TypeError), ("3", TypeError)):
        with pytest.raises(error, match=r"ask\.window\.top: n="):
            window.top(bad)


def test_methods_and_isolation() -> None:
    """Keys do not name the instance; what is recorded within `isolated()` is forgotten after it."""

    class Service:
        @sliding_window("1h", max=1, keys=5, registry=Registry())
        async def ask(self, who: str | None) -> None: ...

    def play(who: str | None) -> None:
        with pytest.raises(StopIteration):
            Service().ask(who).send(None)

    play(None)
    play(None)
    with isolated(Service.ask):
        play("within")
        play(None)
        assert [Service().ask.window.count(key=key) for key in (None, "within")] == [1, 1]
    assert [Service.ask.window.count(key=key) for key in (None, "within")] == [2, 0]


def test_threads_count_together() -> None:
    """Each call of each thread is counted once, whichever of them folds it."""
    ask, _ = make_function(max=1, keys=5, key=lambda who, what: who)
    threads = [threading.Thread(target=lambda: [ask(who) for who in range(4) for _ in range(700)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [ask.window.of_key(who) for who in range(5)] == [
        *(KeyCount(who, 2800, 0, 2800, 2800) for who in range(4)),
        KeyCount(4),
    ]


def test_errors_that_are_told_count_under_their_key() -> None:
    """`record_error()` without a key counts under the name of the error's type."""
    ask, _ = make_function(max=1, keys=5)
    for error in (ValueError(), OSError(), ValueError()):
        ask.window.record_error(error)
    assert ask.window.of_key("ValueError") == KeyCount("ValueError", count=2, errors=2, at_least=2, at_most=2)


def test_the_leak_report_and_the_figures_tell_of_keys() -> None:
    """A window that counts by key has a row of its own, and the number of its keys among its figures."""
    own = Registry()

    @sliding_window("1h", max=1, keys=7, registry=own, name="asked")
    def ask(who: str) -> None: ...

    @sliding_window("1h", registry=own, name="silent")
    def silent(who: str) -> None: ...

    def row() -> tuple[Any, ...]:
        (store,) = own.report().stores
        return store.name, store.kind, store.entries, store.bounded, store.findings

    assert row() == ("asked", "window", 0, True, ())
    for who in ("a", "b", "c"):
        ask(who)
        silent(who)
    assert row() == ("asked", "window", 3, True, ())
    assert 3 * 50 < (own.report().stores[0].bytes or 0) < 3 * 1000
    stats = own.stats()
    assert [getattr(stats[name].window, "keys", 0) for name in ("asked", "silent")] == [3, None]


@pytest.mark.parametrize("keys", [0, -1, True, 2.0, "1000"])
def test_bad_numbers_of_keys_are_refused(keys: Any) -> None:
    """The message names the option and the value."""
    with pytest.raises((TypeError, ValueError), match=f"sliding_window: keys={keys!r}"):
        sliding_window("1h", keys=keys)
