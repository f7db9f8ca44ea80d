"""``on_evict`` is told of each value that leaves, once."""

import itertools
import threading
from typing import Any

import pytest
from kit.bounded import POLICIES, Gone, check
from kit.threads import Running

from memo import EvictionReason, bounded
from memo.testing import FakeClock


def test_on_evict_is_told_each_reason_once_after_the_value_left() -> None:
    """Each removal is reported once, with its reason, when items() no longer shows the value."""
    clock = FakeClock()
    gone: list[tuple[Any, Any, str]] = []

    def note(key: Any, value: Any, reason: EvictionReason) -> None:
        assert isinstance(reason, EvictionReason)
        assert not any(stored is value for _, stored in fetch.cache.items())
        gone.append((key, value, str(reason)))

    numbers = itertools.count()

    @bounded(max=2, ttl=10, policy="lru", on_evict=note, clock=clock)
    def fetch(name: str) -> tuple[int]:
        return (next(numbers),)

    a, b = fetch("a"), fetch("b")
    fetch("c")
    assert gone.pop() == ("a", a, "size")
    fetch.cache.put("new", "b")
    assert gone.pop() == ("b", b, "replaced")
    fetch.cache.invalidate("b")
    assert gone.pop() == ("b", "new", "invalidated")
    fetch.cache.clear()
    assert gone.pop()[2] == "cleared"
    d = fetch("d")
    fetch.cache.refresh("d")
    assert gone.pop() == ("d", d, "replaced")
    clock.advance(10)
    fetch.cache.cleanup()
    assert gone.pop()[2] == "expired"
    assert gone == []
    assert {str(reason): count for reason, count in fetch.cache.stats().evictions.items()} == {
        "size": 1,
        "replaced": 2,
        "invalidated": 1,
        "cleared": 1,
        "expired": 1,
        "collected": 0,
    }


def test_the_identical_object_put_again_has_not_left() -> None:
    """Putting or loading the object already stored reports nothing; an equal other object replaces it."""
    gone: Gone = []
    value = ["the one"]

    @bounded(max=2, on_evict=lambda *what: gone.append(what))
    def fetch(name: str) -> list[str]:
        return value

    fetch("a")
    fetch.cache.put(value, "a")
    fetch.cache.refresh("a")
    assert gone == []
    assert sum(fetch.cache.stats().evictions.values()) == 0
    fetch.cache.put(list(value), "a")
    assert len(gone) == 1


def test_on_evict_runs_before_the_operation_returns_in_its_thread() -> None:
    """The thread whose call evicts has run `on_evict` when it gets its result."""
    threads: list[threading.Thread] = []

    @bounded(max=1, on_evict=lambda *what: threads.append(threading.current_thread()))
    def fetch(name: str) -> str:
        return name

    fetch("a")
    running = Running(lambda: (fetch("b"), len(threads)))
    assert running.result() == ("b", 1)
    assert threads == [running.thread]


def test_a_raising_on_evict_is_logged_and_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """An error of `on_evict` is logged under "memo", and call, put and clear go on."""
    seen = []

    def fail(key: Any, value: Any, reason: EvictionReason) -> None:
        seen.append(key)
        raise LookupError(f"cannot close {key}")

    @bounded(max=1, on_evict=fail)
    def fetch(name: str) -> str:
        return name

    fetch("a")
    assert fetch("b") == "b"
    fetch.cache.put("c", "b")
    assert fetch.cache.clear() == 1
    assert seen == ["a", "b", "b"]
    assert [record.name for record in caplog.records] == ["memo"] * 3
    assert "cannot close a" in caplog.text
    check(fetch)


@pytest.mark.parametrize("policy", POLICIES)
def test_on_evict_may_use_the_cache(policy: str) -> None:
    """An `on_evict` that loads, puts, invalidates and resizes in its own cache neither hangs nor breaks it."""
    seen: list[Any] = []

    def note(key: Any, value: Any, reason: EvictionReason) -> None:
        seen.append(key)
        if len(seen) < 20:
            assert fetch(key + 100) == key + 100
            fetch.cache.invalidate(key + 100)
            fetch.cache.put(1, -1)
            fetch.cache.resize(max=2)
            fetch.cache.stats()

    @bounded(max=2, policy=policy, on_evict=note)
    def fetch(x: int) -> int:
        return x

    for x in range(8):
        assert fetch(x) == x
    assert len(seen) >= 8
    check(fetch)


def test_on_evict_runs_outside_the_lock() -> None:
    """While `on_evict` waits for it, another thread can call, invalidate and count."""
    answers = []

    def note(key: Any, value: Any, reason: EvictionReason) -> None:
        if not answers:
            answers.append(None)
            answers.append(Running(lambda: (fetch(7), fetch.cache.invalidate(7), len(fetch.cache))).result())

    @bounded(max=4, policy="lru", on_evict=note)
    def fetch(x: int) -> int:
        return x

    fetch(1)
    fetch(2)
    fetch.cache.invalidate(1)
    assert answers == [None, (7, True, 1)]


def test_user_functions_run_outside_the_lock() -> None:
    """Sizeof, condition, copy, key, predicate and the function itself may wait for a thread that uses the cache."""

    def elsewhere(*args: Any) -> Any:
        """Needs the cache's lock, in another thread."""
        Running(lambda: (fetch.cache.put("x", "other"), fetch.cache.stats())).result()
        return True

    @bounded(
        max=8,
        max_bytes=1000,
        sizeof=lambda value: elsewhere() and 1 if value != "x" else 1,
        cache_if=lambda value: elsewhere() if value != "x" else True,
        copy=lambda value: elsewhere() and value if value != "x" else value,
        key=lambda name: elsewhere() and name if name != "other" else name,
    )
    def fetch(name: str) -> str:
        elsewhere()
        return name

    assert fetch("a") == fetch("a") == "a"
    assert fetch.cache.invalidate_where(lambda key, value: key == "a" and elsewhere()) == 1


def test_a_value_never_stored_never_reaches_on_evict() -> None:
    """Values that were turned down, too large or fenced off are not reported as having left."""
    gone: Gone = []

    @bounded(
        max=8, max_bytes=500, sizeof=len, cache_if=lambda value: value != "no", on_evict=lambda *what: gone.append(what)
    )
    def fetch(name: str) -> str:
        if name == "fenced":
            fetch.cache.invalidate("fenced")
        return name

    for name in ("no", "far too large for it" * 20, "fenced"):
        assert fetch(name) == name
    assert len(fetch.cache) == 0
    fetch.cache.clear()
    assert gone == []
