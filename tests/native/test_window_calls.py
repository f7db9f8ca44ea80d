"""A call that C records is recorded, answered and reported as the generated wrapper does it."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from memo import registry, sliding_window
from memo._native import speed
from memo.testing import FakeClock

pytestmark = pytest.mark.skipif(speed is None, reason="the extension was not built")


class Odd:
    """A key that is no plain value."""

    def __eq__(self, other: object) -> bool:
        return type(other) is Odd

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<odd>"


class Words(str):
    """Text of another type."""


def raising(x: object, y: object = 1) -> object:
    if isinstance(x, BaseException):
        raise x
    return x, y


def named(x: object, /, y: object = 2, *, z: object = 3) -> object:
    return raising(x), y, z


def many(*args: object, **kwargs: object) -> object:
    return raising(*args[:1] or [0]), args, kwargs


CALLS: list[Callable[[Any], object]] = [
    lambda f: f(7),
    lambda f: f("a", "b"),
    lambda f: f(x="a"),
    lambda f: f("a", y=2),
    lambda f: f(y=1, x=2),
    lambda f: f("x" * 201),
    lambda f: f(2**70),
    lambda f: f(-(2**63)),
    lambda f: f(1.5),
    lambda f: f(True),
    lambda f: f(None),
    lambda f: f(b"x" * 201),
    lambda f: f([1, 2]),
    lambda f: f(Words("w")),
    lambda f: f((1, "a")),
    lambda f: f(Odd()),
    lambda f: f(1, 2, z=5),
    lambda f: f(),
    lambda f: f(1, 2, 3, 4),
    lambda f: f(nobody=1),
    lambda f: f(1, x=1),
    lambda f: f(ValueError("wrong")),
    lambda f: f(KeyError("missing")),
    lambda f: f(KeyboardInterrupt()),
    lambda f: f(SystemExit(3)),
    lambda f: f(*range(9)),
]


def watched(function: Callable[..., object], clock: Callable[[], float], **options: Any) -> Any:
    return sliding_window("1h", name="watched", clock=clock, **options)(function)


def outcome(call: Callable[[Any], object], function: Any) -> object:
    try:
        return call(function)
    except BaseException as error:
        return type(error), str(error), type(error.__context__)


def told(work: Any) -> list[Any]:
    """The events of a window, newest first, without dates."""
    return [(e.duration, e.outcome, e.key, e.error, e.message) for e in work.window.events()]


def compare(function: Callable[..., object], caplog: pytest.LogCaptureFixture, **options: Any) -> int:
    """Call one in C and one through its wrapper alike; how many events there were."""
    logs: list[list[str]] = []
    answers: list[list[object]] = []
    events: list[list[Any]] = []
    for in_c in (True, False):
        clock = FakeClock()
        work = watched(function, clock, **options)
        layer = work._self_layer
        called = work if in_c else layer.wrapper
        caplog.clear()
        answers.append([])
        for call in CALLS:
            clock.advance(0.25)
            answers[-1].append(outcome(call, called))
        events.append(told(work))
        logs.append([record.getMessage() for record in caplog.records])
    assert answers[0] == answers[1]
    assert events[0] == events[1]
    assert logs[0] == logs[1]
    return len(events[0])


@pytest.mark.parametrize("function", [raising, named, many])
@pytest.mark.parametrize(
    "options",
    [{}, {"only": ValueError}, {"keys": 3}, {"max": 2}, {"ignore": ("x",)}],
    ids=["plain", "only", "keys", "max", "ignore"],
)
def test_all_spellings(
    function: Callable[..., object], options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Results, errors, events and log are those of the wrapper, whatever the call."""
    if options.get("ignore") and function is many:
        options = {}
    assert compare(function, caplog, **options) > 0


