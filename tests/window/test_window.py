"""``@sliding_window``: it records in every placement, changes nothing of the call, and keeps nothing alive."""

import asyncio
import enum
import gc
import inspect
import itertools
import logging
import math
import os
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memo import Registry, WindowStats, bounded, dedupe_inflight, freeze, sliding_window
from memo._base.key_text import stored_key
from memo._base.shortened import short_text
from memo.testing import FakeClock

OUTSIDE = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def keys_of(function: Any) -> list[str]:
    return [event.key for event in function.window.events()]


def outcomes_of(function: Any) -> list[str]:
    return [event.outcome for event in function.window.events()]


# What is recorded


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


# Keys


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


class Word(str):
    __slots__ = ()


class Number(int):
    pass


class Level(enum.IntEnum):
    HIGH = 1


SMALL: list[Any] = [
    None, True, False, 0, -1, 7, 2**63 - 1, 1 - 2**63, 1.5, math.nan, -math.inf, "", "alice", "x" * 200, b"x" * 200,
]  # fmt: skip
NOT_SMALL: list[Any] = [
    2**63, -(2**63), 10**5000, "x" * 201, b"x" * 201, Word("w"), Number(3), Level.HIGH, bytearray(b"x"), 1j,
    (), (1,), (1, (2,)), [1], {1: 2}, {1}, ("x" * 201,), object, timedelta.max,
]  # fmt: skip


def _one(x: Any) -> None: ...
def _two(x: Any, y: Any) -> None: ...
def _named(*, x: Any, y: Any = 1) -> None: ...
def _any(*args: Any, **kwargs: Any) -> None: ...
def _nine(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, i: Any) -> None: ...


@pytest.mark.parametrize("value", SMALL + NOT_SMALL, ids=lambda value: short_text(value)[:20])
@pytest.mark.parametrize(
    ("make_key", "function", "call"),
    [
        (lambda v: v, _one, lambda f, v: f(v)),
        (lambda v: (v, 1), _two, lambda f, v: f(v, 1)),
        (lambda v: ("a", v), _two, lambda f, v: f("a", y=v)),
        (lambda v: (v, 1), _named, lambda f, v: f(x=v)),
        (lambda v: ((v, 2), (("k", v),)), _any, lambda f, v: f(v, 2, k=v)),
        (lambda v: (v,) * 9, _nine, lambda f, v: f(*(v,) * 9)),
    ],
    ids=["one", "first of two", "second of two", "keyword-only", "any", "nine"],
)
def test_wrapper_keeps_what_stored_key_tells(
    value: Any, make_key: Callable[[Any], object], function: Any, call: Callable[[Any, Any], object]
) -> None:
    """The wrapper, which tells small keys by itself, keeps of every key what the function that tells all would keep."""
    decorated = sliding_window("1m")(function)
    chosen = sliding_window("1m", key=lambda *a, **k: make_key(value))(function)
    wanted = stored_key(make_key(value))
    for work in (decorated, chosen):
        call(work, value)
        ((_, _, _, kept),) = work.window._recorder.intake._pending
        assert type(kept) is type(wanted)
        assert repr(kept) == repr(wanted)
        if type(kept) is tuple:
            assert list(map(type, kept)) == list(map(type, wanted))  # type: ignore[call-overload]
        assert keys_of(work) == [short_text(make_key(value))]


def test_arguments_named_as_the_wrapper_names_its_own() -> None:
    """Parameters may have any name, also those of the wrapper's own variables."""

    @sliding_window("1m")
    def work(_memo_k: int, _memo_result: int, _memo_started: int = 3, **_memo_error: int) -> tuple[int, ...]:
        return _memo_k, _memo_result, _memo_started

    assert work(1, 2) == (1, 2, 3)
    assert keys_of(work) == ["(1, 2, 3, ())"]


# Placements


