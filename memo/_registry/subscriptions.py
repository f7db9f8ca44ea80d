"""Subscriptions: what happens in functions is told to a callback, in a thread of its own, so that no call waits for it.

Invariants

- A call appends to the queue, which is one step in C, loses nothing and waits for nothing; and it wakes the thread if
  that sleeps.  The thread says that it sleeps before it looks at the queue once more, so none of the two misses the
  other.  What a wake-up that was cut short leaves behind, the thread finds at its next look.
- The queue is bounded by itself: where it is full, the oldest is dropped.  What was posted, was told, and is in the
  queue still is counted; the rest was dropped.
- The callback runs without a lock.
- At most one thread is at work, ``_thread``; one that finds another there ends.  A registry holds its subscriptions,
  and a thread its own: so either may go on without the user's holding it.
"""

import atexit
import functools
import logging
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from memo._base import (
    Bell,
    EnteredByWith,
    Gate,
    Item,
    Seldom,
    Stage,
    Staying,
    counted,
    label,
    real,
    renew,
    rlock,
    seconds,
    start,
)
from memo._registry.cache_event import CacheEvent

__all__ = ("Subscription",)

log = logging.getLogger("memo")

_LOOK_S = 5.0
"""Seconds after which a thread that sleeps looks at its queue, though nobody woke it."""
_GATHER_S = 0.001
"""Seconds from when something wakes the thread until it tells of that, and of what else came meanwhile: to wake a
thread costs a call more than all else that it pays for an event."""
_PARTING_S = 2.0
"""Seconds for which ``close()``, and the interpreter at its end, wait for a callback that does not return."""


