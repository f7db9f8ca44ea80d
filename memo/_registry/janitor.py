"""The janitor: cleans a registry's stores in the background, at an interval.

Invariants

- At most one thread is at work, ``_thread``; one that finds another there ends.  It decides to end and leaves
  ``_thread`` in one step under the lock, so that ``start()`` either keeps it or replaces it.
- Clean-ups, and with them the callbacks of users, run outside the lock.
- Whoever waits for the thread does so with the lock let go, and never in the thread itself.
- The registry is held weakly: with it the thread ends.
- Waiters listen to ``_bell``, each at a gate of its own, and hold no lock meanwhile: so whoever is struck by an
  exception leaves no lock taken.  Starting is done whole or not at all.
"""

import atexit
import functools
import logging
import math
import threading
import weakref
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from memo._base import (
    Bell,
    Clock,
    EnteredByWith,
    Gate,
    ReadClock,
    Stage,
    Staying,
    format_seconds,
    real,
    renew,
    rlock,
    runs_a_loop,
    start,
)
from memo._registry.interval import Interval
from memo._registry.stats import CleanupReport

__all__ = ("Janitor",)

log = logging.getLogger("memo")

_PATIENCE_S = 10.0  # for an advance() of a test's clock to wait for the clean-up that it brought about
_PARTING_S = 2.0  # for the interpreter at its end, or an event loop, to wait for a callback that does not return
_LONGEST_WAIT_S = 86400.0  # platforms limit how long a lock can be waited for


