"""How events enter a window: the queue, the lock, and the folding of batches into what the window holds.

Invariants

- Recording appends one small tuple to a queue and returns; no lock. Whoever reads, or fills the queue to a batch,
  folds batches into the store and the totals, under the lock. At the limit of the queue a recorder waits for its
  turn to fold, so that eight writers cannot outrun one folder.
- Two records of the same past: the *kept events*, at most `max_events`, ordered by their end; and the *totals*, a
  ring of time buckets and, per slice of buckets, a histogram of durations. Every event folded enters both.
- Times in the queue are the clock's. Folding makes them times of the window's own; see `own_time`.
- An exception may strike at any bytecode (a signal's, one that another thread set, the recursion limit): no lock stays
  taken, no event is lost or counted twice. The lock is taken by `with`, or by one step of C that also notes that it
  was; it is given back first of all in a `finally`. A batch stays in the queue until a `Plan` of all that there is to
  do for it is in place; then `_carry_out()` does that, and whoever takes the lock next, if it was cut short.
- Nothing here refers to an argument, result, exception, traceback or frame: see `memo._base.key_text`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar

from memo._base import Aside, Failure, Stage, failure_text, in_slices, real, renew, rlock
from memo._window.contents import Contents, Plan
from memo._window.events import BATCH, EXPIRE, Raw, Ring
from memo._window.fields import IntakeFields
from memo._window.own_time import OwnTime
from memo._window.taped import new_contents

__all__ = ("LIMIT", "Intake")

log = logging.getLogger("memo")

T = TypeVar("T")

_INF = math.inf
LIMIT = 4 * BATCH  # queue length at which a recorder waits for its turn to fold

_HELD = ("_last", "contents", "time")  # what is set aside and put back


class Intake(IntakeFields):
    """Takes in the events of a window, from any thread, and keeps them within bounds.

    Every method may be called from any thread, also from a finaliser or signal handler that interrupts another method
    of the same intake or its recorder; such a call reads what was folded before, and `clear()` and `cleanup()` then
    do nothing.

    A clock that goes back is taken to have lost the time in between: the window's own time stands still at that
    moment and runs on from there. `clock` and `wall` are called under the lock and must not call the window. A clock
    that raises or shows no finite number is logged to logger "memo"; the window then stands still, and an event with
    such a time is dropped.

    Args:
        span_s: Length of the window in seconds, above 0 and finite.
        max_events: Most events kept in full, 1 or more.
        keys: Most keys whose calls are counted beyond the kept events, 1 or more; None: those of none.
        only: Exception types that `record_now()` records; None records everything.
        clock: Monotonic time in seconds, the one that `note()` is given.
        wall: Seconds since the epoch. Read once, now, to date all events; again only when a read finds nothing kept.
        where: Whose window it is, for the log.

    Attributes:
        span_s: Length of the window in seconds.
        time: The window's own; guarded by the lock.
        contents: What was folded; guarded by the lock.
    """

    __slots__ = ("__weakref__", "_lock", "_only", "_where", "span_s")

    _pending: list[Raw]
    _plan: Plan | None
    contents: Contents[Any]
    time: OwnTime

    def __init__(
        self,
        *,
        span_s: float,
        max_events: int,
        keys: int | None = None,
        only: tuple[type[BaseException], ...] | None,
        clock: Callable[[], float],
        wall: Callable[[], float] = real.wall,
        where: str = "sliding_window",
    ) -> None:
        self._where = where
        self.span_s: float = float(span_s)
        self._only = only
        self._batch = BATCH
        self._pending = []  # no lock: append and del are atomic; only the lock's holder takes from its front
        self._last = -math.inf  # no lock: latest end or read; a lost write only delays noticing that time went back
        # Re-entrant, so that a finaliser that runs inside a locked section cannot hang its thread; `_busy`, how many
        # such sections are open, then keeps it from changing what the outer one is looking at. The lock guards all
        # that follows.
        self._lock = rlock()
        self._busy = 0
        self._plan = None
        self.contents = new_contents(max_events, self.span_s, keys)
        self.time = OwnTime(clock, wall, where)
        renew(Stage.WINDOWS, self)

    def length(self, last: float | None) -> float:
        """How long the last so many seconds of the window are; None, and more than the span: the span."""
        return self.span_s if last is None else min(float(last), self.span_s)

    # Recording

    def note(self, started: float, ended: float, detail: str | Failure, key: object) -> None:
        """Record what is ready to be kept: `detail` "ok", "cancelled" or `failure_text()`, `key` from `stored_key()`.

        Applies no `only`. Times that are not finite are logged to logger "memo", and the event is dropped.
        """
        # Of times that are no numbers or not finite, the comparison is false.
        took = ended - started
        if 0.0 <= took < _INF and ended >= self._last:
            self._last = ended
        elif not self._take_odd(started, ended):
            return
        pending = self._pending
        pending.append((ended, max(0.0, took), detail, key))
        if len(pending) >= self._batch:
            self._relieve(len(pending))

    def queue(self, started: float, ended: float, detail: Any, key: object) -> None:
        """Record what calls cannot enter by themselves.

        What has come in while somebody looked stands in the queue, and calls enter their events again by themselves
        once it is folded: so that is done now, if nobody looks.
        """
        self.note(started, ended, detail, key)
        if self._pending and not self._busy and self.contents.direct is not None:
            self._relieve(len(self._pending))

    def note_names(self) -> dict[str, Any]:
        """What the words of a generated wrapper that notes its calls mean."""
        return {
            "intake": self,
            "pending": self._pending,
            "relieve": self._relieve,
            "note": self.note,
            "batch": self._batch,
            "inf": _INF,
            "len": len,
        }

    def record_now(self, error: BaseException, key: object) -> None:
        """Record a call that took no time and ended by `error`, unless `only` leaves it out; `key` from `stored_key()`.

        What is no `Exception` has cancelled the call, as where a wrapper sees it: it is nobody's failure.
        """
        if self._only is None or isinstance(error, self._only):
            with self._lock:
                now = self.time.reading()
            self.enter(now, now, failure_text(error) if isinstance(error, Exception) else "cancelled", key)

    def _take_odd(self, started: float, ended: float) -> bool:
        """Whether to take in an event that ended before it began, or before its forerunner did."""
        if not math.isfinite(ended - started):
            log.error(
                "%s: clock showed %r, then %r; a call between two times that are not both finite is not recorded",
                self._where, started, ended,
            )  # fmt: skip
            return False
        if ended >= self._last:
            self._last = ended
        else:
            self.folded(self._step_back)
        return True

    def _step_back(self) -> None:
        """Find out whether an event that is older than its forerunner came late, or the clock went back.

        A clock read under the lock, after everything before it was folded, is below what was folded only if the clock
        went back: a thread that merely came late cannot make it so.
        """
        if self._busy == 1 and self.time.went_back():
            self._last = self.time.high

    def _relieve(self, waiting: int) -> None:
        took: list[bool] = []
        try:
            took.extend(map(self._lock.acquire, (waiting >= LIMIT,)))
            if True in took and not self._busy:
                self.folded(_nothing, LIMIT)
        finally:
            if True in took:
                self._lock.release()

    def folded(self, read: Callable[[], T], most: int | None = None) -> T:
        """Call *read* with the lock held and everything folded, or at most so many events.

        In a call that interrupted another of this thread `_busy` is above 1 then, and nothing was folded.
        """
        with self._lock:
            busy = self._busy
            try:
                self._busy = busy + 1
                if not busy:
                    # What comes in meanwhile waits for the next reader, so that no reader is kept here for ever.
                    self._drain(len(self._pending) if most is None else most)
                return read()
            finally:
                self._busy = busy

    def _drain(self, most: int) -> None:
        """Fold what is pending, at most so many events. Lock held."""
        if self._plan is not None:
            self._carry_out()
        self.contents.kept.compact()
        while most > 0 and self._pending:
            batch = self._pending[: min(BATCH, most)]
            most -= len(batch)
            self._plan = self.contents.plan(batch, self.time)
            self._carry_out()

    def _carry_out(self) -> None:
        """Do what is planned, or what is left of it. Lock held."""
        assert self._plan is not None
        self.contents.commit(self._plan, self._pending)
        self.time.reach(self._plan.high)
        self._plan = None

    def now(self) -> float:
        """The window's own time. Within `folded()`."""
        if self._busy > 1:
            return self.time.glance()
        self._last = self.time.follow()
        return self.time.now(is_empty=not self.contents.kept.ring)

    def forget(self, now: float) -> None:
        """Let go of histograms that are out of the window. Within `folded()`."""
        if self._busy == 1:
            self.contents.forget(now)

    # Upkeep

    def cleanup(self) -> int:
        """Remove kept events and histograms that are out of the window by their age; returns how many events.

        Works in slices of a thousand events and lets other threads run in between.
        """
        return in_slices(self.expire_events())

    def expire_events(self) -> Iterator[int]:
        """Do that slice by slice, without the lock in between: how many events, for each."""
        expired = EXPIRE
        while expired == EXPIRE:
            expired = self.folded(self._expire)
            yield expired

    def _expire(self) -> int:
        if self._busy > 1:
            return 0
        now = self.now()
        self.forget(now)
        return self.contents.expire(now)

    def clear(self) -> None:
        """Forget all events and totals. `dropped`, a counter, stays."""
        old = self.folded(self._clear)
        # One by one and outside the lock: freeing a million events in one go would stop every thread meanwhile.
        while old:
            old.popleft()

    def _clear(self) -> Ring | None:
        if self._busy > 1:
            return None
        old: Ring = self.contents.kept.ring
        self.contents = self.contents.emptied()
        self.now()
        return old

    def set_aside(self, aside: Aside) -> None:
        """Hold nothing, like a new window, until *aside* is put back.

        Raises:
            RuntimeError: The call interrupted another of this thread.
        """
        self.folded(lambda: self._exchange(aside))

    def put_back(self, aside: Aside) -> None:
        """Hold what was set aside; what was never set aside stays as it is.  Cut short, it can be done again.

        Raises:
            RuntimeError: The call interrupted another of this thread.
        """
        if aside.is_out:
            self.folded(lambda: self._exchange(aside))

    def _exchange(self, aside: Aside) -> None:
        if self._busy > 1:
            raise RuntimeError(f"{self._where}: its window cannot be set aside in the middle of a look at it.")
        aside.exchange([aside.pair(self, _HELD, self._twin)])

    def _twin(self) -> SimpleNamespace:
        """What a new window would hold."""
        return SimpleNamespace(_last=-_INF, contents=self.contents.anew(), time=self.time.anew())

    def renew(self) -> None:
        """Make the window usable in a forked child, where the holder of the lock may not exist.

        The child goes on with the events of its parent. If a thread of the parent was folding at that moment, the
        child ends what that thread has begun.
        """
        self._lock = rlock()
        self._busy = 0


def _nothing() -> None:
    pass
