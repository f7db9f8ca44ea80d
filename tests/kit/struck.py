"""A decorated function with books, so that after a strike it can be told what is lost, stuck, torn or untold."""

import asyncio
import functools
from _thread import RLock
from collections import Counter
from collections.abc import Callable
from typing import Any

from kit.strikes import Struck, StruckError, held_locks, locks_of, spared, strike
from memo import Registry
from memo._decorated.stack import layers_of
from memo._flight.circles import waiting
from memo._flight.figures import Counters
from memo.testing import FakeClock

__all__ = ("Boom", "Subject", "Value", "strike_everywhere")


_LIMIT_S = 3.0


class Boom(Exception):
    """What a load raises that is told to."""


class Value:
    """A result that is told from every other."""

    __slots__ = ("__weakref__", "arg")

    def __init__(self, arg: Any) -> None:
        self.arg = arg

    def __repr__(self) -> str:
        return f"<value of {self.arg!r}>"


class Subject:
    """One decorated function, and a book of what was made, stored and told.

    Args:
        decorate: Decorates a function; called with it, with options that are to be passed on (``registry``,
            ``clock``), and with ``on_evict``.
        is_async: The function is a coroutine function.
    """

    def __init__(self, decorate: Callable[..., Any], is_async: bool = False) -> None:
        self.clock = FakeClock()
        self.registry = Registry()
        self.is_async = is_async
        self.made: list[Value] = []
        self.told: list[tuple[Any, Value, Any]] = []
        self.missed = 0
        """Values that the callback was told, and may have been struck before it could write them down."""
        self.told_before: int | None = 0
        """Values that were told when the counts last began anew; None: that was struck."""
        self.failing: set[Any] = set()
        self.uncounted = 0
        """Flights that may be missing in the counts: where it is struck between two stores, which no signal does."""
        self.loop = asyncio.new_event_loop() if is_async else None
        self.function = decorate(self._function(), {"registry": self.registry, "clock": self.clock}, self._on_evict)
        self.layers = list(layers_of(self.function))

    @property
    def locks(self) -> list[Any]:
        """Every lock of what the function works with."""
        return locks_of(self.function, self.registry, self.clock, *self.layers)

    def _function(self) -> Callable[..., Any]:
        def load(x: Any) -> Value:
            return self.make(x)

        async def load_awaited(x: Any) -> Value:
            await asyncio.sleep(0)
            return self.make(x)

        return load_awaited if self.is_async else load

    def make(self, x: Any) -> Value:
        """A value of *x*, entered into the book."""
        if x in self.failing:
            raise Boom(x)
        value = Value(x)
        self.made.append(value)
        return value

    def _on_evict(self, key: Any, value: Value, reason: Any) -> None:
        self.told.append((key, value, reason))

    def note(self, error: BaseException) -> None:
        """Find out whether *error*, a real one, struck the callback."""
        traceback = error.__traceback__
        while traceback is not None:
            self.missed += traceback.tb_frame.f_code is Subject._on_evict.__code__
            traceback = traceback.tb_next

    def run(self, answer: Any) -> Any:
        """What a call, or an operation that may be awaited, comes to; TimeoutError if it hangs."""
        if self.loop is None or not asyncio.iscoroutine(answer):
            return answer
        return self.loop.run_until_complete(asyncio.wait_for(answer, _LIMIT_S))

    def call(self, x: Any) -> Any:
        """Call the function."""
        return self.run(self.function(x))

    def cache_clear(self) -> None:
        """Call the function's, after which its counts begin anew."""
        self.told_before = None
        self.function.cache_clear()
        self.told_before, self.missed = len(self.told), 0

    def close(self) -> None:
        """End its loop."""
        if self.loop is not None:
            self.loop.run_until_complete(asyncio.sleep(0))
            left = asyncio.all_tasks(self.loop)
            self.loop.close()
            assert not left, f"tasks are left: {left}"

    spared.add(_on_evict.__code__)
    spared.add(cache_clear.__code__)
    spared.add(Counters.move_to.__code__)  # plain loads and stores, between which no exception lands

    # -- what must hold

    def stored(self) -> list[Value]:
        """The values in the store."""
        return [
            entry.value for layer in self.layers if layer.kind == "cache"
            for entry in list(layer.cache.store.index.values()) if isinstance(entry.value, Value)
        ]  # fmt: skip

    def check_locks(self) -> None:
        """No lock of the package is taken."""
        held = [lock for lock in self.locks if (lock._is_owned() if isinstance(lock, RLock) else lock.locked())]
        assert not held, f"locks are taken: {held}"

    def settle(self) -> None:
        """Let the loop end what was under way."""
        if self.loop is not None:
            for _ in range(5):
                self.loop.run_until_complete(asyncio.sleep(0))

    def check_parts(self) -> None:
        """Every structure is whole, and nothing is thought to run."""
        assert not waiting, f"threads are thought to wait: {waiting}"
        for layer in self.layers:
            if layer.kind == "window":
                layer.recorder._check()
                continue
            if layer.kind == "limit":
                layer.limiter._check()
                continue
            if layer.kind == "cache":
                layer.cache.store._check()
                assert not layer.cache.jobs, f"background loads are thought to run: {layer.cache.jobs}"
            flights = layer.flights
            assert not flights.table, f"flights are left in the table: {flights.table}"
            c = flights.table.counters
            assert abs(c.started - c.completed - c.failed - c.cancelled) <= self.uncounted, (
                f"flights do not add up: {[(n, getattr(c, n)) for n in type(c).__slots__]}"
            )

    def check_books(self, before: list[Value]) -> None:
        """What was stored *before* is stored or was told, once; nothing is both."""
        told = Counter(id(value) for _, value, _ in self.told)
        inside = Counter(map(id, self.stored()))
        for value in self.made:
            times = told[id(value)] + inside[id(value)]
            assert times <= 1, f"{value} is stored {inside[id(value)]} times and was told {told[id(value)]} times"
        lost = [value for value in before if not told[id(value)] + inside[id(value)]]
        assert not lost, f"left untold: {lost}"
        for layer in self.layers:
            if layer.kind == "cache":
                left = sum(layer.cache.store.evictions().values())
                told_since = len(self.told) - (self.told_before or 0)
                assert left - told_since <= self.missed, f"{left} values left, {told_since} were told"
                assert left >= told_since or self.told_before is None, f"{left} values left, {told_since} were told"

    def check_goes_on(self) -> None:
        """Ordinary calls work and answer right."""
        self.failing.clear()
        for x in (0, 1, 2, "another", "another"):
            answer = self.call(x)
            assert type(answer) is Value, f"a call answered {answer!r}"
            assert answer.arg == x, f"a call with {x!r} answered {answer!r}"
        self.settle()
        self.check_parts()


