"""What a window holds: the kept events and the totals of all, and what both together tell of a span."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from operator import sub
from typing import Any, Generic, NamedTuple, Self, TypeVar

from memo._window.events import EXPIRE, Addition, Columns, EventCache, KeptEvents, Raw, ended_at
from memo._window.key_tables import KeyTables
from memo._window.own_time import OwnTime
from memo._window.totals import CELLS, PER_SLICE, Totals, cells_of

__all__ = ("Contents", "ListedContents", "Plan")


class Plan(NamedTuple):
    """What taking in a batch of events comes to; absolute, so as to be done twice."""

    raws: list[Raw]
    """The events, as they are in the queue."""
    batch: list[Raw]
    """The same, in the window's own time and ordered by their ends."""
    by_key: KeyTables | None
    """The tables of keys with them."""
    high: float
    """The latest reading of the clock, theirs included."""
    addition: Addition | None = None
    """What is done to the kept ones; None: a tape knows by itself."""
    totals: Totals | None = None
    """The totals with them; likewise."""


KeptT = TypeVar("KeptT", bound=KeptEvents[Any])


class Contents(Generic[KeptT]):
    """Kept events and totals of one window.  The intake's lock guards them.

    Times are in the window's own time.  An answer is exact where the kept events reach back to the edge it asks for:
    whole buckets come from the totals, the one that the edge cuts from the kept events.  Past that, the cut bucket
    counts as a whole.  Subclasses say how the two are held.

    Attributes:
        kept: The latest events, in full.
        totals: Of all events.
        by_key: Of all events by their keys; None: these are not counted.
        direct: The tape that a call may enter its event into by itself; None: each goes through the queue.
    """

    __slots__ = ("by_key", "direct", "kept", "totals")

    def __init__(self, kept: KeptT, totals: Totals, keys: int | None) -> None:
        self.kept: KeptT = kept
        self.totals: Totals = totals
        self.by_key: KeyTables | None = None if keys is None else KeyTables(keys)
        self.direct: Any = None

    @property
    def _keys(self) -> int | None:
        return None if self.by_key is None else self.by_key.keys

    def anew(self) -> Self:
        """Others like these that hold nothing."""
        raise NotImplementedError

    def emptied(self) -> Self:
        """Others that hold nothing, and go on counting what was dropped."""
        raise NotImplementedError

    def plan(self, raws: list[Raw], time: OwnTime) -> Plan:
        """How to take in events whose times are the clock's; changes nothing but what their time changes."""
        raise NotImplementedError

    def commit(self, plan: Plan, pending: list[Raw]) -> None:
        """Take in what was planned, or what is left of it, and out of the queue; nothing else happened meanwhile."""
        raise NotImplementedError

    def _let_go(self, first: int) -> None:
        """Let go of the histograms of slices before this one."""
        raise NotImplementedError

    def _tally(self, begin: int, end: int) -> tuple[int, int, int, float]:
        """Calls, errors, cancelled calls and seconds of the kept events at these positions."""
        raise NotImplementedError

    def _cells(self, begin: int, end: int) -> Iterable[tuple[int, int]]:
        """Cells of a histogram and how many more of the kept events at these positions each holds."""
        raise NotImplementedError

    def _in_own_time(self, raws: list[Raw], time: OwnTime) -> tuple[list[Raw], list[float], float]:
        """Events in the window's own time, ordered by their ends; these; the latest reading of the clock."""
        batch, ends = raws, list(map(ended_at, raws))
        ordered = sorted(ends)
        if ordered != ends:  # threads overtook each other between the clock and the queue
            batch = sorted(batch, key=ended_at)
        high = max(time.high, ordered[-1])
        shift = time.offset
        if shift:
            batch = [(ended + shift, took, detail, key) for ended, took, detail, key in batch]
            ordered = list(map(ended_at, batch))
        return batch, ordered, high

    def _by_key_with(self, batch: list[Raw]) -> KeyTables | None:
        return None if self.by_key is None else self.by_key.plus(batch, self._slice_of)

    def _slice_of(self, moment: float) -> int:
        return self.totals.index(moment) // PER_SLICE

    def expire(self, now: float) -> int:
        """Remove kept events that are out of the span by their age, at most a slice of them; how many."""
        return self.kept.expire(now, EXPIRE)

    def forget(self, now: float) -> None:
        """Let go of histograms and tables of keys that are out of the span."""
        # One slice more than the edge asks for, lest rounding take one that the window still touches.
        first = self._slice_of(now - self.kept.span_s) - 1
        self._let_go(first)
        if self.by_key is not None:
            self.by_key = self.by_key.without(first)

    def tally(self, now: float, last_s: float) -> tuple[int, int, int, float]:
        """Calls, errors, cancelled calls and seconds of the last last_s seconds."""
        totals, kept = self.totals, self.kept
        if not kept.covers(now, last_s):
            return totals.since(totals.index(now - last_s))
        begin = kept.first_within(now, last_s)
        if begin == len(kept.ring):
            return 0, 0, 0, 0.0
        edge = totals.index(kept.ring[begin][0])
        end = self._end_of(begin, edge + 1)
        if end - begin == totals.bucket(edge)[0]:
            return totals.since(edge)
        count, errors, cancelled, seconds = totals.since(edge + 1)
        cut = self._tally(begin, end)
        return count + cut[0], errors + cut[1], cancelled + cut[2], seconds + cut[3]

    def _end_of(self, begin: int, bucket: int) -> int:
        """Position in the ring of the first event in or after that bucket."""
        index = self.totals.index
        return bisect_left(self.kept.ring, bucket, begin, key=lambda raw: index(raw[0]))

    def histogram(self, now: float, last_s: float) -> list[int]:
        """Calls of the last last_s seconds by cell of duration."""
        totals, kept = self.totals, self.kept
        if not kept.covers(now, last_s):
            return totals.histogram(totals.index(now - last_s) // PER_SLICE)
        begin = kept.first_within(now, last_s)
        if begin == len(kept.ring):
            return [0] * CELLS
        section = totals.index(kept.ring[begin][0]) // PER_SLICE
        end = self._end_of(begin, (section + 1) * PER_SLICE)
        cells = totals.histogram(section)
        in_slice = totals.since(section * PER_SLICE)[0] - totals.since((section + 1) * PER_SLICE)[0]
        whole = None if in_slice == end - begin else totals.slice_cells(section)
        if whole is None:
            return cells
        begin_of_slice = self._end_of(0, section * PER_SLICE)
        if end - begin_of_slice == in_slice and begin - begin_of_slice < end - begin:
            # All of the slice is kept, and less of it is out than in: take that away.
            for cell, times in self._cells(begin_of_slice, begin):
                cells[cell] -= times
            return cells
        cells = list(map(sub, cells, whole))
        for cell, times in self._cells(begin, end):
            cells[cell] += times
        return cells

    def spread(self, now: float, parts: int) -> list[tuple[int, int, float]]:
        """Calls, errors and seconds of each of so many equal parts of the span, oldest first, by the totals alone."""
        spread = [(0, 0, 0.0)] * parts
        totals, begin = self.totals, now - self.kept.span_s
        part_s = self.kept.span_s / parts
        if totals.head is not None:
            for index in range(totals.index(begin), totals.head + 1):
                calls, failed, _, took = totals.bucket(index)
                if calls:
                    part = int(((index + 0.5) * totals.width - begin) // part_s)
                    part = min(max(part, 0), parts - 1)
                    count, errors, seconds = spread[part]
                    spread[part] = count + calls, errors + failed, seconds + took
        return spread

    def check(self, now: float) -> None:
        """Raise AssertionError if an invariant does not hold; for tests."""
        kept, span_s = self.kept, self.kept.span_s
        kept.check()
        self.totals.check()
        if self.by_key is not None:
            self.by_key.check()
        within = len(kept) - kept.first_within(now, span_s)
        count = self.tally(now, span_s)[0]
        assert count == within if kept.covers(now, span_s) else count >= within
        assert sum(self.histogram(now, span_s)) >= count


class ListedContents(Contents[EventCache]):
    """Kept events and totals as Python has them: the totals do not change, but give way to others."""

    __slots__ = ()

    def __init__(self, kept: EventCache, keys: int | None) -> None:
        super().__init__(kept, Totals(kept.span_s), keys)

    def anew(self) -> Self:
        return type(self)(EventCache(int(self.kept.maxsize), self.kept.span_s), self._keys)

    def emptied(self) -> Self:
        return type(self)(self.kept.emptied(), self._keys)

    def plan(self, raws: list[Raw], time: OwnTime) -> Plan:
        batch, ends, high = self._in_own_time(raws, time)
        columns = Columns.of(batch, ends)
        self.expire(batch[-1][0])
        return Plan(
            raws, batch, self._by_key_with(batch), high, self.kept.plan(batch, columns), self.totals.plus(columns)
        )

    def commit(self, plan: Plan, pending: list[Raw]) -> None:
        assert plan.addition is not None and plan.totals is not None
        self.kept.commit(plan.addition)
        self.totals = plan.totals
        self.by_key = plan.by_key
        if pending and pending[0] is plan.raws[0]:
            del pending[: len(plan.raws)]

    def _let_go(self, first: int) -> None:
        self.totals = self.totals.without(first)

    def _tally(self, begin: int, end: int) -> tuple[int, int, int, float]:
        return self.kept.columns(begin, end).tally()

    def _cells(self, begin: int, end: int) -> Iterable[tuple[int, int]]:
        return cells_of(self.kept.columns(begin, end).codes)