class Janitor(Staying):
    """Cleans up every store of a registry at an interval: ``registry.janitor(every="1h")``.

    One daemon thread, however many stores.  It drops expired entries, detaches stuck running calls and drops old
    window events, in slices so small that nobody waits for it.  ``on_evict`` callbacks run in it; what they raise is
    logged to logger "memo" and the clean-up goes on.  It ends with ``stop()``, at the end of a ``with`` block, when its
    registry is collected, and at the interpreter's end.  After ``os.fork()`` the child has a janitor thread of its own.

    The interval runs from the end of one clean-up to the start of the next, and anew when another clock is
    installed.  Time is real, unless ``memo.testing.FakeClock`` stands in for the default clock: then ``advance()`` past
    the interval starts a clean-up and, called in any thread but the janitor's, returns when it has ended, or after 10 s
    of real time.

    Safe from any thread.
    """

    __module__ = "memo"

    def __init__(self, registry: Any, sweep: Callable[[Any, Callable[[], bool]], CleanupReport]) -> None:
        self._registry = weakref.ref(registry, functools.partial(_orphaned, weakref.ref(self)))
        self._sweep = sweep
        self._bell = Bell()
        """Rung at each change of what follows."""
        self._lock = rlock()  # guards what follows
        self._thread: threading.Thread | None = None
        self._wanted = False
        self._every_s = 0.0
        self._begun = 0
        self._ended = 0
        self._last: tuple[datetime, CleanupReport] | None = None
        clock = Clock()
        self._interval = Interval(clock)
        clock.on_exchange(self._follow)
        _all.add(self)
        renew(Stage.JANITORS, self)

    def _stays(self) -> tuple[str, str]:
        return "janitor: a janitor is a thread of this process", "its interval, and call registry.janitor() there"

    # -- what users see

    @property
    def every(self) -> float:
        """Seconds from one clean-up to the next."""
        return self._every_s

    @property
    def last_run(self) -> datetime | None:
        """When the latest clean-up that has ended began, in UTC; None before the first has ended."""
        return None if self._last is None else self._last[0]

    @property
    def last_report(self) -> CleanupReport | None:
        """What that clean-up did."""
        return None if self._last is None else self._last[1]

    @property
    def alive(self) -> bool:
        """Whether its thread is there and not told to stop."""
        return self._wanted and self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """End the thread, and wait until it has ended.

        A clean-up that is under way ends after the present slice and the callback that it may be in.  Called by such a
        callback, it does not wait; in a thread that runs an event loop, which the callback may need, it waits two
        seconds at most.  Stopping twice is no error; ``registry.janitor()`` starts it again.
        """
        self._stop(_PARTING_S if runs_a_loop() else None)

    if not TYPE_CHECKING:
        __aenter__ = EnteredByWith("janitor: a janitor")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __str__(self) -> str:
        """One line: its interval, and what its latest clean-up did and when."""
        state = f"every {format_seconds(self._every_s)}" if self.alive else "stopped"
        if self._last is None:
            return f"janitor: {state}, has not run yet"
        when, report = self._last
        went = ", ".join(
            f"{count} {one if count == 1 else many}"
            for count, one, many in (
                (report.expired, "entry", "entries"),
                (report.flights, "flight", "flights"),
                (report.events, "event", "events"),
                *(((report.keys, "key", "keys"),) if report.keys else ()),
            )
        )
        return f"janitor: {state}, last run {when:%Y-%m-%d %H:%M:%S} UTC took {format_seconds(report.seconds)}: {went}"

    def __repr__(self) -> str:
        return f"<{self}>"

    # -- starting and stopping

    def start(self, every_s: float) -> None:
        """Run every so many seconds from now on, in the thread that is there or in a new one."""
        with self._lock:
            self._every_s = every_s
            self._wanted = True
            try:
                self._begin_interval()
                if self._thread is None:
                    self._start_thread()
            except BaseException:
                if self._thread is None:
                    self._wanted = False
                    self._interval.end()
                raise
        self._bell.ring()

    def _start_thread(self) -> None:
        begun: list[int] = []
        thread = threading.Thread(target=self._run, name="memo-janitor", daemon=True)
        try:
            self._thread = thread
            start(thread, begun)
        finally:
            if not begun:
                self._thread = None

    def _stop(self, timeout_s: float | None) -> None:
        with self._lock:
            thread = self._thread
            self._wanted = False
            self._interval.end()
        self._bell.ring()
        if thread is None or thread is threading.current_thread():
            return
        # it may be started again meanwhile, and go on
        ended = self._wait_for(lambda: self._wanted or self._thread is not thread, timeout_s)
        if ended and not self._wanted:
            thread.join(timeout_s)

    def _wait_for(self, over: Callable[[], bool], seconds: float | None) -> bool:
        """Wait until *over*, so many seconds of real time at most; whether it is."""
        ends = math.inf if seconds is None else real.monotonic() + seconds
        gate = self._bell.listen()
        while not over():
            left_s = ends - real.monotonic()
            if left_s <= 0:
                return False
            gate.wait(None if left_s == math.inf else left_s)
        return True

    # -- when it is time

    def _begin_interval(self) -> None:
        """Begin a new interval.  Lock held."""
        self._interval.begin(self._every_s, self._reached)

    def _follow(self, read: ReadClock) -> None:
        """Go by another clock."""
        with self._lock:
            if self._wanted:
                self._begin_interval()
        self._bell.ring()

    def _reached(self, number: int) -> None:
        """A clock that is advanced by hand has reached the end of an interval; called by whoever advances it."""
        with self._lock:
            if not self._interval.is_number(number) or self._thread is None:
                return
            self._interval.was_reached = True
            target = self._begun + 1
        self._bell.ring()
        if self._thread is threading.current_thread():
            return

        def is_over() -> bool:
            revoked = self._begun < target and not self._interval.was_reached
            return self._ended >= target or self._thread is None or revoked

        self._wait_for(is_over, _PATIENCE_S)

    def _wait(self, gate: Gate) -> bool:
        """Wait until a clean-up is due; False if the thread, which waits at *gate*, is to end."""
        me = threading.current_thread()
        while True:
            with self._lock:
                if self._thread is not me:
                    return False
                if not self._wanted or self._registry() is None:
                    self._thread = None
                    self._interval.end()
                    return False
                left_s = self._interval.left_s
                if left_s <= 0:
                    self._interval.end()
                    self._begun += 1
                    return True
            gate.wait(None if left_s == math.inf else min(left_s, _LONGEST_WAIT_S))

    # -- the thread

    def _run(self) -> None:
        gate = self._bell.listen()
        try:
            while self._wait(gate):
                self._clean()
                with self._lock:
                    if self._thread is threading.current_thread():
                        self._ended = self._begun
                        if self._wanted:
                            self._begin_interval()
                self._bell.ring()
        finally:
            if self._thread is threading.current_thread():  # struck
                self._thread = None
            self._bell.ring()

    def _clean(self) -> None:
        registry = self._registry()
        if registry is None:
            return
        began = real.utc(real.wall())
        me = threading.current_thread()
        try:
            report = self._sweep(registry, lambda: not self._wanted or self._thread is not me)
        except BaseException:  # SystemExit of a callback too: it would end this thread, and nothing else
            log.exception("janitor: a clean-up failed; the next one is in %s", format_seconds(self._every_s))
        else:
            self._last = (began, report)

    def renew(self) -> None:
        """Go on in a child, which has none of the parent's threads, with a thread of its own."""
        self._lock = rlock()
        self._bell = Bell()
        self._ended = self._begun
        self._interval.forget_wake_up()
        if self._thread is None:
            return
        self._thread = None
        if self._wanted and self._registry() is not None:
            try:
                self.start(self._every_s)
            except RuntimeError:
                log.exception("janitor: no thread can be started in the forked process; call registry.janitor() again")


def _orphaned(janitor: "weakref.ref[Janitor]", registry: object) -> None:
    """The registry was collected, in whatever thread, which may hold any lock: wake ours, which takes none."""
    here = janitor()
    if here is not None:
        here._bell.ring()


_all: "weakref.WeakSet[Janitor]" = weakref.WeakSet()


def _at_exit() -> None:
    """Let no thread be frozen by the interpreter's end while it holds a lock that a finalizer wants."""
    for janitor in list(_all):
        janitor._stop(_PARTING_S)


atexit.register(_at_exit)