class Placed:
    """Every placement of one method."""

    @sliding_window("1m")
    def method(self, x: int) -> int:
        return x

    @sliding_window("1m")
    async def coroutine(self, x: int) -> int:
        return x

    @classmethod
    @sliding_window("1m")
    def class_inner(cls, x: int) -> int:
        return x

    @sliding_window("1m")
    @classmethod
    def class_outer(cls, x: int) -> int:
        return x

    @staticmethod
    @sliding_window("1m")
    def static_inner(x: int) -> int:
        return x

    @sliding_window("1m")
    @staticmethod
    def static_outer(x: int) -> int:
        return x

    @property
    @sliding_window("1m")
    def property_inner(self) -> int:
        return 7

    @sliding_window("1m")
    @property
    def property_outer(self) -> int:
        return 7


@pytest.mark.parametrize("name", ["method", "coroutine", "class_inner", "class_outer", "static_inner", "static_outer"])
def test_placement(name: str) -> None:
    """Wherever it stands it returns what the method does, and records the key without self or cls, per function."""
    getattr(Placed, name).window.clear()
    for place in (Placed(), Placed()):
        result = getattr(place, name)(x=3)
        assert (asyncio.run(result) if inspect.iscoroutine(result) else result) == 3
        assert getattr(place, name).window.events()[0].key == "3"
    assert getattr(Placed, name).window.count() == 2
    assert getattr(Placed(), name).window.count() == 2
    assert getattr(Placed(), name).window.stats().name.endswith(f".Placed.{name}")


@pytest.mark.parametrize("name", ["property_inner", "property_outer"])
def test_property(name: str) -> None:
    """A property's getter is recorded; the handle is reached through the class."""
    attribute = vars(Placed)[name]
    getter = attribute.fget
    getter.window.clear()
    assert getattr(Placed(), name) == 7
    assert getter.window.count() == 1
    assert keys_of(getter) == ["()"]


def test_instances_of_any_kind() -> None:
    """Instances need be neither hashable nor weakly referenceable: no key names them."""

    class Odd:
        __slots__ = ("value",)
        __hash__ = None  # type: ignore[assignment]

        def __init__(self, value: int) -> None:
            self.value = value

        @sliding_window("1m")
        def get(self, factor: int) -> int:
            return self.value * factor

    assert [Odd(2).get(3), Odd(5).get(3)] == [6, 15]
    assert Odd.get.window.by_key() == [("3", 2)]


def test_transparent() -> None:
    """The decorated function is the original to inspect, and to whoever compares or pickles it."""

    def plain(a: int, *, b: str = "x") -> str:
        """What it does."""
        return b * a

    decorated = sliding_window("1m")(plain)
    assert decorated.__wrapped__ is plain
    assert inspect.signature(decorated) == inspect.signature(plain)
    assert (decorated.__name__, decorated.__doc__) == ("plain", "What it does.")
    assert decorated == plain
    assert pickle.loads(pickle.dumps(picklable)) is picklable
    with pytest.raises(TypeError, match=r"plain\(\) missing 1 required positional argument: 'a'"):
        decorated()  # type: ignore[call-arg]
    assert decorated.window.count() == 0  # it was no call of the function


@sliding_window("1m")
def picklable() -> None: ...


STACKED: dict[str, Callable[[], Any]] = {
    "window": lambda: sliding_window("1m"),
    "bounded": lambda: bounded(max=10),
    "dedupe": lambda: dedupe_inflight(timeout=5),
}


