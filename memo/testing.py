"""For tests of programs that use this package: time that is advanced by hand, and stores that start empty.

``FakeClock`` and ``isolated()`` change what the whole process sees, in every thread: they are for tests, of
which one runs at a time.  With pytest, the fixtures of ``memo.pytest_plugin`` put them in place and back.
"""

import contextlib
import functools
import heapq
import itertools
import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

from memo._base import (
    Aside,
    EnteredByWith,
    Staying,
    counted,
    default_clock,
    exchange_default,
    given_text,
    rlock,
    seconds,
)
from memo._benchmark import MemoBenchmark
from memo._decorated import Layer
from memo._registry import Record, View, begin_apart, end_apart, record_of, registry

__all__ = ("FakeClock", "MemoBenchmark", "isolated")

_STEPS = 1024  # to a second: a clock that starts at the present starts at one of them, see FakeClock.install()

_installed: "list[FakeClock]" = []  # the last one is in force; guarded by _installing
_installing = rlock()


def _on_step(now: float) -> float:
    return math.ceil(now * _STEPS) / _STEPS


def _installed_beside(one: "FakeClock") -> list["FakeClock"]:
    return [clock for clock in _installed if clock is not one]


class FakeClock(Staying):
    """A clock that stands still until it is advanced; give it as ``clock=``, or install it for every function.

    ``with FakeClock() as clock:`` installs it, and so does ``install()`` until ``uninstall()``: it then
    drives everything that was given no ``clock=``, whenever it was decorated: ages, idle times, windows, limits, the
    deadlines of running calls, and the janitor.  What was given a clock keeps it.

    Waits that a function with this clock bounds by a deadline (``timeout=``), and those of calls for their turn
    (``limit``), are released by ``advance()`` when it passes that time; that of a thread that began before the clock
    was installed, within a twentieth of a second after.  Time that other libraries read (``time.time()``,
    ``asyncio.sleep()``) goes on by itself.  Safe from any thread.

    Args:
        now: The time it shows first, in seconds; None: what the functions without ``clock=`` show at this moment.
            Give a number to a clock that is not to be installed, if at all: installing one that is ahead of
            the present makes everything older by as much.
    """

    def __init__(self, now: float | None = None) -> None:
        self._now = _on_step(default_clock()()) if now is None else float(now)
        self._target = self._now  # where the advances under way lead to; guarded by _lock
        self._lock = rlock()
        self._order = itertools.count()
        self._waits: list[tuple[float, int]] = []  # a heap, of when and number; guarded by _lock
        self._wakes: dict[int, Callable[[], object]] = {}  # by number; one that is not here was revoked, or woken

    def __call__(self) -> float:
        """The time in seconds."""
        return self._now

    def _stays(self) -> tuple[str, str]:
        return (
            "FakeClock: a clock is read by functions of this process",
            "what it shows, and make another of that there",
        )

    def __repr__(self) -> str:
        return f"<FakeClock at {self._now:g} s{', installed' if self in _installed else ''}>"

    def install(self) -> Self:
        """Drive every function that was given no clock, also those decorated from now on, until uninstalled.

        Goes forward to the time that they show now (to the next 1/1024 s, so that spans that are exact in binary,
        whole seconds among them, add up exactly): so time goes on where it was, and entries keep what is left of
        their lives.  A clock that is ahead, since it was advanced before or made with such a ``now=``, takes them
        along to its own time.  Of several installed clocks the last one is in force.

        Returns:
            The clock.

        Raises:
            RuntimeError: It is installed already.
        """
        self._go_to(_on_step(default_clock()()))
        begun = False
        try:
            with _installing:
                if self in _installed:
                    raise RuntimeError("FakeClock.install: this clock is installed already; uninstall() it first.")
                begun = True
                _installed.append(self)
                exchange_default(self)
        except BaseException:  # interrupted: nobody knows that it is to be uninstalled
            if begun:
                self.uninstall()
            raise
        return self

    def uninstall(self) -> None:
        """Give back the clock that was in force before; nothing if this one is not installed.

        What was there before the clock came is then as old as if it had never been.  What was stored,
        used or begun at a time that lies ahead now counts as stored, used or begun now: nothing outlives its
        ``ttl`` for having been made in a test.  A window, which never goes back, stands still for a moment and goes
        on from the latest time that it has seen: to it the time advanced has passed.
        """
        with _installing:
            if self not in _installed:
                return
            in_force = _installed[-1] is self
            others = _installed_beside(self)
            then = others[-1] if others else None
            try:
                _installed[:] = others
                if in_force:
                    exchange_default(then)
            except BaseException:  # interrupted: no function is left with a clock that nobody will take away
                if in_force:
                    exchange_default(then)
                raise

    if not TYPE_CHECKING:
        __aenter__ = EnteredByWith("FakeClock: a clock")

    def __enter__(self) -> Self:
        return self.install()

    def __exit__(self, *exception: object) -> None:
        self.uninstall()

    def advance(self, span: Any) -> None:
        """Go forward by *span*: seconds, a timedelta, or text such as "1h30m"; "0s" and 0 are allowed.

        Releases, in order of their deadlines and in this thread, the waits that it passes.

        Raises:
            TypeError: span is no duration.
            ValueError: span is negative, not finite, or text that is no duration.
        """
        span_s = seconds(span, where="FakeClock.advance", option="span", zero_ok=True)
        target = None
        try:
            with self._lock:
                target = self._target = max(self._target, self._now) + span_s  # two threads' advances add up
            self._go_to(target)
        except BaseException:  # interrupted, or by what it woke: it gets there, and wakes whom it was to wake
            if target is not None:
                self._go_to(target)
            raise

    def _go_to(self, target: float) -> None:
        """Go forward to *target*, or stay where that lies behind."""
        while True:
            with self._lock:
                if not self._waits or self._waits[0][0] > target:
                    self._now = max(self._now, target)
                    return
                when, number = self._waits[0]
                self._now = max(self._now, when)
                if number not in self._wakes:
                    heapq.heappop(self._waits)
                    continue
            self._wake(when, number)

    def _wake(self, when: float, number: int) -> None:
        taken: list[Callable[[], object] | None] = []
        try:
            taken.extend(map(self._wakes.pop, (number,), (None,)))  # one step, which knows what it took
            if taken[0] is not None:
                taken[0]()
        except BaseException:
            if taken and taken[0] is not None:
                with self._lock:
                    self._wakes[number] = taken[0]
                    heapq.heappush(self._waits, (when, number))
            raise

    def call_at(self, when: float, wake: Callable[[], object]) -> Callable[[], object]:
        """Call *wake* once the clock reaches *when*; returns a function that takes this back."""
        number = next(self._order)
        try:
            with self._lock:
                self._wakes[number] = wake
                heapq.heappush(self._waits, (when, number))
            return functools.partial(self._wakes.pop, number, None)
        except BaseException:
            self._wakes.pop(number, None)
            raise

    def waiting(self) -> int:
        """How many waits an advance would release sooner or later."""
        return len(self._wakes)


