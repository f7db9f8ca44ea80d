"""Calls are recorded when they end, as what they were."""

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kit.windows import keys_of

from memo import freeze, sliding_window
from memo.testing import FakeClock

OUTSIDE = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)


def outcomes_of(function: Any) -> list[str]:
    return [event.outcome for event in function.window.events()]


def test_call_is_recorded_when_it_ends(clock: FakeClock) -> None:
    """Start, duration, outcome and key of a call are those of the call; it counts from its end on."""

    @sliding_window("1m", clock=clock)
    def work(item: str, times: int = 1) -> str:
        assert work.window.count() == 0
        clock.advance(2)
        return item * times

    before = datetime.now(UTC)
    assert work("a", times=2) == "aa"
    (event,) = work.window.events()
    assert event.duration == 2.0
    assert (event.outcome, event.key, event.error, event.message) == ("ok", "('a', 2)", None, None)
    assert event.at.tzinfo is UTC
    # Dated by the wall clock at decoration, which the fake clock has left behind since.
    assert abs(event.at - before) < timedelta(minutes=1)


@pytest.mark.parametrize("spell", [lambda f: f("a"), lambda f: f(name="a"), lambda f: f("a", lang="en")])
def test_one_key_however_it_is_spelled(spell: Callable[[Any], object]) -> None:
    """A positional, a keyword and a default spelling have one key."""

    @sliding_window("1m")
    def fetch(name: str, lang: str = "en") -> None: ...

    spell(fetch)
    assert keys_of(fetch) == ["('a', 'en')"]


def test_exception_passes_unchanged(clock: FakeClock) -> None:
    """The very exception object reaches the caller, with one frame of the wrapper in its traceback."""
    error = ValueError("no such user")

    @sliding_window("1m", clock=clock)
    def fail() -> None:
        clock.advance(0.5)
        raise error

    with pytest.raises(ValueError, match="no such user") as caught:
        fail()
    assert caught.value is error
    assert error.__context__ is None
    assert error.__cause__ is None
    assert len(caught.traceback) == 3  # here, the wrapper, the function
    (event,) = fail.window.errors()
    assert (event.outcome, event.error, event.message, event.duration) == ("error", "ValueError", "no such user", 0.5)


@pytest.mark.parametrize("kind", OUTSIDE)
def test_what_is_no_failure_counts_as_cancelled(kind: type[BaseException]) -> None:
    """An end that an ``except Exception`` would let pass is "cancelled", not an error, and goes on to the caller."""
    error = kind()

    @sliding_window("1m")
    def work() -> None:
        raise error

    with pytest.raises(kind) as caught:
        work()
    assert caught.value is error
    assert outcomes_of(work) == ["cancelled"]
    assert work.window.errors() == []
    assert work.window.error_ratio() == 0.0
    stats = work.window.stats()
    assert (stats.count, stats.errors, stats.cancelled) == (1, 0, 1)


def test_coroutine(clock: FakeClock) -> None:
    """A coroutine function stays one, and is timed to the end of its work."""

    @sliding_window("1m", clock=clock)
    async def fetch(name: str) -> str:
        await asyncio.sleep(0)
        clock.advance(3)
        if name == "bad":
            raise LookupError(name)
        return name

    assert inspect.iscoroutinefunction(fetch)

    async def main() -> None:
        assert await fetch("a") == "a"
        with pytest.raises(LookupError):
            await fetch("bad")
        fetch("never awaited").close()

    asyncio.run(main())
    assert [(e.key, e.outcome, e.duration) for e in fetch.window.events()] == [
        ("'bad'", "error", 3.0),
        ("'a'", "ok", 3.0),
    ]


def test_cancelled_coroutine() -> None:
    """A cancelled coroutine is an outcome of its own, and stays cancelled."""

    @sliding_window("1m")
    async def wait(event: asyncio.Event) -> None:
        event.set()
        await asyncio.Event().wait()

    async def main() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(wait(begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    assert outcomes_of(wait) == ["cancelled"]


def test_closed_coroutine() -> None:
    """A running coroutine that is closed counts as cancelled."""

    @sliding_window("1m")
    async def wait() -> None:
        await asyncio.Event().wait()

    coroutine = wait()

    async def begin() -> None:
        coroutine.send(None)
        coroutine.close()

    asyncio.run(begin())
    assert outcomes_of(wait) == ["cancelled"]


def test_two_event_loops() -> None:
    """Calls from several loops, one after the other and at once, enter one window."""

    @sliding_window("1m")
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def several() -> None:
        await asyncio.gather(*(work(number) for number in range(20)))

    asyncio.run(several())
    threads = [threading.Thread(target=asyncio.run, args=(several(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert work.window.count() == 80


def test_arguments_that_cannot_be_hashed() -> None:
    """A window makes text of a key, so it takes any argument; the text shows the arguments as the call got them."""

    @sliding_window("1m")
    def total(prices: dict[str, list[int]], *more: object, **rest: object) -> int:
        number = sum(map(sum, prices.values()))
        prices.clear()
        return number

    assert total({"tea": [1, 2]}, [3], b=4, a=5) == 3
    assert keys_of(total) == ["({'tea': [1, 2]}, ([3],), (('a', 5), ('b', 4)))"]


def test_text_of_a_key_is_short_and_harmless(caplog: pytest.LogCaptureFixture) -> None:
    """A key's text has at most 200 characters, and an argument whose repr raises does no harm."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    @sliding_window("1m")
    def work(value: object) -> None: ...

    for value in ("x" * 10_000, Broken(), list(range(10_000)), 10**5000):
        work(value)
    keys = keys_of(work)
    assert keys[2] == "<Broken>"
    assert len(keys) == 4
    assert max(map(len, keys)) == 200
    assert caplog.records == []


def test_key_of_ones_own(caplog: pytest.LogCaptureFixture) -> None:
    """``key=`` gets the arguments with defaults, without self; what it returns need not be hashable."""

    class Shop:
        @sliding_window("1m", key=lambda item, currency: [currency, item])
        def price(self, item: str, currency: str = "EUR") -> str:
            return item

    Shop().price("tea")
    assert keys_of(Shop.price) == ["['EUR', 'tea']"]
    assert caplog.records == []


def test_failing_key_is_logged_and_the_call_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """A ``key=`` that raises breaks no call, and loses no count."""

    @sliding_window("1m", key=lambda number: 1 // number)
    def work(number: int) -> str:
        return "done"

    assert work(0) == "done"
    assert work(1) == "done"
    assert keys_of(work) == ["1", "<no key: ZeroDivisionError>"]
    assert [(record.name, record.levelno) for record in caplog.records] == [("memo", logging.ERROR)]


def test_ignored_parameters_and_freeze() -> None:
    """``ignore=`` leaves parameters out; ``key=freeze`` works as elsewhere."""

    @sliding_window("1m", ignore=("trace",))
    def order(number: int, trace: str = "") -> None: ...

    @sliding_window("1m", key=freeze)
    def total(prices: list[int]) -> None: ...

    order(1, trace="x")
    order(1, trace="y")
    assert order.window.by_key() == [("1", 2)]
    total([1])
    assert total.window.count() == 1