def test_a_key_of_the_user_s_own(caplog: pytest.LogCaptureFixture) -> None:
    """What key= returns or raises is recorded likewise, and it is asked once a call."""
    asked: list[object] = []

    def key(x: object = 0, *args: object, **kwargs: object) -> object:
        asked.append(x)
        if len(asked) % 3 == 0:
            raise LookupError("no key")
        return [x] if len(asked) % 2 else Odd()

    answers = []
    for in_c in (True, False):
        asked.clear()
        work = watched(raising, FakeClock(), key=key)
        called = work if in_c else work._self_layer.wrapper
        answers.append([[outcome(call, called) for call in CALLS], told(work), len(asked)])
    assert answers[0] == answers[1]


class OddClock:
    """A clock that shows no float, raises or goes back, until it is well."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._numbers = itertools.count(1)

    def __call__(self) -> Any:
        number, kind = next(self._numbers), self.kind
        if kind == "int":
            return number
        if kind == "raises" and number % 5 == 0:
            raise OSError("no time")
        if kind == "interrupted" and number % 7 == 0:
            raise KeyboardInterrupt
        if kind == "back":
            return 100.0 - number
        if kind == "nan" and number % 4 == 0:
            return float("nan")
        return number * (1000.0 if kind == "leap" else 0.5)


@pytest.mark.parametrize("kind", ["int", "raises", "interrupted", "back", "nan", "leap"])
def test_odd_clocks(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A clock that shows no float, raises, or goes back is treated as the wrapper treats it."""
    answers = []
    for in_c in (True, False):
        clock = OddClock(kind)
        caplog.clear()
        work = watched(raising, clock)
        called = work if in_c else work._self_layer.wrapper
        results = [outcome(call, called) for call in CALLS]
        clock.kind = "well"
        answers.append([results, told(work), [record.getMessage() for record in caplog.records]])
    assert answers[0] == answers[1]


def test_a_failure_is_handled_while_it_is_recorded() -> None:
    """The exception's own text sees it as the one that is being handled, and none is handled after."""
    seen: list[object] = []

    class TellingError(Exception):
        def __str__(self) -> str:
            seen.append(sys.exception())
            return "told"

    @sliding_window("1h")
    def work(error: BaseException) -> None:
        raise error

    error = TellingError()
    try:
        raise ValueError("outer")
    except ValueError as outer:
        with pytest.raises(TellingError):
            work(error)
        assert sys.exception() is outer
    assert sys.exception() is None
    assert seen == [error]
    assert [event.message for event in work.window.errors()] == ["told"]