def isolated(*subjects: Any) -> AbstractContextManager[None]:
    """Let stores start empty within a ``with`` statement, and put them back afterwards exactly as they were.

    "Stores" are the entries, the running calls, the windows, what limits have counted, and the counters of all four,
    of each function.
    Entries come back with their order and frequencies in the policy, bounds that were changed by ``resize()``
    as they were, running calls that still run.  Handles (``f.cache``) show the present state before, inside
    and after.  Entries of instances that died meanwhile do not come back; they leave as ``collected``.

    ``on_evict`` is not called for what is set aside.  It is called for what was stored inside, which leaves at
    the end as ``cleared``, so that a resource opened in a test is closed.  A call begun outside stores nothing
    inside, nor one begun inside anything after; it stores as usual if it ends on the side where it began.
    Functions decorated inside are cleared at the end.  Subscriptions go on, and one that was begun inside does so
    after the end: close it.

    Works around ``await`` as well.  It holds for the whole process: contexts in several threads or tasks must
    lie one within another.

    Args:
        *subjects: Decorated functions (every instance of a method), records, views or registries; none means
            ``memo.registry``.

    Raises:
        TypeError: One of them is none of these.
    """
    views: list[View] = []
    records: list[Record] = []
    for subject in subjects or (registry,):
        if isinstance(subject, View):
            views.append(subject)
            continue
        record = subject if isinstance(subject, Record) else record_of(subject)
        if record is None:
            raise TypeError(
                f"isolated: {given_text(subject)} is neither decorated by this package nor a registry; give decorated "
                "functions or registries, or nothing for memo.registry."
            )
        records.append(record)
    return _Isolation(views, records)


_Asides = weakref.WeakKeyDictionary[Layer, Aside | None]
"""What was set aside of each layer; None of one that held nothing yet."""


class _Isolation(AbstractContextManager[None]):
    """Some functions, and for each time that this was entered what was set aside."""

    def __init__(self, views: list[View], records: list[Record]) -> None:
        self._views = views
        self._records = records
        self._asides: list[_Asides] = []

    def __repr__(self) -> str:
        subjects = ", ".join([*map(repr, self._views), *(repr(record) for record in self._records)])
        state = f", entered {counted(len(self._asides), 'time')}" if self._asides else ""
        return f"<isolated({subjects}){state}>"

    def _layers(self) -> Iterator[Layer]:
        for record in itertools.chain(self._records, *self._views):
            for part in record.parts:  # adopted caches have parts of another kind
                if isinstance(part, Layer):
                    yield part

    if not TYPE_CHECKING:
        __aenter__ = EnteredByWith("isolated: the block")

    def __enter__(self) -> None:
        asides: _Asides = weakref.WeakKeyDictionary()
        try:
            begin_apart(asides, self)
            for layer in self._layers():
                if layer not in asides:
                    aside = asides[layer] = Aside() if layer.is_made else None
                    if aside is not None:
                        layer.set_aside(aside)
            self._asides.append(asides)
        except BaseException:  # interrupted, or one of them cannot: it was not entered, and nobody will leave it
            self._leave(asides, [layer for layer, aside in asides.items() if aside is not None])
            raise

    def __exit__(self, *exception: object) -> None:
        asides = self._asides[-1]
        try:
            self._leave(asides, list(dict.fromkeys([*asides, *self._layers()])))
        except BaseException:  # interrupted: what is not in its place yet gets there
            self._leave(asides, list(dict.fromkeys([*asides, *self._layers()])))
            raise

    def _leave(self, asides: _Asides, layers: list[Layer]) -> None:
        """Put back what was set aside of these layers, and is not back yet; cut short, it can be done again."""
        # One that fails does not keep the others from going on.  Last in, first out: everything is emptied first, so
        # that whatever on_evict calls still finds all of it set aside.
        with contextlib.ExitStack() as steps:
            steps.callback(self._forget, asides)
            for layer in layers:
                steps.callback(layer.put_back, asides.get(layer) or Aside(is_out=True))
            for layer in layers:
                aside = asides.get(layer)
                if aside is None or aside.is_out:
                    steps.callback(layer.empty)

    def _forget(self, asides: _Asides) -> None:
        self._asides[:] = [one for one in self._asides if one is not asides]
        end_apart(asides)

    def covers(self, record: Record) -> bool:
        """Whether this is about *record*."""
        return record in self._records or any(view.covers(record) for view in self._views)
