"""Functions as ``fallback=``: how they are called, for whom, and what becomes of what they raise."""

import asyncio
import contextlib
import contextvars
import gc
import logging
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from kit.freshness import Make, failing
from kit.threads import LIMIT_S, Running, until

from memo import bounded


def test_a_function_is_called_as_key_is() -> None:
    """With defaults filled in, by name what is taken by name, and the instance where it names it."""

    @bounded(max=8, fallback=lambda name, *rest, size, **more: (name, rest, size, more))
    def fetch(name: str, *rest: int, size: int = 3, **more: int) -> Any:
        raise LookupError("down")

    assert fetch("a") == ("a", (), 3, {})
    assert fetch("a", 1, 2, size=4, x=5) == ("a", (1, 2), 4, {"x": 5})

    class Shop:
        city = "Bonn"

        def guess(self, item: str) -> str:
            return f"{item} in {self.city}?"

        @bounded(max=8, fallback=guess)
        def price(self, item: str) -> str:
            raise LookupError("down")

        @bounded(max=8, fallback=lambda item: f"{item}?")
        def stock(self, item: str) -> str:
            raise LookupError("down")

        @bounded(max=8, fallback=lambda cls, item: f"{cls.city}: {item}?")
        @classmethod
        async def of(cls, item: str) -> str:
            raise LookupError("down")

        @bounded(max=8, fallback=lambda self: self.city.lower())
        @property
        def name(self) -> str:
            raise LookupError("down")

        referred = fetch

    shop = Shop()
    assert shop.price("tea") == Shop.price(shop, "tea") == "tea in Bonn?"
    assert shop.price.cache.call("tea") == "tea in Bonn?"
    assert shop.stock("tea") == "tea?"
    assert asyncio.run(shop.of("tea")) == "Bonn: tea?"
    assert shop.name == "bonn"
    assert shop.referred(size=1)[0] is shop


@pytest.mark.parametrize("fallback", [list, dict, lambda: {0}], ids=["list", "dict", "lambda"])
def test_a_class_or_a_function_of_nothing_makes_each_caller_one(make: Make, fallback: Any) -> None:
    """A class is called without arguments, and so is a function without parameters."""
    s = failing(make, fallback=fallback)
    first = s()
    assert first in ([], {}, {0})
    assert first is not s()


def test_what_a_fallback_of_a_coroutine_function_returns_is_awaited() -> None:
    """Of a coroutine function, and of a plain one that calls one; in the task and context of the caller."""
    tasks: list[Any] = []
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user")

    async def other(name: str) -> str:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        return f"{user.get()}'s {name}"

    async def main(fallback: Any) -> None:
        @bounded(max=8, fallback=fallback)
        async def fetch(name: str) -> str:
            raise LookupError("down")

        user.set("alice")
        assert await fetch("a") == "alice's a"
        assert tasks.pop() is asyncio.current_task()

    asyncio.run(main(other))
    asyncio.run(main(lambda name: other(name)))


def test_each_who_joined_asks_for_himself(make: Make) -> None:
    """In his own thread or task; the failed load is logged once."""
    asked: list[Any] = []

    def fallback(name: str) -> Any:
        asked.append(asyncio.current_task() if s.is_async else threading.current_thread())
        return asked[:]

    s = failing(make, fallback=fallback)
    gate = s.hold()
    calls = [s.begin() for _ in range(5)]
    s.until(lambda: gate.entered.is_set() and s.cache.inflight.stats().waiting == 4)
    gate.open()
    assert [bool(call.result()) for call in calls] == [True] * 5
    assert len(set(asked)) == len(asked) == 5
    assert s.counts == (0, 1, 4, 0, 0)
    assert s.cache.stats().fallbacks == 5


def test_a_cancelled_caller_gets_none() -> None:
    """Be he first or joined, or while he awaits his fallback; the others get theirs."""
    entered = asyncio.Event()
    asked: list[str] = []

    async def fallback(name: str) -> str:
        asked.append(name)
        if name == "slow":
            entered.set()
            await asyncio.Event().wait()
        return name.upper()

    @bounded(max=8, fallback=fallback)
    async def fetch(name: str) -> str:
        if name != "slow":
            entered.set()
            await gate.wait()
        raise LookupError("down")

    async def main() -> None:
        first, joined, last = (asyncio.create_task(fetch("a")) for _ in range(3))
        await entered.wait()
        while fetch.inflight.stats().waiting < 2:
            await asyncio.sleep(0)
        first.cancel()
        joined.cancel()
        gate.set()
        ends = await asyncio.gather(first, joined, last, return_exceptions=True)
        assert list(map(type, ends[:2])) == [asyncio.CancelledError] * 2
        assert (ends[2], asked) == ("A", ["a"])
        entered.clear()
        slow = asyncio.create_task(fetch("slow"))
        await entered.wait()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        stats = fetch.cache.stats()
        assert (stats.misses, stats.joins, stats.fallbacks) == (2, 1, 1)

    gate = asyncio.Event()
    asyncio.run(main())


