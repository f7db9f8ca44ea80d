"""Batches of a plain function that run at the same time, in several threads."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from kit.batches import Source
from kit.threads import LIMIT_S, Gate, Running, until

from memo import InflightTimeout, Registry
from memo.testing import FakeClock

Make = Callable[..., Source]


@pytest.fixture
def make(own: Registry) -> Make:
    return lambda **options: Source("plain", **{"registry": own, **options})


def held(source: Source) -> Callable[[str], Gate]:
    """Gates at which calls stand that ask for a key first, each made when it is first asked for."""
    gates: dict[str, Gate] = {}
    lock = threading.Lock()

    def gate(key: str) -> Gate:
        with lock:
            return gates.setdefault(key, Gate())

    source.before = lambda keys: gate(keys[0]).wait()
    return gate


def joined(source: Source, number: int) -> None:
    until(lambda: source.many.inflight.stats().waiting == number)


def test_what_overlaps_is_loaded_once(make: Make) -> None:
    """A batch leads what nobody loads, and takes the rest from the batches that do."""
    source = make()
    gate = held(source)
    first = Running(lambda: source.many(["a", "b"]))
    gate("a").reached()
    second = Running(lambda: source.many(["b", "c"]))
    gate("c").reached()
    single = Running(lambda: source.many.one("c"))
    joined(source, 2)
    gate("c").open()
    assert single.result() == "c-en"
    gate("a").open()
    assert first.result() == {"a": "a-en", "b": "b-en"}
    assert second.result() == {"b": "b-en", "c": "c-en"}
    assert source.calls == [["a", "b"], ["c"]]
    stats = source.many.cache.stats()
    assert (stats.hits, stats.misses, stats.joins) == (0, 3, 2)


def test_two_batches_that_need_each_other(make: Make) -> None:
    """Two batches, each of which leads what the other needs, both end: each ends its own before it waits."""
    source = make()
    gate = held(source)
    first = Running(lambda: source.many(["a"]))
    gate("a").reached()
    second = Running(lambda: source.many(["b", "a"]))
    gate("b").reached()
    third = Running(lambda: source.many(["c", "b", "a"]))
    gate("c").reached()
    joined(source, 3)
    for key in "cba":
        gate(key).open()
    assert [list(one.result()) for one in (first, second, third)] == [["a"], ["b", "a"], ["c", "b", "a"]]


def test_many_threads_load_each_key_once(make: Make) -> None:
    """Threads with batches that overlap in every way end, and no key is loaded twice."""
    source = make()
    start = threading.Barrier(8)

    def batch(number: int) -> Any:
        start.wait(LIMIT_S)
        keys = [str((number * 7 + step * (1 + number % 3)) % 40) for step in range(30)]
        return source.many(keys) == {key: f"{key}-en" for key in keys}

    threads = [Running(lambda number=number: batch(number)) for number in range(8)]  # type: ignore[misc]
    assert all(thread.result() for thread in threads)
    asked = [key for keys in source.calls for key in keys]
    assert len(asked) == len(set(asked))
    assert len(source.many.inflight) == 0


def test_the_error_of_a_batch_reaches_those_who_joined(make: Make) -> None:
    """Who waits for a key of a batch that fails gets a copy of its error; what it leads itself is stored."""
    source = make()
    gate = held(source)
    wait = source.before

    def fail(keys: list[str]) -> None:
        wait(keys)
        if "a" in keys:
            raise LookupError("down")

    source.before = fail
    first = Running(lambda: source.many(["a", "b"]))
    gate("a").reached()
    second = Running(lambda: source.many(["b", "c"]))
    gate("c").reached()
    gate("c").open()
    until(lambda: "c" in source.many.cache)
    joined(source, 1)
    gate("a").open()
    mine, copy = first.error(), second.error()
    assert (type(mine), type(copy)) == (LookupError, LookupError)
    assert mine is not copy
    assert mine.__notes__[0].split(": ")[1].startswith("no result for the keys 'a', 'b'")
    assert copy.__notes__[-1].split(": ")[1].startswith("no result for the keys 'b'")
    assert ("c", "en") in source.many.cache
    assert len(source.many.inflight) == 0
    source.before = lambda keys: None
    assert source.many(["a", "b", "c"]) == {"a": "a-en", "b": "b-en", "c": "c-en"}


def test_who_joined_a_batch_that_was_interrupted_takes_over(make: Make) -> None:
    """What is no failure strikes the caller alone: those who joined load what it led, as one batch."""
    source = make()
    gate = held(source)
    wait = source.before

    def interrupt(keys: list[str]) -> None:
        wait(keys)
        if len(source.calls) == 1:
            raise KeyboardInterrupt

    source.before = interrupt
    first = Running(lambda: source.many(["a", "b", "c"]))
    gate("a").reached()
    second = Running(lambda: source.many(["b", "c"]))
    joined(source, 2)
    gate("b").open()
    gate("a").open()
    assert type(first.error()) is KeyboardInterrupt
    assert second.result() == {"b": "b-en", "c": "c-en"}
    assert source.calls == [["a", "b", "c"], ["b", "c"]]
    assert len(source.many.inflight) == 0


def test_fenced_while_it_loads(make: Make) -> None:
    """A key that is invalidated or put during its batch is not stored from it; callers get what it returned."""
    source = make()
    gate = held(source)
    first = Running(lambda: source.many(["a", "b", "c"]))
    gate("a").reached()
    source.many.cache.invalidate("a")
    source.many.cache.put("put", "b")
    gate("a").open()
    assert first.result() == {"a": "a-en", "b": "b-en", "c": "c-en"}
    assert source.many.cache.items() == [(("b", "en"), "put"), (("c", "en"), "c-en")]
    source.version = 2
    assert source.many(["a", "b", "c"]) == {"a": "a-en2", "b": "put", "c": "c-en"}


def test_too_old(make: Make) -> None:
    """Who waits for a key of a batch that is older than ``timeout`` is told so; the next call loads it anew."""
    clock = FakeClock()
    source = make(timeout=30, clock=clock)
    gate = held(source)
    first = Running(lambda: source.many(["a", "b"]))
    gate("a").reached()
    second = Running(lambda: source.many(["b"]))
    joined(source, 1)
    clock.advance(30)
    assert type(second.error()) is InflightTimeout
    gate("b").open()
    source.version = 2
    assert source.many(["b"]) == {"b": "b-en2"}
    source.version = 0
    gate("a").open()
    assert first.result() == {"a": "a-en", "b": "b-en"}
    assert source.many(["b"]) == {"b": "b-en2"}
    assert source.many.inflight.stats().timeouts == 1


def test_recursion(make: Make) -> None:
    """A function that asks for keys of its own batch runs straight through, and for others as any caller."""
    source = make()

    def deeper(keys: list[str]) -> None:
        if len(source.calls) == 1:
            assert source.many(["a", "c"]) == {"a": "a-en", "c": "c-en"}

    source.before = deeper
    assert source.many(["a", "b"]) == {"a": "a-en", "b": "b-en"}
    assert source.calls == [["a", "b"], ["a", "c"]]
    assert source.many(["c"]) == {"c": "c-en"}
    assert len(source.many.inflight) == 0


def test_two_threads_that_would_wait_for_each_other(make: Make) -> None:
    """Of two batches whose functions ask for each other's keys, the one that would close the circle runs straight."""
    source = make()
    both = threading.Barrier(2)

    def cross(keys: list[str]) -> None:
        if len(keys) == 2:
            both.wait(LIMIT_S)
            source.many.one("b" if "a" in keys else "a")

    source.before = cross
    one, two = Running(lambda: source.many(["a", "x"])), Running(lambda: source.many(["b", "y"]))
    assert one.result() == {"a": "a-en", "x": "x-en"}
    assert two.result() == {"b": "b-en", "y": "y-en"}
    assert len(source.many.inflight) == 0


def test_without_dedupe(make: Make) -> None:
    """With ``dedupe=False`` every call loads what is not stored."""
    source = make(dedupe=False)
    gate = held(source)
    first = Running(lambda: source.many(["a", "b"]))
    gate("a").reached()
    second = Running(lambda: source.many(["b", "a"]))
    gate("b").reached()
    gate("b").open()
    gate("a").open()
    assert first.result() == second.result() == {"a": "a-en", "b": "b-en"}
    assert source.calls == [["a", "b"], ["b", "a"]]


def test_a_leader_that_dies(make: Make) -> None:
    """The waiters of a batch whose thread ended without a word take over."""
    source = make()
    flights = source.many.cache._cache.flights
    begun: list[Any] = []

    def die() -> None:
        from memo._many.asked import Found
        from memo._many.thread_batches import _Round

        part = _Round(threading.get_ident(), flights.clock.read())
        flights._begin(flights.hashed(("a", "en")), part, Found(), False)
        begun.append(part)

    Running(die).join()
    assert source.many(["a", "b"]) == {"a": "a-en", "b": "b-en"}
    assert source.calls == [["b"], ["a"]]
