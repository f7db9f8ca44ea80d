"""Calls whose keys ``key=`` makes: it is asked once for each, whoever goes on by what it made."""

from typing import Any

import pytest
from kit.testing_kit import check
from kit.wrappers import wrappers_entered

from memo import Registry, bounded, dedupe_inflight
from memo._native import speed, why
from memo.testing import FakeClock

pytestmark = pytest.mark.skipif(speed is None, reason=why)


class Asked(list[Any]):
    """A ``key=`` that notes what it is asked, and does something by the way."""

    def __call__(self, x: Any, other: Any = None, *, y: int = 1) -> Any:
        self.append(x)
        return x() if callable(x) else (x, y)


def made(asked: Asked, **options: Any) -> Any:
    @bounded(max=8, key=asked, registry=Registry(), **options)
    def fetch(x: Any, other: Any = None, *, y: int = 1) -> Any:
        return [x, other, y]

    return fetch


def in_python(call: Any) -> int:
    """How many wrappers in Python a call came by."""
    with wrappers_entered() as entered:
        call()
    return len(entered)


@pytest.mark.parametrize("options", [{}, {"ttl": 60}, {"copy": "shallow"}, {"policy": "lru"}, {"cache_if": len}])
def test_a_key_is_made_once(options: dict[str, Any]) -> None:
    """Hits and misses ask for their key once, come by no wrapper, and get what the key stands for."""
    asked = Asked()
    fetch = made(asked, **options)
    fetch(0)  # at which the wrapper is made
    asked.clear()
    for x in (1, 2, 3, 4, 5, 5, 4):
        assert in_python(lambda x=x: fetch(x)) == 0
        assert fetch(x, y=1) == [x, None, 1]
    assert fetch(6, 7, y=2) == fetch(y=2, x=6) == [6, 7, 2]
    assert asked == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5, 4, 4, 6, 6]
    stats = fetch.cache.stats()
    assert (stats.hits, stats.misses) == (10, 7)
    check(fetch)


def test_an_expired_value_is_loaded_by_the_key_that_was_made() -> None:
    """A call that finds a value past its time asks for its key once."""
    asked, clock = Asked(), FakeClock()
    fetch = made(asked, ttl=10, clock=clock)
    first = fetch(1)
    clock.advance(11)
    assert fetch(1) is not first
    assert asked == [1, 1]


def test_what_making_a_key_raises_is_raised() -> None:
    """An exception of ``key=`` reaches the caller, and nothing has been asked twice or begun."""
    asked = Asked()
    fetch = made(asked)
    for kind in (ValueError, TypeError, KeyError, KeyboardInterrupt):

        def fail(kind: type[BaseException] = kind) -> None:
            raise kind("no key")

        with pytest.raises(kind, match="no key"):
            fetch(fail)
    assert len(asked) == 4
    assert fetch.cache.stats().misses == 0


def test_a_key_that_cannot_be_hashed_is_refused() -> None:
    """The error says what ``key=`` returned, which was asked once."""
    asked = Asked()
    fetch = made(asked)
    with pytest.raises(TypeError, match=r"unhashable type: 'list': .*key= returned \['a'\]"):
        fetch(lambda: ["a"])
    assert len(asked) == 1


def test_making_a_key_may_change_everything() -> None:
    """A ``key=`` that clears, calls, or exchanges what it is asked for leaves the call with one key and one load."""
    asked = Asked()
    fetch = made(asked)

    def clear() -> str:
        fetch.cache.clear()
        return "a"

    def call() -> str:
        fetch("inner")
        return "b"

    def note() -> str:
        fetch.cache.put(["put"], lambda: "c")
        return "c"

    assert fetch("a") == ["a", None, 1]
    assert fetch(clear) == [clear, None, 1]
    assert fetch(call) == [call, None, 1]
    assert fetch(note) == ["put"]
    check(fetch)


def test_shared_calls_ask_for_their_key_once() -> None:
    """``dedupe_inflight`` leads a call by the key that was made of it, and lets recursion through."""
    asked = Asked()

    @dedupe_inflight(key=asked, registry=Registry())
    def fetch(x: Any, other: Any = None, *, y: int = 1) -> Any:
        return fetch(x, other - 1, y=y) if other else [x, y]

    assert fetch("a") == ["a", 1]
    assert fetch(1.5, 2, y=2) == [1.5, 2]
    assert asked == ["a", 1.5, 1.5, 1.5]
