"""Windows in every placement, and of only some errors."""

import asyncio
import enum
import inspect
import itertools
import math
import pickle
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from kit.recorders import held
from kit.windows import Placed, keys_of

from memo import bounded, dedupe_inflight, sliding_window
from memo._base.key_text import stored_key
from memo._base.shortened import short_text
from memo.testing import FakeClock


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
        ((_, _, _, kept),) = held(work.window._recorder)
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


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", [ValueError("e"), KeyboardInterrupt(), SystemExit(1), asyncio.CancelledError("why")])
def test_told_of_what_is_no_failure(error: BaseException, is_async: bool, clock: FakeClock) -> None:
    """``record_error()`` records what a call records that raises the same, in functions and methods."""

    def fail(*args: Any) -> None:
        raise error

    async def fail_later(*args: Any) -> None:
        raise error

    work = fail_later if is_async else fail

    class Service:
        run = sliding_window("1h", clock=clock)(work)

    function = sliding_window("1h", clock=clock)(work)
    for made, told, handle in (
        (function, sliding_window("1h", clock=clock)(work).window, function.window),
        (Service().run, sliding_window("1h", clock=clock)(work).window, Service.run.window),
    ):
        with pytest.raises(type(error)):
            if is_async:
                made().send(None)  # without a loop, which some of these would end
            else:
                made()
        told.record_error(error, key="k")
        raised, recorded = handle.stats(), told.stats()
        assert (recorded.count, recorded.errors, recorded.cancelled) == (raised.count, raised.errors, raised.cancelled)
        assert (recorded.count, recorded.cancelled) == (1, not isinstance(error, Exception))
        (seen,), (kept,) = handle.events(), told.events()
        assert (kept.outcome, kept.error, kept.message) == (seen.outcome, seen.error, seen.message)