def test_a_fallback_that_raises_is_told_with_the_error_of_the_load(make: Make) -> None:
    """As the context of its own; it may see that error, and raise it."""

    def refuses(name: str) -> Any:
        raise RuntimeError("no fallback")

    s = failing(make, fallback=refuses)
    with pytest.raises(RuntimeError, match="no fallback") as caught:
        s()
    assert caught.value.__context__ is s.body.error
    assert s.cache.stats().fallbacks == 0

    def chooses(name: str) -> Any:
        error = sys.exc_info()[1]
        assert error is s.body.error
        raise error

    s = failing(make, fallback=chooses)
    with pytest.raises(LookupError) as caught_again:
        s()
    assert caught_again.value is s.body.error


@pytest.mark.parametrize("raises", [False, True], ids=["answers", "raises"])
def test_nothing_of_the_failure_is_held(make: Make, raises: bool, caplog: pytest.LogCaptureFixture) -> None:
    """When the call has ended, its error goes by reference counts alone."""

    def fallback(name: str) -> str:
        if raises:
            raise  # noqa: PLE0704  # the load's error
        return name.upper()

    class Down(Exception):
        pass

    s = make(fallback=fallback)
    seen: list[weakref.ref[Down]] = []

    def result(name: str, number: int) -> str:
        error = Down()
        seen.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    async def awaited() -> None:  # within the loop: what that raises, it keeps
        with contextlib.suppress(Down):
            await s.reach()("a")

    s.body.result = result
    gc.collect()
    gc.disable()
    try:
        with caplog.at_level(logging.CRITICAL, "memo"), contextlib.suppress(Down):
            if s.is_async:
                s.run(awaited)
            else:
                s()
        assert [ref() for ref in seen] == [None]
    finally:
        gc.enable()


def test_a_fallback_may_call_the_function_for_another_key(make: Make) -> None:
    """As the load has ended by then, this is no circle."""
    s = make(fallback=lambda name: s.reach()("default"))

    def result(name: str, number: int) -> str:
        if name == "a":
            raise LookupError(name)
        return name

    s.body.result = result
    assert s() == "default"
    assert s() == "default"
    assert s.counts == (1, 3, 0, 0, 0)


def test_two_loops_ask_each_for_itself() -> None:
    """A load of one loop that fails: its own caller and one of another loop get a fallback in their own threads."""
    entered, opened = threading.Event(), threading.Event()
    asked: list[threading.Thread] = []

    async def fallback(name: str) -> str:
        asked.append(threading.current_thread())
        return name.upper()

    @bounded(max=8, fallback=fallback)
    async def fetch(name: str) -> str:
        entered.set()
        await asyncio.to_thread(opened.wait, LIMIT_S)
        raise LookupError("down")

    first = Running(lambda: asyncio.run(fetch("a")))  # type: ignore[arg-type]
    assert entered.wait(LIMIT_S)
    second = Running(lambda: asyncio.run(fetch("a")))  # type: ignore[arg-type]
    until(lambda: fetch.inflight.stats().waiting == 1)
    opened.set()
    assert (first.result(), second.result()) == ("A", "A")
    assert set(asked) == {first.thread, second.thread}


def coroutine_function() -> Any:
    """A coroutine function, and an object that is called as one."""

    async def other(name: str) -> None: ...

    class Other:
        async def __call__(self, name: str) -> None: ...

    return other, Other()


def generator_function(name: str) -> Iterator[str]:
    """What can be used only once."""
    yield name


@pytest.mark.parametrize("fallback", [*coroutine_function(), generator_function], ids=["async", "object", "generator"])
def test_a_fallback_that_callers_cannot_use_is_refused(fallback: Any) -> None:
    """Of a plain function nobody awaits a coroutine; a generator is for one caller."""
    with pytest.raises(TypeError, match="fallback="):

        @bounded(max=8, fallback=fallback)
        def fetch(name: str) -> str:
            return name


def test_a_fallback_that_does_not_fit_is_refused_before_it_is_needed() -> None:
    """At decoration, in any placement, with what is wrong."""
    with pytest.raises(TypeError, match=r"cannot be called as .*fetch\(\) is: too many positional"):

        @bounded(max=8, fallback=lambda name: name)
        def fetch(name: str, lang: str = "en") -> str:
            return name

    with pytest.raises(TypeError, match="missing a required argument: 'y'"):

        @bounded(max=8, fallback=lambda x, y: x)
        @staticmethod
        async def static(name: str) -> str:
            return name

    with pytest.raises(TypeError, match="too many positional arguments"):

        class Shop:
            @bounded(max=8, fallback=lambda self: self)
            def price(self, item: str) -> str:
                return item


@pytest.mark.parametrize(
    "fallback",
    [lambda: 1, lambda name, lang: 1, lambda *all: 1, lambda **all: 1, lambda name, **all: 1, min],
    ids=["nothing", "the same", "positional", "named", "mixed", "of C"],
)
def test_a_fallback_that_may_fit_is_taken(fallback: Any) -> None:
    """And is called by position or by name, as it takes them; of a builtin nobody knows."""

    @bounded(max=8, fallback=fallback)
    def fetch(name: str, lang: str = "en") -> Any:
        raise LookupError("down")

    assert fetch("a") in (1, "a")
