"""A recorder's memory is bounded, and keeps nothing of its calls alive."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections import Counter, deque
from datetime import timedelta

import cachetools
import pytest
from kit.processes import counts_alone
from kit.recorders import Clock, make, note

from memo._base.shortened import short_text
from memo._window.events import EventCache
from memo._window.recorder import Recorder
from memo._window.totals import BUCKETS, PER_SLICE


def fill(recorder: Recorder, clock: Clock, number: int, span_s: float) -> None:
    for i in range(number):
        clock.now += span_s / number
        recorder.intake.note(clock.now - (i % 1000) / 100, clock.now, "ok", "key")
    recorder.count()


def heap_of(number: int, max_events: int) -> int:
    clock = Clock()
    gc.collect()
    tracemalloc.start()
    try:
        recorder, _ = make(86_400.0, max_events, clock=clock)
        fill(recorder, clock, number, 2 * 86_400.0)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@counts_alone
def test_memory_does_not_depend_on_the_number_of_events() -> None:
    """Ten times the events over the same time take the same memory; the totals at most 200 kB."""
    few, many = heap_of(20_000, 1_000), heap_of(200_000, 1_000)
    assert many < 1.2 * few
    assert heap_of(20_000, 1) <= 200_000


def test_an_idle_window_is_small_and_gives_back_its_memory() -> None:
    """Histograms exist only for slices with events, and go with cleanup()."""
    recorder, clock = make(60.0)
    fill(recorder, clock, 5_000, 60.0)
    assert len(recorder.intake.contents.totals.sections()) >= BUCKETS // PER_SLICE
    clock.now += 70.0
    assert recorder.intake.cleanup() == 1000
    assert recorder.intake.contents.totals.sections() == []
    assert len(recorder.intake.contents.kept) == 0
    recorder._check()


def test_cleanup_tells_how_many_events_were_out() -> None:
    """Only events past the span go, also when there are more than one slice of them."""
    recorder, clock = make(60.0, max_events=10_000)
    for _ in range(5_000):
        note(recorder, clock)
    clock.now = 30.0
    note(recorder, clock)
    assert recorder.intake.cleanup() == 0
    clock.now = 60.0
    assert recorder.intake.cleanup() == 5_000
    assert (recorder.intake.cleanup(), recorder.count()) == (0, 1)


def test_keeps_nothing_alive() -> None:
    """Neither key, nor what a key contains, nor the exception or its traceback survives by being recorded."""

    class Thing:
        pass

    class Word(str):
        pass

    class Trouble(Exception):
        def __str__(self) -> str:
            return Word("tell-tale")

    thing, word, trouble = Thing(), Word("w"), Trouble()
    refs: list[weakref.ref[object]] = [weakref.ref(thing), weakref.ref(word), weakref.ref(trouble)]
    recorder, clock = make()
    for key in (thing, (1, thing), [thing], {"a": thing}, word, (word,)):
        try:
            raise trouble
        except Trouble as error:
            note(recorder, clock, 0.0, "error", key, error)
    recorder.count()
    for key in (thing, (1, thing), word):
        note(recorder, clock, key=key)  # still queued
    del thing, word, trouble, key
    gc.collect()
    assert [ref() for ref in refs] == [None, None, None]
    event = recorder.errors()[0]
    assert all(type(text) is str for text in (event.key, event.error, event.message))
    assert event.message == "tell-tale"


def test_keys_are_text_of_the_moment_of_the_call() -> None:
    """A later change of a mutable key does not show."""
    recorder, clock = make()
    key = ["before"]
    note(recorder, clock, key=key)
    key.append("after")
    assert recorder.events()[0].key == "['before']"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_raising_repr_and_str_are_harmless() -> None:
    """They leave a mark in place of the text."""
    recorder, clock = make()
    note(recorder, clock, 0.0, "error", Unprintable(), UnprintableError())
    (event,) = recorder.errors()
    assert event.key == "<Unprintable>"
    assert event.message == "<unprintable UnprintableError>"
    assert event.error == f"{__name__}.UnprintableError"
    assert short_text([1, Unprintable()]) == "[1, <Unprintable>]"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        (b"ab", "b'ab'"),
        ((), "()"),
        ((1,), "(1,)"),
        (("a", 2, None), "('a', 2, None)"),
        ([1, [2, [3, [4]]]], "[1, [2, [3, ...]]]"),
        ({"a": {1}}, "{'a': {1}}"),
        (set(), "set()"),
        (frozenset({1}), "frozenset({1})"),
        (list(range(10)), "[0, 1, 2, 3, 4, 5, 6, 7, ...]"),
        (deque([1, 2]), "deque([1, 2])"),
        (Counter(range(9)), "Counter({0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1, ...})"),
        pytest.param(10**5000, f"<int of {(10**5000).bit_length()} bits>", id="huge"),
        (timedelta(hours=1), "datetime.timedelta(seconds=3600)"),
    ],
)
def test_text_of_keys(key: object, text: str) -> None:
    """Keys read as their repr, shortened where that is long."""
    recorder, clock = make()
    note(recorder, clock, key=key)
    assert recorder.events()[0].key == text == short_text(key)


@pytest.mark.parametrize(
    "key", ["x" * 10**6, b"x" * 10**6, bytearray(10**6), ("y" * 150, "z" * 150), [["x" * 99] * 9] * 9]
)
def test_long_keys_are_cut(key: object) -> None:
    """No text is longer than 200 characters, and little of the key is kept."""
    recorder, clock = make()
    note(recorder, clock, key=key)
    assert 20 < len(recorder.events()[0].key) <= 200


def test_a_huge_container_is_not_made_text_whole() -> None:
    """Only its first elements are shown, and none is asked for its repr."""

    class Element:
        def __repr__(self) -> str:
            raise AssertionError

    class Many(list):  # type: ignore[type-arg]
        pass

    elements = [Element() for _ in range(1000)]
    for key in (elements, tuple(elements), set(elements), dict.fromkeys(elements), Many(elements), deque(elements)):
        assert len(short_text(key)) <= 200
        assert 0 < short_text(key).count("<Element>") <= 10
        assert "..." in short_text(key)


def test_errors_are_their_type_and_a_short_message() -> None:
    """Builtin types go by their bare name; a message is cut at 200 characters."""
    recorder, clock = make()
    note(recorder, clock, 0.0, "error", None, ValueError("m" * 500))
    note(recorder, clock, 0.0, "error", None, None)
    note(recorder, clock, 0.0, "cancelled", None, None)
    cancelled, told, raised = recorder.events()
    assert (raised.error, raised.message) == ("ValueError", "m" * 200)
    assert (told.outcome, told.error, told.message) == ("error", None, None)
    assert (cancelled.outcome, cancelled.error) == ("cancelled", None)
    assert recorder.errors() == [told, raised]


def test_unequal_keys_that_compare_equal_stay_apart() -> None:
    """1, 1.0 and True are three keys."""
    recorder, clock = make()
    key: object
    for key in (1, 1.0, True, (1,), (True,), 1):
        note(recorder, clock, key=key)
    assert recorder.by_key() == [("1", 2), ("(True,)", 1), ("(1,)", 1), ("True", 1), ("1.0", 1)]
    assert recorder.by_key(1) == [("1", 2)]


def test_kept_events_are_a_bounded_cachetools_cache() -> None:
    """The store is a `cachetools.Cache` of the latest events, by number and age."""
    recorder, clock = make(60.0, max_events=3)
    for clock.now in (0.0, 1.0, 2.0, 3.0, 4.0):
        note(recorder, clock, key=clock.now)
    assert len(recorder) == 3
    store = recorder.intake.contents.kept
    assert isinstance(store, cachetools.Cache)
    assert (len(store), store.maxsize, store.currsize) == (3, 3, 3)
    assert list(store) == [2, 3, 4]
    assert [store[key][3] for key in store] == [2.0, 3.0, 4.0]
    assert store.get(1) is None
    assert 1 not in store
    with pytest.raises(KeyError, match="oldest first"):
        del store[3]
    with pytest.raises(KeyError, match="not the next key"):
        store[9] = store[2]
    store[5] = (5.0, 5.0, "ok", "new")
    assert [key for key, _ in store.items()] == [3, 4, 5]
    assert store.popitem()[0] == 3
    assert store.pop(4)[0] == 4.0
    assert store.expire(65.0, 10) == 1
    with pytest.raises(KeyError):
        store.popitem()
    empty = EventCache(3, 60.0)
    empty[0] = (0.0, 0.0, "ok", None)
    copy = empty.__copy__()
    empty.clear()
    assert (len(empty), list(copy)) == (0, [0])