@pytest.mark.parametrize("order", list(itertools.permutations(STACKED)), ids="-".join)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_stacked(order: tuple[str, ...], is_async: bool) -> None:
    """In every order all handles are reached from the outermost, and a window counts what gets through to it."""
    runs: list[int] = []

    def plain(x: int) -> int:
        runs.append(x)
        return x

    async def coroutine(x: int) -> int:
        return plain(x)

    function: Any = coroutine if is_async else plain
    for name in order:
        function = STACKED[name]()(function)
    for _ in range(3):
        assert (asyncio.run(function(1)) if is_async else function(1)) == 1
    assert runs == [1]
    assert function.cache.stats().misses == 1
    assert function.inflight.stats().active == 0
    # Outside the cache it sees every call, inside only those that the cache did not answer.
    outside = order.index("window") > order.index("bounded")
    assert function.window.count() == (3 if outside else 1)
    record = function.__memo_record__
    stats = record.stats()
    assert None not in (stats.cache, stats.inflight, stats.window)
    record.cleanup()
    record.clear()
    assert function.window.count() == len(function.cache) == 0


def test_handle_that_is_missing() -> None:
    """A function without a window says how to get one."""

    @bounded(max=3)
    def plain() -> None: ...

    with pytest.raises(AttributeError, match="decorate it with @sliding_window as well"):
        _ = plain.window


def test_builtin_and_wrapped_functions() -> None:
    """A builtin, a function with functools.wraps and a callable object can be recorded."""
    length = sliding_window("1m")(len)
    assert length([1, 2]) == 2
    assert keys_of(length) == ["[1, 2]"]

    class Adder:
        def __call__(self, a: int, b: int) -> int:
            return a + b

    add = sliding_window("1m")(Adder())
    assert add(1, b=2) == 3
    assert keys_of(add) == ["(1, 2)"]


def test_generator_functions_are_refused() -> None:
    """What could only be timed up to its first line is refused at decoration."""
    with pytest.raises(TypeError, match="generator function"):

        @sliding_window("1m")
        def numbers() -> Iterator[int]:
            yield 1


# only=


