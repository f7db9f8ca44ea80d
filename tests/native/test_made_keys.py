"""Calls whose keys ``key=`` makes: it is asked once for each, whoever goes on by what it made."""

import asyncio
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


# -- of methods


class Service:
    """Methods whose keys a ``key=`` makes that is told of the instance, too."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def note(self, x: Any) -> Any:
        self.asked.append(x)
        return x() if callable(x) else x

    @bounded(max=8, ttl=60, key=note, registry=Registry())
    def fetch(self, x: Any) -> Any:
        return [self, x]

    @bounded(max=8, ttl=60, key=note, registry=Registry())
    async def awaited(self, x: Any) -> Any:
        await asyncio.sleep(0)
        return [self, x]

    @dedupe_inflight(key=note, registry=Registry())
    def shared(self, x: Any) -> Any:
        return [self, x]


def test_instances_have_keys_of_their_own() -> None:
    """A method's key is what ``key=`` made beside the instance, which need not have had a call before."""
    first, second = Service(Asked()), Service(Asked())
    first.fetch(0)  # at which the wrapper is made
    assert in_python(lambda: second.fetch(1)) == 0
    assert in_python(lambda: second.fetch(1)) == 0
    assert first.fetch(1) is first.fetch(1)
    assert second.fetch(1) is second.fetch(1) is not first.fetch(1)
    assert second.fetch(1) == [second, 1]
    assert (first.asked, second.asked) == ([0, 1, 1, 1], [1] * 5)
    assert len(first.fetch.cache) == 2
    assert len(second.fetch.cache) == 1
    second.fetch.cache.clear()
    assert len(Service.fetch.cache) == 2
    check(Service.fetch)


def test_a_method_leads_by_the_key_that_was_made() -> None:
    """Where nothing is stored, the calls of a method ask for their keys once, too."""
    one = Service(Asked())
    one.shared(0)
    assert in_python(lambda: one.shared(1)) == 0
    assert one.shared(1) == [one, 1]
    assert one.asked == [0, 1, 1]


def test_an_instance_that_no_token_can_stand_for() -> None:
    """A method of what can be neither referred to weakly nor hashed is refused as it is in Python."""

    class Slotted:
        __slots__ = ("asked",)
        __hash__ = None  # type: ignore[assignment]

        @bounded(max=8, key=lambda self, x: self.asked.append(x) or x, registry=Registry())
        def fetch(self, x: Any) -> Any:
            return x

    one: Any = Slotted()
    one.asked = []
    with pytest.raises(TypeError, match="Slotted"):
        one.fetch(1)
    assert one.asked == [1]


# -- of coroutine functions


@pytest.mark.parametrize(
    "options", [{}, {"ttl": 60}, {"work": "caller"}, {"ttl": 60, "work": "caller", "policy": "lru"}]
)
def test_a_coroutine_asks_for_its_key_once(options: dict[str, Any]) -> None:
    """Not as it is made but in its first step; and hits, misses and calls that join another one go by that key."""
    asked = Asked()

    @bounded(max=8, key=asked, registry=Registry(), **options)
    async def fetch(x: Any, other: Any = None, *, y: int = 1) -> Any:
        await asyncio.sleep(0)
        return [x, other, y]

    async def calls() -> None:
        await fetch(0)
        asked.clear()
        with wrappers_entered() as entered:
            coroutine = fetch(1, 5, y=2)
            assert asked == []
            first = await coroutine
            assert await fetch(x=1, y=2) is first
            assert await fetch(1, y=2) is first
        assert entered == []
        assert first == [1, 5, 2]
        assert asked == [1, 1, 1]
        together = await asyncio.gather(*(fetch(2) for _ in range(5)))
        assert all(one is together[0] for one in together)
        assert asked == [1, 1, 1, 2, 2, 2, 2, 2]
        with pytest.raises(TypeError, match="unexpected keyword"):
            fetch(1, z=1)
        never = fetch(7)
        never.close()
        assert 7 not in asked

    asyncio.run(calls())
    stats = fetch.cache.stats()
    assert (stats.hits, stats.misses, stats.joins) == (2, 3, 4)
    check(fetch)


@pytest.mark.parametrize("work", ["shared", "caller"])
def test_a_coroutine_whose_key_cannot_be_made(work: Any) -> None:
    """What ``key=`` raises is raised by the await, and so is that its key cannot be hashed; nothing was begun."""
    asked = Asked()

    @bounded(max=8, key=asked, work=work, registry=Registry())
    async def fetch(x: Any) -> Any:
        return x

    def fail() -> None:
        raise LookupError("no key")

    async def calls() -> None:
        await fetch(0)
        with pytest.raises(LookupError, match="no key"):
            await fetch(fail)
        with pytest.raises(TypeError, match=r"unhashable type: 'list': .*key= returned \['a'\]"):
            await fetch(lambda: ["a"])

    asyncio.run(calls())
    assert len(asked) == 3
    assert fetch.cache.stats().misses == 1
    assert len(fetch.cache.inflight) == 0


def test_a_coroutine_method_and_who_leaves_it() -> None:
    """The caller that asked for the key may be cancelled: those that joined it get the result, by one load."""
    one = Service(Asked())

    async def calls() -> None:
        leader = asyncio.ensure_future(one.awaited(1))
        others = [asyncio.ensure_future(one.awaited(1)) for _ in range(3)]
        await asyncio.sleep(0)
        leader.cancel()
        found = await asyncio.gather(*others)
        assert found[0] == [one, 1]
        assert all(each is found[0] for each in found)
        assert leader.cancelled()
        assert await one.awaited(1) is found[0]

    asyncio.run(calls())
    assert one.asked == [1] * 5
    assert one.awaited.cache.inflight.stats().started == 1