class Subscription(Staying):
    """What ``registry.subscribe()`` returns: a callback that is told what happens, until ``close()``.

    A daemon thread of its own calls the callback with one ``CacheEvent`` after another, in the order in which they
    happened.  No call waits for it: where more happens than it can take, the oldest of the events that wait (at most
    ``limit``) are dropped and counted.  What it raises is logged to logger "memo", at most once a minute, and counted.
    A callback that calls decorated functions is told of what they do, too.

    It goes on though nobody holds it.  It ends with ``close()``, at the end of a ``with`` block, when its registry is
    collected, and at the interpreter's end, which waits for what is left in the queue, two seconds at most.  After
    ``os.fork()`` the child goes on with an empty queue and a thread of its own.

    Safe from any thread.
    """

    __module__ = "memo"

    def __init__(self, callback: Callable[[CacheEvent], object], kinds: frozenset[str], limit: int) -> None:
        self.kinds: frozenset[str] = kinds
        """What it is told of."""
        self.limit: int = limit
        """The most events that wait."""
        self._callback = callback
        self._leave: Callable[[], None] = _nothing
        self._complaints = Seldom()
        self._failed = self._posted = self._handled = 0
        self._wanted = True
        self._sleeps = self._is_busy = False
        self._thread: threading.Thread | None = None  # guarded by _lock
        self._queue: deque[Item] = deque(maxlen=min(limit, sys.maxsize))
        self._begin_anew()
        _all.add(self)
        renew(Stage.JANITORS, self)

    def _stays(self) -> tuple[str, str]:
        return (
            "subscribe: a subscription tells what happens in this process, in a thread of its own",
            "the callback, and call registry.subscribe() there",
        )

    def _begin_anew(self) -> None:
        self._lock = rlock()
        self._bell = Bell()
        """Wakes the thread."""
        self._told = Bell()
        """Wakes those who wait for the thread."""

    # -- what users see

    @property
    def active(self) -> bool:
        """Whether it is told of what happens."""
        return self._wanted

    @property
    def delivered(self) -> int:
        """How many events the callback was called with."""
        return self._handled

    @property
    def failed(self) -> int:
        """How many of these calls raised."""
        return self._failed

    @property
    def pending(self) -> int:
        """How many events wait now."""
        return len(self._queue)

    @property
    def dropped(self) -> int:
        """How many events were dropped, since others came faster than the callback returned."""
        return max(0, self._posted - self._handled - self._is_busy - len(self._queue))

    def drain(self, timeout: Any = "10s") -> bool:
        """Wait until the callback has returned from all that happened before, as tests want it.

        Args:
            timeout: How long to wait at most, in real time: seconds, a timedelta, or text such as "500ms".

        Returns:
            Whether that was so in time; in the callback itself False at once.

        Raises:
            TypeError: timeout is no duration.
            ValueError: timeout is not above zero, not finite, or text that is no duration.
        """
        timeout_s = seconds(timeout, where="drain", option="timeout")
        if self._thread is threading.current_thread():
            return False
        target = self._handled + self._is_busy + len(self._queue)
        return self._wait_for(lambda: self._handled >= target or self._is_idle(), timeout_s)

    def close(self) -> None:
        """Be told of nothing more.

        What has happened before is told still; this waits for that two seconds at most, and not at all in the callback
        itself.  Closing twice is no error.
        """
        self._close(_PARTING_S)

    if not TYPE_CHECKING:
        __aenter__ = EnteredByWith("subscribe: a subscription")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "subscription" if self._wanted else "closed subscription"
        dropped = f", {self.dropped} dropped" if self.dropped else ""
        return f"<{state}: {counted(self._handled, 'event')} told, {self.pending} waiting{dropped}>"

    def __str__(self) -> str:
        """One line: what it is told of, and how it fares."""
        about = ", ".join(sorted(self.kinds))
        lost = f", {counted(self.dropped, 'event')} dropped" if self.dropped else ""
        lost += f", raised {counted(self._failed, 'time')}" if self._failed else ""
        return f"subscription ({about}): {counted(self._handled, 'event')} told, {self.pending} waiting{lost}"

    # -- what happens

    def steps(self, item: Item) -> tuple[tuple[Any, ...], ...]:
        """The calls that tell of *item*, which are to be made one after the other."""
        return (self._count,), (self._queue.append, item), (self.wake,)

    def _count(self) -> None:
        self._posted += 1

    def wake(self) -> None:
        """See to it that the thread looks at its queue."""
        if self._sleeps:
            self._bell.ring()

    # -- beginning and ending

    def begin(self, registry: Any, leave: Callable[[], None]) -> None:
        """Begin the thread.

        Args:
            registry: Ends this when it is collected.
            leave: Has the registry tell this nothing more.

        Raises:
            RuntimeError: No thread can be started any more.
        """
        self._leave = leave
        self._registry = weakref.ref(registry, functools.partial(_orphaned, weakref.ref(self)))
        self._start_thread()

    def _start_thread(self) -> None:
        with self._lock:
            begun: list[int] = []
            thread = threading.Thread(target=self._run, name="memo-events", daemon=True)
            try:
                self._thread = thread
                start(thread, begun)
            finally:
                if not begun:
                    self._thread = None

    def _close(self, patience_s: float) -> None:
        self._leave()
        self._wanted = False
        self._bell.ring()
        if self._thread is not threading.current_thread():
            self._wait_for(lambda: self._thread is None, patience_s)

    def _is_idle(self) -> bool:
        return not self._queue and not self._is_busy

    def _wait_for(self, over: Callable[[], bool], patience_s: float) -> bool:
        ends = real.monotonic() + patience_s
        gate = self._told.listen()
        while not over():
            left_s = ends - real.monotonic()
            if left_s <= 0:
                return False
            gate.wait(left_s)
        return True

    def renew(self) -> None:
        """Go on in a child, which has none of the parent's threads: what waited is the parent's to tell."""
        self._begin_anew()
        self._queue.clear()
        self._posted = self._handled
        self._sleeps = self._is_busy = False
        if self._thread is None:
            return
        self._thread = None
        if self._wanted:
            try:
                self._start_thread()
            except RuntimeError:
                log.exception("subscribe: no thread can be started in the forked process; subscribe again there")

    # -- the thread

    def _run(self) -> None:
        gate = self._bell.listen()
        me = threading.current_thread()
        try:
            while self._thread is me:
                if self._queue:
                    self._tell()
                elif self._wanted:
                    self._rest(gate)
                else:
                    return
        finally:
            if self._thread is me:
                self._thread = None
            self._told.ring()

    def _rest(self, gate: Gate) -> None:
        """Wait for more."""
        if len(self._told):
            self._told.ring()
        try:
            self._sleeps = True
            if not self._queue and self._wanted:
                gate.wait(_LOOK_S)
                self._sleeps = False
                gate.wait(_GATHER_S)
        finally:
            self._sleeps = False

    def _tell(self) -> None:
        """Tell of the oldest event that waits."""
        self._is_busy = True
        try:
            kind, name, wall, key, *others = self._queue.popleft()
            self._callback(CacheEvent(kind, name, real.utc(wall), label(key), *others))
        except BaseException as error:  # SystemExit too: it would end this thread, and nothing else
            self._failed += 1
            if self._complaints.is_due():
                log.error(
                    "subscribe: the callback raised, %s so far; it is told of what comes, and this is said at most "
                    "once a minute",
                    counted(self._failed, "time"),
                    exc_info=error,
                )
        finally:
            self._handled += 1
            self._is_busy = False


def _nothing() -> None:
    pass


def _orphaned(subscription: "weakref.ref[Subscription]", registry: object) -> None:
    """The registry was collected, in whatever thread, which may hold any lock: end ours, which takes none."""
    here = subscription()
    if here is not None:
        here._wanted = False
        here._bell.ring()


_all: "weakref.WeakSet[Subscription]" = weakref.WeakSet()


def _at_exit() -> None:
    """Tell of what waits still, and let no thread be frozen by the interpreter's end in the middle of a callback."""
    ends = real.monotonic() + _PARTING_S
    for subscription in list(_all):
        subscription._close(max(0.0, ends - real.monotonic()))


atexit.register(_at_exit)