@pytest.mark.parametrize("only", [(LookupError, TypeError), LookupError, [LookupError]])
def test_only_some_errors(only: Any) -> None:
    """With ``only=`` neither successes nor cancellations nor other failures are recorded."""

    @sliding_window("1m", only=only)
    def work(error: BaseException | None) -> str:
        if error is not None:
            raise error
        return "done"

    assert work(None) == "done"
    for error in (KeyError("k"), ValueError("v"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            work(error)
    assert [event.error for event in work.window.events()] == ["KeyError"]
    assert work.window.count() == 1
    assert work.window.error_ratio() == 1.0


def test_told_of_errors(clock: FakeClock) -> None:
    """``record_error()`` takes an error that was caught elsewhere, and neither raises nor changes it."""

    @sliding_window("1h", max=3, only=Exception, clock=clock)
    def track_error(error: Exception, where: str | None = None) -> None:
        track_error.window.record_error(error, key=where)

    for number in range(5):
        clock.advance(1)
        error = ValueError(number)
        track_error(error, "parser" if number == 4 else None)
        assert error.__traceback__ is None
    events = track_error.window.errors()
    assert [(event.message, event.key) for event in events] == [
        ("4", "'parser'"),
        ("3", "ValueError"),
        ("2", "ValueError"),
    ]
    assert track_error.window.count() == 5  # the call itself went well, so that only= leaves it out
    track_error.window.record_error(KeyboardInterrupt())
    assert track_error.window.count() == 5
    with pytest.raises(TypeError, match="error='no' is no exception"):
        track_error.window.record_error("no")  # type: ignore[arg-type]


# It keeps nothing alive


class Thing:
    """An argument, a result, an attribute of an error."""


class ThingError(Exception):
    def __init__(self, thing: Thing) -> None:
        super().__init__("a thing broke")
        self.thing = thing


@contextmanager
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_nothing_is_kept_alive(is_async: bool) -> None:
    """Arguments, results, exceptions and instances go by reference counting alone as soon as the caller lets go."""

    class Owner:
        @sliding_window("1h")
        def sync(self, thing: Thing, fails: bool = False) -> Thing:
            if fails:
                raise ThingError(thing)
            return Thing()

        @sliding_window("1h")
        async def coro(self, thing: Thing, fails: bool = False) -> Thing:
            return Owner.sync.__wrapped__(self, thing, fails)

    refs: list[weakref.ref[Any]] = []

    def run(owner: Any, *args: Any) -> Any:
        if not is_async:
            return owner.sync(*args)
        coroutine = owner.coro(*args)
        try:  # by hand: an event loop has reference cycles of its own
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("it waits for nothing")

    def use() -> None:
        owner, thing = Owner(), Thing()
        refs.extend(map(weakref.ref, (owner, thing, run(owner, thing))))
        try:
            run(owner, thing, True)
        except ThingError as error:
            refs.append(weakref.ref(error))

    with collector_off():
        use()
        assert [ref() for ref in refs] == [None] * 4
    window = Owner.coro.window if is_async else Owner.sync.window
    assert window.count() == 2
    assert window.errors()[0].message == "a thing broke"


def test_decorated_closure_dies() -> None:
    """A decorated closure that nobody holds goes, and its record with it; one whose handle is held stays."""
    registry = Registry()

    def make(name: str) -> Any:
        @sliding_window("1h", registry=registry, name=name)
        def closure() -> None: ...

        return closure

    dying, handle = make("dying"), make("held").window
    dying()
    assert {record.name for record in registry} == {"dying", "held"}
    del dying
    gc.collect()
    assert [record.name for record in registry] == ["held"]
    assert handle.stats().name == "held"


# Time


def test_events_leave_at_exactly_the_span(clock: FakeClock) -> None:
    """A call is in the window until just before its end is the span ago, and out at exactly the span."""

    @sliding_window("1m", clock=clock)
    def work() -> None: ...

    work()
    clock.advance(59)
    assert (work.window.count(), len(work.window)) == (1, 1)
    clock.advance(1)
    assert (work.window.count(), len(work.window), work.window.events()) == (0, 0, [])
    assert work.window.cleanup() == 1


def test_last_part_of_the_window(clock: FakeClock) -> None:
    """``last`` narrows every answer."""

    @sliding_window("1h", clock=clock)
    def work(fails: bool) -> None:
        clock.advance(1)
        if fails:
            raise ValueError

    work(False)
    clock.advance("30m")
    with pytest.raises(ValueError, match=r"^$"):
        work(True)
    window = work.window
    assert [window.count(last) for last in (None, "15m", 60, timedelta(minutes=45), "1h")] == [2, 1, 1, 2, 2]
    assert (window.error_ratio(), window.error_ratio("15m")) == (0.5, 1.0)
    assert (len(window.events()), len(window.events("15m")), len(window.errors("15m"))) == (2, 1, 1)
    assert window.rate() == 2 / 3600
    assert window.rate(per="1h") == 2
    assert window.rate(per="1m", last="15m") == pytest.approx(1 / 15)
    p50 = window.percentile(50, last="15m")
    assert p50 is not None
    assert p50 == pytest.approx(1.0, rel=0.05)


def test_counts_stay_exact_past_max(clock: FakeClock) -> None:
    """Past ``max`` the latest calls are kept, and counts, errors and percentiles still tell of all."""

    @sliding_window("1h", max=10, clock=clock)
    def work(number: int) -> None:
        clock.advance(0.25 if number < 900 else 1.0)
        if number % 4 == 0:
            raise ValueError(number)

    for number in range(1000):
        try:
            work(number)
        except ValueError:
            pass
    stats = work.window.stats()
    assert (stats.count, stats.errors, stats.kept, stats.dropped) == (1000, 250, 10, 990)
    assert stats.error_ratio == 0.25
    assert (stats.p50, stats.p95) == (pytest.approx(0.25, rel=0.05), pytest.approx(1.0, rel=0.05))
    assert [event.key for event in work.window.events()] == [str(number) for number in range(999, 989, -1)]
    assert sum(bucket.count for bucket in work.window.series(24)) == 1000


def test_window_shorter_than_any_bucket(clock: FakeClock) -> None:
    """A window of a microsecond is exact as well."""

    @sliding_window("1us", clock=clock)
    def work() -> None: ...

    work()
    work()
    assert work.window.count() == 2
    clock.advance("1ms")
    assert work.window.count() == 0


class SetClock:
    """Shows, returns or raises whatever the test sets."""

    def __init__(self, now: Any = 1000.0) -> None:
        self.now = now

    def __call__(self) -> Any:
        if isinstance(self.now, BaseException):
            raise self.now
        return self.now


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, "soon", RuntimeError("no clock")])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_broken_clock_breaks_no_call(bad: Any, is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Under a clock that fails, at either end of a call or at decoration, calls go on; it is logged, and recovers."""
    clock = SetClock(bad)

    @sliding_window("1m", clock=clock)
    def work(then: Any, error: Exception | None = None) -> str:
        clock.now = then
        if error is not None:
            raise error
        return "done"

    @sliding_window("1m", clock=clock)
    async def coroutine(then: Any, error: Exception | None = None) -> str:
        return work.__wrapped__(then, error)

    def call(*args: Any) -> Any:
        return asyncio.run(coroutine(*args)) if is_async else work(*args)

    function: Any = coroutine if is_async else work
    assert call(bad) == "done"  # at both ends
    assert call(1000.0) == "done"  # at the beginning
    assert call(bad) == "done"  # at the end
    clock.now = 1000.0
    error = ValueError("its own")
    with pytest.raises(ValueError, match="its own") as caught:
        call(bad, error)
    assert caught.value is error
    assert function.window.count() == 0
    clock.now = 1001.0
    assert call(1002.0) == "done"
    assert function.window.count() == 1
    (event,) = function.window.events()
    assert event.duration == 1.0
    assert abs(event.at - datetime.now(UTC)) < timedelta(hours=1)
    assert {record.name for record in caplog.records} == {"memo"}
    assert len(caplog.records) >= 4


def test_reading_under_a_broken_clock(caplog: pytest.LogCaptureFixture) -> None:
    """While the clock fails the window stands still, and its figures can still be had."""
    clock = SetClock()

    @sliding_window("1m", clock=clock)
    def work() -> None: ...

    work()
    assert work.window.count() == 1
    clock.now = math.nan
    assert work.window.stats().count == 1
    clock.now = RuntimeError()
    assert len(work.window.events()) == 1
    clock.now = 1059.0
    assert work.window.count() == 1
    clock.now = 1060.0
    assert work.window.count() == 0
    assert len(caplog.records) == 2


def test_clock_that_goes_back(clock: FakeClock) -> None:
    """A clock that goes back neither loses calls nor keeps them for ever; no duration is negative."""
    clock = SetClock()  # type: ignore[assignment]

    @sliding_window("1m", clock=clock)
    def work(then: float) -> None:
        clock.now = then  # type: ignore[attr-defined]

    work(1001.0)
    work(400.0)
    work(410.0)
    assert work.window.count() == 3
    assert [event.duration for event in work.window.events()] == [10.0, 0.0, 1.0]
    clock.now = 470.0  # type: ignore[attr-defined]
    assert work.window.count() == 0


# Interruptions


class Interruption:
    """Runs something at the n-th line that this thread comes to within a window, as a signal handler might."""

    inside = ("/memo/_window/", "/memo/_sliding_window.py", "<memo ")

    def __init__(self, line: int, action: Callable[[], object]) -> None:
        self.left = line
        self.action = action

    def trace(self, frame: Any, event: str, arg: object) -> Any:
        if not any(part in frame.f_code.co_filename for part in self.inside):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                self.action()
        return self.trace

    def __enter__(self) -> None:
        self.before = sys.gettrace()
        sys.settrace(self.trace)

    def __exit__(self, *exception: object) -> None:
        sys.settrace(self.before)


@pytest.mark.parametrize("step", [0, 30], ids=["at once", "later"])
def test_interrupted_at_any_line(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler or finaliser that calls, reads and cleans up, at any line of a call or look, harms neither."""
    batch = 16
    monkeypatch.setattr("memo._window.intake.BATCH", batch)
    clock = FakeClock()

    def interrupt() -> None:
        clock.advance(step)
        work()
        work.window.stats()
        work.window.events()
        work.window.cleanup()

    line = 0
    reached = True
    while reached:
        line += 1

        @sliding_window("1m", max=batch + 8, clock=clock)
        def work() -> None: ...

        for _ in range(10):  # in slices of their own, half of which the interruption puts out of the window
            work()
            clock.advance(4)
        work.window.stats()
        clock.advance(15)
        for _ in range(batch - 1):
            work()
        interruption = Interruption(line, interrupt)
        with interruption:
            work()  # a batch is full
            work.window.stats()
            work.window.events("30s")
            work.window.percentile(50, "30s")
        reached = interruption.left <= 0
        work.window._recorder._check()
        assert work.window.count(10 + step * reached) == batch + reached
    assert line > 200


# Threads and processes


def test_eight_threads_lose_no_call() -> None:
    """Eight threads, failing now and then, while a ninth reads: every call is counted."""
    each, threads = 3_000, 8
    start = threading.Barrier(threads + 1)
    done = threading.Event()

    @sliding_window("1h", max=500)
    def work(number: int) -> int:
        if number % 3 == 0:
            raise ValueError
        return number

    def run() -> None:
        start.wait(30)
        for number in range(each):
            try:
                work(number)
            except ValueError:
                pass

    def read() -> None:
        start.wait(30)
        while not done.is_set():
            work.window.stats()
            work.window.cleanup()
            len(work.window.errors())

    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        workers = [threading.Thread(target=run) for _ in range(threads)]
        reader = threading.Thread(target=read)
        for thread in (*workers, reader):
            thread.start()
        for thread in workers:
            thread.join()
        done.set()
        reader.join()
    finally:
        sys.setswitchinterval(old)
    stats = work.window.stats()
    assert (stats.count, stats.errors, stats.kept) == (threads * each, threads * each // 3, 500)
    assert stats.dropped == stats.count - stats.kept


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # the point of the test, from 3.12 on
def test_fork_while_another_thread_holds_the_lock() -> None:
    """A forked child goes on with the window, whoever held its lock in the parent."""

    @sliding_window("1h")
    def work() -> None: ...

    work()
    assert work.window.count() == 1
    work()  # still waits to be entered
    held, release = threading.Event(), threading.Event()
    intake = work.window._recorder.intake

    def hold() -> None:
        with intake._lock:
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0 if work.window.count() == 3 else 2
        finally:
            os._exit(status)
    release.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert work.window.count() == 2


# The registry


def test_registry_shows_and_cleans_windows(clock: FakeClock) -> None:
    """A window has a record, figures that subtract, a row with a sparkline, and is swept."""
    registry = Registry()

    @sliding_window("2m", registry=registry, clock=clock, name="work")
    def work(fails: bool = False) -> None:
        clock.advance(1)
        if fails:
            raise ValueError

    work()
    earlier = registry.stats()["work"]
    work()
    with pytest.raises(ValueError, match=r"^$"):
        work(True)
    later = registry.stats()["work"]
    assert later.window == work.window.stats()
    assert (later.cache, later.inflight) == (None, None)
    change = (later - earlier).window
    assert isinstance(change, WindowStats)
    assert (change.count, change.errors, change.kept) == (2, 1, 3)

    head, _, row = str(registry).splitlines()
    assert head.split() == ["function", "calls", "errors", "p95", "window"]
    name, calls, errors, p95, *window = row.split()
    assert (name, calls, errors, window) == ("work", "3", "1", ["▁▁▁▁▁▁▁▁▁▁▁█", "2m"])
    assert float(p95.removesuffix("s")) == pytest.approx(1.0, rel=0.05)
    assert "▁▁▁▁▁▁▁▁▁▁▁█ 2m" in registry._repr_html_()

    clock.advance("2m")
    report = registry.cleanup()
    assert (report.events, report.expired, report.flights, report.total) == (3, 0, 0, 3)
    assert report.functions == {"work": 3}
    work()
    registry.clear()
    assert work.window.count() == 0


def test_snapshots_of_different_functions_do_not_subtract() -> None:
    """Snapshots of two functions cannot be mixed up."""
    one, two = (sliding_window("1m", name=name)(lambda: None) for name in ("one of two", "two of two"))
    with pytest.raises(ValueError, match="do not subtract"):
        one.window.stats() - two.window.stats()


# The handle


def test_handle_without_a_call() -> None:
    """An empty window has figures: zeros, and None where there is nothing to measure; the handle is true."""

    @sliding_window("1m", name="idle", registry=Registry())
    def work() -> None: ...

    window = work.window
    assert window
    assert (len(window), window.count(), window.rate(), window.error_ratio()) == (0, 0, 0.0, 0.0)
    assert (window.percentile(50), window.events(), window.errors(), window.by_key()) == (None, [], [], [])
    assert [(bucket.count, bucket.mean) for bucket in window.series(3)] == [(0, None)] * 3
    assert window.sparkline(5) == "▁▁▁▁▁"
    assert window.stats() == WindowStats("idle", 60.0)
    assert repr(window) == "<window of idle: 0 calls kept>"
    assert window.cleanup() == 0


BAD_CALLS: list[tuple[Callable[[Any], object], type[Exception], str]] = [
    (lambda w: w.count("2h5"), ValueError, "count: last='2h5' ends in a number without a unit"),
    (lambda w: w.count(0), ValueError, "count: last=0 is zero"),
    (lambda w: w.count(True), TypeError, "count: last=True"),
    (lambda w: w.events(-1), ValueError, "events: last=-1 is negative"),
    (lambda w: w.errors(""), ValueError, "errors: last='' is empty"),
    (lambda w: w.error_ratio(math.nan), ValueError, "error_ratio: last=nan is not finite"),
    (lambda w: w.rate(per=0), ValueError, "rate: per=0 is zero"),
    (lambda w: w.rate(per=None), TypeError, "rate: per=None"),
    (lambda w: w.rate(last="soon"), ValueError, "rate: last='soon'"),
    (lambda w: w.percentile(101), ValueError, "percentile: q=101 is out of range"),
    (lambda w: w.percentile(math.nan), ValueError, "percentile: q=nan is out of range"),
    (lambda w: w.percentile("95"), TypeError, "percentile: q='95' is not a number"),
    (lambda w: w.percentile(True), TypeError, "percentile: q=True is not a number"),
    (lambda w: w.percentile(50, last=0), ValueError, "percentile: last=0 is zero"),
    (lambda w: w.by_key(0), ValueError, "by_key: n=0"),
    (lambda w: w.by_key(2.5), TypeError, "by_key: n=2.5"),
    (lambda w: w.series(0), ValueError, "series: buckets=0"),
    (lambda w: w.series("9"), TypeError, "series: buckets='9'"),
    (lambda w: w.sparkline(-1), ValueError, "sparkline: width=-1"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD_CALLS, ids=[message for *_, message in BAD_CALLS])
def test_handle_refuses_what_makes_no_sense(call: Callable[[Any], object], kind: type[Exception], message: str) -> None:
    """A wrong argument is named, with its value, by the method that got it."""

    @sliding_window("1m", name="bot.fetch", registry=Registry())
    def work() -> None: ...

    with pytest.raises(kind) as caught:
        call(work.window)
    assert str(caught.value).startswith(f"bot.fetch.window.{message}")
    assert "give" in str(caught.value) or "write" in str(caught.value)


# Bad options


def not_called() -> None: ...


async def coroutine_key(*args: object) -> object: ...


BAD: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], tuple[str, ...]]] = [
    ((not_called,), {}, TypeError, ("not_called", '@sliding_window("24h")')),
    ((Placed.property_inner,), {}, TypeError, ('@sliding_window("24h")',)),
    ((None,), {}, TypeError, ("window=None", "24h")),
    ((0,), {}, ValueError, ("window=0", "is zero", "give")),
    ((-1,), {}, ValueError, ("window=-1", "is negative", "give")),
    ((True,), {}, TypeError, ("window=True", "give")),
    (("",), {}, ValueError, ("window=''", "is empty", "give")),
    (("2h5",), {}, ValueError, ("window='2h5'", "write '2h5m'")),
    ((math.inf,), {}, ValueError, ("window=inf", "finite", "give")),
    ((math.nan,), {}, ValueError, ("window=nan", "finite", "give")),
    ((timedelta(0),), {}, ValueError, ("window=", "is zero", "give")),
    (([1],), {}, TypeError, ("window=[1]", "give")),
    (("1h",), {"max": 0}, ValueError, ("max=0", "at least 1")),
    (("1h",), {"max": -3}, ValueError, ("max=-3", "at least 1")),
    (("1h",), {"max": True}, TypeError, ("max=True", "give")),
    (("1h",), {"max": None}, TypeError, ("max=None", "give")),
    (("1h",), {"max": 2.5}, TypeError, ("max=2.5", "give")),
    (("1h",), {"only": ()}, ValueError, ("only=()", "leave it out")),
    (("1h",), {"only": "ValueError"}, TypeError, ("only='ValueError'", "write")),
    (("1h",), {"only": 5}, TypeError, ("only=5", "write")),
    (("1h",), {"only": (ValueError, int)}, TypeError, ("only=", "int", "write")),
    (("1h",), {"only": (ValueError("x"),)}, TypeError, ("only=", "ValueError('x')", "write")),
    (("1h",), {"only": (KeyboardInterrupt,)}, ValueError, ("KeyboardInterrupt", "cancelled", "name types")),
    (("1h",), {"key": 5}, TypeError, ("key=5", "give")),
    (("1h",), {"key": coroutine_key}, TypeError, ("key=", "coroutine", "give")),
    (("1h",), {"ignore": "self"}, TypeError, ("ignore='self'", "write")),
    (("1h",), {"ignore": 5}, TypeError, ("ignore=5", "give")),
    (("1h",), {"ignore": (5,)}, TypeError, ("ignore=(5,)", "give")),
    (("1h",), {"name": ""}, ValueError, ("name=''", "give")),
    (("1h",), {"name": 5}, TypeError, ("name=5", "give")),
    (("1h",), {"registry": {}}, TypeError, ("registry={}", "memo.Registry()")),
    (("1h",), {"clock": 5}, TypeError, ("clock=5", "give")),
]


@pytest.mark.parametrize(("args", "options", "kind", "parts"), BAD)
def test_bad_option(
    args: tuple[Any, ...], options: dict[str, Any], kind: type[Exception], parts: tuple[str, ...]
) -> None:
    """It is refused at decoration, naming the option, the value and the remedy."""
    with pytest.raises(kind) as caught:
        sliding_window(*args, **options)
    message = str(caught.value)
    assert message.startswith("sliding_window: ")
    assert [part for part in parts if part not in message] == []


def test_ignored_parameter_that_is_not_there() -> None:
    """A parameter that the function lacks cannot be ignored, and ``key=`` makes ``ignore=`` pointless."""
    with pytest.raises(ValueError, match=r"'trace'.*has no such parameter"):
        sliding_window("1m", ignore=("trace",))(not_called)
    with pytest.raises(TypeError, match="has no effect together with key="):
        sliding_window("1m", ignore=("trace",), key=lambda: 0)(not_called)
