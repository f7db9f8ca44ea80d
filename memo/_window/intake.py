"""How events enter a window, and what keeps it in order: the queue, the lock, the window's own time.

Invariants

- Recording appends one small tuple to a queue and returns; no lock. Whoever reads, or fills the queue to a batch,
  folds batches into the store and the totals, under the lock. At the limit of the queue a recorder waits for its
  turn to fold, so that eight writers cannot outrun one folder.
- Two records of the same past: the *kept events*, at most `max_events`, ordered by their end; and the *totals*, a
  ring of time buckets and, per slice of buckets, a histogram of durations. Every event folded enters both.
- The window's own time, "now" below, is the clock plus what the clock has ever gone back by: it stands still where
  the clock goes back and runs on with it from there. So nothing leaves early and nothing is stuck.
- An exception may strike at any bytecode (a signal's, one that another thread set, the recursion limit): no lock stays
  taken, no event is lost or counted twice. The lock is taken by `with`, or by one step of C that also notes that it
  was; it is given back first of all in a `finally`. A batch stays in the queue until `_plan`, with all that there is
  to do for it, is in place; then `_carry_out()` does that, and whoever takes the lock next, if it was cut short.
- Nothing here refers to an argument, result, exception, traceback or frame: see `memo._key_text`.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar

from memo._base import Aside, Failure, Stage, failure_text, in_slices, real, renew, stored_key
from memo._window.events import BATCH, EXPIRE, Addition, Columns, EventCache, Raw, ended_at
from memo._window.stats import Outcome
from memo._window.totals import PER_SLICE, Totals

__all__ = ("LIMIT", "Intake")

log = logging.getLogger("memo")

T = TypeVar("T")

_INF = math.inf
LIMIT = 4 * BATCH  # queue length at which a recorder waits for its turn to fold

_HELD = ("_anchor", "_dated", "_high", "_kept", "_last", "_offset", "_totals")  # what is set aside and put back


class Intake:
    """What `Recorder` asks its questions of; see there.

    Takes events in from any thread, keeps them within bounds, and follows the clock. Its methods are the recorder's:
    what is safe, and what the arguments mean, is told there.

    Attributes:
        where: Whose window it is, for the log.
    """

    __slots__ = (
        "__weakref__",
        "_anchor",
        "_busy",
        "_clock",
        "_dated",
        "_everything",
        "_high",
        "_kept",
        "_last",
        "_lock",
        "_offset",
        "_only",
        "_pending",
        "_plan",
        "_span_s",
        "_totals",
        "_wall",
        "where",
    )

    where: str

    def __init__(
        self,
        *,
        span_s: float,
        max_events: int,
        only: tuple[type[BaseException], ...] | None,
        clock: Callable[[], float],
        wall: Callable[[], float] = real.wall,
        where: str = "sliding_window",
    ) -> None:
        if not 0.0 < span_s < math.inf:
            raise ValueError(f"sliding_window: window={span_s!r} is not a positive, finite time; give seconds above 0.")
        if max_events < 1:
            raise ValueError(f"sliding_window: max={max_events!r} keeps no event; give 1 or more.")
        if only is not None and not only:
            raise ValueError("sliding_window: only=() would record nothing; name an exception type or leave it out.")
        self.where = where
        self._span_s = float(span_s)
        self._only = only
        self._everything = only is None
        self._clock = clock
        self._wall = wall
        self._pending: list[Raw] = []  # no lock: append and del are atomic; only the lock's holder takes from its front
        self._last = -math.inf  # no lock: latest end or read; a lost write only delays noticing that time went back
        # Re-entrant, so that a finaliser that runs inside a locked section cannot hang its thread; `_busy`, how many
        # such sections are open, then keeps it from changing what the outer one is looking at. The lock guards all
        # that follows.
        self._lock = threading.RLock()
        self._busy = 0
        self._plan: tuple[list[Raw], Addition, Totals, float] | None = None
        """A batch of the queue, what the store does for it, the totals with it, and the latest end."""
        self._kept = EventCache(max_events, self._span_s)
        self._totals = Totals(self._span_s)
        self._high = -math.inf  # latest clock reading seen under the lock
        self._offset = 0.0  # what the clock has gone back by, in all
        self._dated = True  # whether the anchor comes from a clock that worked
        self._anchor = wall() - self._reading()  # epoch s at the window's own time 0; fixed while an event is kept
        renew(Stage.WINDOWS, self)

    # Recording

    def record(self, started: float, ended: float, outcome: Outcome, key: object, error: BaseException | None) -> None:
        """Record a call that has ended.

        Safe from any thread, and from within a finaliser. The text of a key that is not a small immutable scalar (or
        tuple of such), and of an error, is made before this returns.

        Args:
            started: When it began, by `clock`.
            ended: When it ended, by `clock`, read just before.
            outcome: "ok", "error" or "cancelled".
            key: Anything.
            error: The exception of an "error", or None if there was none.

        Raises:
            ValueError: outcome is none of the three.
        """
        detail: str | Failure
        if outcome == "ok" and self._everything:
            detail = "ok"
        elif outcome == "error":
            if self._only is not None and not isinstance(error, self._only):
                return
            detail = failure_text(error)
        elif outcome == "cancelled" or outcome == "ok":
            if self._only is not None:
                return
            detail = outcome
        else:
            raise ValueError(f"record: outcome={outcome!r} is unknown; use 'ok', 'error' or 'cancelled'.")
        self.note(started, ended, detail, stored_key(key))

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
        if len(pending) >= BATCH:
            self._relieve(len(pending))

    def note_names(self) -> dict[str, Any]:
        """What the words of a generated wrapper that notes its calls mean."""
        return {
            "intake": self,
            "pending": self._pending,
            "relieve": self._relieve,
            "note": self.note,
            "batch": BATCH,
            "inf": _INF,
            "len": len,
        }

    def record_now(self, error: BaseException, key: object) -> None:
        """Record an error that took no time, unless `only` leaves it out; `key` from `stored_key()`."""
        if self._only is None or isinstance(error, self._only):
            with self._lock:
                now = self._reading()
            self.note(now, now, failure_text(error), key)

    def _take_odd(self, started: float, ended: float) -> bool:
        """Whether to take in an event that ended before it began, or before its forerunner did."""
        if not math.isfinite(ended - started):
            log.error(
                "%s: clock showed %r, then %r; a call between two times that are not both finite is not recorded",
                self.where, started, ended,
            )  # fmt: skip
            return False
        if ended >= self._last:
            self._last = ended
        else:
            self._after_step_back()
        return True

    def _read_clock(self) -> float | None:
        """What the clock shows; None where it fails or shows no finite number. Lock held."""
        try:
            reading = self._clock()
            if math.isfinite(reading):
                return reading
            log.error("%s: clock showed %r, which is not finite; the window stands still", self.where, reading)
        except Exception:
            log.exception("%s: clock raised; the window stands still", self.where)
        return None

    def _reading(self) -> float:
        """What the clock shows; the latest known where it cannot be read. Lock held."""
        reading = self._read_clock()
        if reading is not None:
            return reading
        self._dated = self._dated and self._high > -math.inf
        return self._high if self._high > -math.inf else 0.0

    def _after_step_back(self) -> None:
        """Find out whether an event that is older than its forerunner came late, or the clock went back.

        A clock read under the lock, after everything before it was folded, is below what was folded only if the clock
        went back: a thread that merely came late cannot make it so.
        """
        self._folded(self._step_back)

    def _step_back(self) -> None:
        reading = self._reading()
        if self._busy == 1 and reading < self._high:
            self._continue_from(reading)

    def _continue_from(self, reading: float) -> None:
        self._offset += self._high - reading
        self._high = self._last = reading

    def _relieve(self, waiting: int) -> None:
        took: list[bool] = []
        try:
            took.extend(map(self._lock.acquire, (waiting >= LIMIT,)))
            if True in took and not self._busy:
                self._folded(_nothing, LIMIT)
        finally:
            if True in took:
                self._lock.release()

    def _folded(self, read: Callable[[], T], most: int | None = None) -> T:
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
        self._kept.compact()
        while most > 0 and self._pending:
            batch = self._pending[: min(BATCH, most)]
            most -= len(batch)
            self._fold(batch)

    def _fold(self, raws: list[Raw]) -> None:
        """Enter the oldest events of the queue into the store and the totals. Lock held."""
        batch = raws
        columns = Columns.of(batch)
        ordered = sorted(columns.ends)
        if ordered != columns.ends:  # threads overtook each other between the clock and the queue
            batch = sorted(batch, key=ended_at)
            columns = Columns.of(batch)
        high = max(self._high, ordered[-1])
        if self._offset:
            shift = self._offset
            batch = [(ended + shift, took, detail, key) for ended, took, detail, key in batch]
            columns = Columns.of(batch)
        self._kept.expire(batch[-1][0], EXPIRE)
        addition = self._kept.plan(batch, columns)
        self._plan = raws, addition, self._totals.plus(columns), high
        self._carry_out()

    def _carry_out(self) -> None:
        """Do what is planned, or what is left of it. Lock held."""
        assert self._plan is not None
        raws, addition, totals, high = self._plan
        self._kept.commit(addition)
        self._totals = totals
        self._high = high
        pending = self._pending
        if pending and pending[0] is raws[0]:
            del pending[: len(raws)]
        self._plan = None

    def _now(self) -> float:
        """The window's own time. Lock held, everything folded."""
        reading = self._reading()
        if self._busy > 1:  # the interrupted section may have read the clock before, and must not find it gone back
            return max(reading, self._high) + self._offset
        if reading < self._high:
            self._continue_from(reading)
        else:
            self._high = self._last = reading
        # While nothing is kept nobody can see a difference, so follow the wall clock's corrections.
        if not self._kept.ring or not self._dated:
            self._anchor = self._wall() - reading - self._offset
            self._dated = True
        return reading + self._offset

    def _forget(self, now: float) -> None:
        if self._busy > 1:
            return
        # One slice more than the edge asks for, lest rounding take one that the window still touches.
        totals = self._totals
        self._totals = totals.without(totals.index(now - self._span_s) // PER_SLICE - 1)

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
            expired = self._folded(self._expire)
            yield expired

    def _expire(self) -> int:
        if self._busy > 1:
            return 0
        now = self._now()
        self._forget(now)
        return self._kept.expire(now, EXPIRE)

    def clear(self) -> None:
        """Forget all events and totals. `dropped`, a counter, stays."""
        old = self._folded(self._clear)
        # One by one and outside the lock: freeing a million events in one go would stop every thread meanwhile.
        while old:
            old.popleft()

    def _clear(self) -> deque[Raw]:
        if self._busy > 1:
            return deque()
        kept, empty = self._kept, EventCache(int(self._kept.maxsize), self._span_s)
        empty._end, empty.dropped = kept._end, kept.dropped
        self._kept, self._totals = empty, Totals(self._span_s)
        self._now()
        return kept.ring

    def set_aside(self, aside: Aside) -> None:
        """Hold nothing, like a new recorder, until *aside* is put back.

        Raises:
            RuntimeError: The call interrupted another of this thread.
        """
        self._folded(lambda: self._exchange(aside))

    def put_back(self, aside: Aside) -> None:
        """Hold what was set aside; what was never set aside stays as it is.  Cut short, it can be done again.

        Raises:
            RuntimeError: The call interrupted another of this thread.
        """
        if aside.is_out:
            self._folded(lambda: self._exchange(aside))

    def _exchange(self, aside: Aside) -> None:
        if self._busy > 1:
            raise RuntimeError(f"{self.where}: its window cannot be set aside in the middle of a look at it.")
        aside.exchange([aside.pair(self, _HELD, self._twin)])

    def _twin(self) -> SimpleNamespace:
        """What a new recorder would hold."""
        reading = self._read_clock()
        kept, totals = EventCache(int(self._kept.maxsize), self._span_s), Totals(self._span_s)
        held = self._wall() - (reading or 0.0), reading is not None, -_INF, kept, -_INF, 0.0, totals
        return SimpleNamespace(**dict(zip(_HELD, held, strict=True)))

    def renew(self) -> None:
        """Make the recorder usable in a forked child, where the holder of the lock may not exist.

        The child goes on with the events of its parent. If a thread of the parent was folding at that moment, the
        child ends what that thread has begun.
        """
        self._lock = threading.RLock()
        self._busy = 0


def _nothing() -> None:
    pass