def strike_everywhere(
    make: Callable[[], Subject],
    prepare: Callable[[Subject], object],
    operation: Callable[[Subject], Any],
    *,
    error: type[BaseException] = Struck,
    everywhere: bool = False,
    step: int = 1,
    first: int = 0,
    check: Callable[[Subject], object] | None = None,
) -> tuple[int, list[str]]:
    """Strike *operation* at each of its points, each time on a new subject; how many there were, and what went wrong.

    Args:
        make: Makes a subject.
        prepare: What is done to it before.
        operation: What is struck.
        error: What strikes.
        everywhere: See ``strike()``.
        step: Every so many points alone.
        first: From this point on.
        check: Looked at besides.
    """
    wrong: list[str] = []
    at = first
    subject = make()
    while True:
        subject.uncounted = int(everywhere)
        prepare(subject)
        before = subject.stored()
        where, raised = strike(functools.partial(_run, subject, operation), at, error, everywhere, subject.is_async)
        if where is None:
            if held_locks(subject.locks):
                wrong.append("another thread cannot take a lock")
            subject.close()
            return at, wrong
        trouble = _trouble(subject, before, raised, check)
        if trouble is not None:
            wrong.append(f"{where} [{at}]: {trouble}")
        del raised
        if trouble is None:
            subject.close()
        else:
            for lock in subject.locks:
                _force(lock)
        subject = make()
        at += step


def _run(subject: Subject, operation: Callable[[Subject], Any]) -> None:
    subject.run(operation(subject))


def _force(lock: Any) -> None:
    while lock._is_owned() if isinstance(lock, RLock) else lock.locked():
        lock.release()


def _trouble(
    subject: Subject, before: list[Value], raised: BaseException | None, check: Callable[[Subject], object] | None
) -> str | None:
    try:
        subject.check_locks()
        if raised is not None:
            assert isinstance(raised, Struck | StruckError | Boom), f"{raised!r} came out"
        if subject.loop is not None:
            subject.settle()
            subject.check_locks()
        subject.check_parts()
        subject.check_books(before)
        if check is not None:
            check(subject)
        subject.check_goes_on()
        subject.check_books(before)
        subject.check_locks()
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return None