def test_a_failure_to_record_that_is_no_exception_goes_on_to_the_caller() -> None:
    """What strikes the recording of a failure replaces it, and has it as its context."""

    class StruckError(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    @sliding_window("1h")
    def work() -> None:
        raise StruckError

    with pytest.raises(KeyboardInterrupt) as caught:
        work()
    assert isinstance(caught.value.__context__, StruckError)


def test_methods_and_what_is_bound_to_them() -> None:
    """Calls through instances, classes and bound methods are recorded by their arguments alone."""

    class Service:
        @sliding_window("1h")
        def fetch(self, x: object, y: int = 2) -> object:
            return self, x, y

        @classmethod
        @sliding_window("1h")
        def of_class(cls, x: object) -> object:
            return cls, x

        @sliding_window("1h")
        @staticmethod
        def alone(x: object) -> object:
            return x

    one = Service()
    assert one.fetch(1) == Service.fetch(one, 1) == one.fetch(x=1) == (one, 1, 2)
    assert one.fetch("a", 3) == (one, "a", 3)
    assert [event.key for event in Service.fetch.window.events()] == ["('a', 3)", *["(1, 2)"] * 3]
    assert one.of_class(5) == Service.of_class(5) == (Service, 5)
    assert one.alone(5) == Service.alone(5) == 5
    assert Service.alone.window.count() == 2
    gone = weakref.ref(one)
    del one
    gc.collect()
    assert gone() is None


def test_a_call_holds_nothing_when_it_has_ended() -> None:
    """Neither arguments, results nor exceptions are held, and the function goes when nobody holds it."""

    class Thing:
        pass

    thing = Thing()
    refs = [weakref.ref(thing)]

    @sliding_window("1h")
    def work(x: object, fail: bool = False) -> object:
        if fail:
            raise LookupError(x)
        return x

    assert work(thing) is thing
    with pytest.raises(LookupError):
        work(thing, fail=True)
    refs.append(weakref.ref(work))
    del thing, work
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_switched_off_isolated_and_a_clock_that_is_exchanged() -> None:
    """What is changed about a function holds from the next call on."""

    @sliding_window("1h", name="switched")
    def work(x: int) -> int:
        return x

    work(1)
    with registry.disabled("switched"):
        work(2)
    assert work.window.count() == 1
    with FakeClock() as clock:
        work(3)
        clock.advance(3601)
        assert work.window.count() == 0
        work(4)
        assert work.window.count() == 1


def test_the_function_may_change_all_that_records_it() -> None:
    """A call that clears, reads, exchanges the clock or calls itself is recorded as it was begun."""

    @sliding_window("1h", max=3)
    def work(x: int) -> int:
        if x == 1:
            work.window.clear()
        elif x == 2:
            work(0)
        elif x == 3:
            with FakeClock():
                work(0)
        elif x == 4:
            with registry.disabled():
                work(0)
        return work.window.count()

    assert [work(x) for x in (0, 1, 2, 3, 4)] == [0, 0, 2, 4, 5]
    work.window._recorder._check()  # type: ignore[attr-defined]


def test_eight_threads_lose_no_record() -> None:
    """Calls of eight threads are all there, and readers see each figure whole."""

    @sliding_window("1h", max=50)
    def work(x: int) -> int:
        if x % 10 == 0:
            raise LookupError
        return x

    barrier = threading.Barrier(9)
    finished: list[None] = []

    def call() -> None:
        barrier.wait(30)
        for x in range(2_000):
            try:
                work(x)
            except LookupError:
                pass
        finished.append(None)

    threads = [threading.Thread(target=call) for _ in range(8)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        barrier.wait(30)
        seen = 0
        while len(finished) < 8:
            stats = work.window.stats()
            assert stats.count >= seen
            assert stats.kept <= 50
            seen = stats.count
        for thread in threads:
            thread.join(30)
    finally:
        sys.setswitchinterval(before)
    stats = work.window.stats()
    assert (stats.count, stats.errors, stats.dropped) == (16_000, 1_600, 16_000 - 50)
    work.window._recorder._check()  # type: ignore[attr-defined]


def test_an_ordinary_call_runs_no_python_but_the_function_s() -> None:
    """Neither the wrapper nor the intake runs a line, whichever way the call is spelled, in a window of each kind.

    The clock is one that no test run exchanges (``MEMO_TEST_UPTIME`` does that with ``time.monotonic``).
    """
    ran: list[str] = []

    def note(frame: Any, event: str, what: object) -> None:
        if event == "call":
            ran.append(frame.f_code.co_name)

    class Service:
        @sliding_window("1h", clock=time.perf_counter)
        def raising(self, x: object, y: int = 2) -> object:
            return x

    service = Service()
    kinds: list[dict[str, Any]] = [{}, {"keys": 5}, {"only": ValueError}]
    works = [sliding_window("1h", clock=time.perf_counter, **options)(raising) for options in kinds]
    for work in works:
        work(0)
    service.raising(0)
    gc.disable()  # which would run what other tests have left behind
    sys.setprofile(note)
    try:
        for work in works:
            work(1), work(x=2), work("text", y=3), work(2**40)
        service.raising(1), service.raising(x=2), service.raising("text", 3)
    finally:
        sys.setprofile(None)
        gc.enable()
    assert ran == ["raising"] * 15


def test_defaults_that_cannot_be_hashed() -> None:
    """A function with such a default is called in C like any other."""

    @sliding_window("1h")
    def work(x: int, found: list[int] = [], *, more: dict[str, int] = {}) -> object:  # noqa: B006
        return x, found, more

    assert work(1) == (1, [], {})
    assert work(1, [2], more={}) == (1, [2], {})
    assert [event.key for event in work.window.events()] == ["(1, [2], {})", "(1, [], {})"]
