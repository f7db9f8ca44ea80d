"""What a window holds: the kept events and the totals of all, and what both together tell of a span."""

from __future__ import annotations

from bisect import bisect_left
from operator import sub
from typing import NamedTuple

from memo._window.events import EXPIRE, Addition, Columns, EventCache, Raw, ended_at
from memo._window.key_tables import KeyTables
from memo._window.own_time import OwnTime
from memo._window.totals import CELLS, PER_SLICE, Totals, cells_of

__all__ = ("Contents", "Plan")


class Plan(NamedTuple):
    """What taking in a batch of events comes to; absolute, so as to be done twice."""

    raws: list[Raw]
    """The events, as they are in the queue."""
    addition: Addition
    """What is done to the kept ones."""
    totals: Totals
    """The totals with them."""
    by_key: KeyTables | None
    """The tables of keys with them."""
    high: float
    """The latest reading of the clock, theirs included."""


class Contents:
    """Kept events and totals of one window.  The intake's lock guards them.

    Times are in the window's own time.  An answer is exact where the kept events reach back to the edge it asks for:
    whole buckets come from the totals, the one that the edge cuts from the kept events.  Past that, the cut bucket
    counts as a whole.

    Attributes:
        kept: The latest events, in full.
        totals: Of all events.
        by_key: Of all events by their keys; None: these are not counted.
    """

    __slots__ = ("by_key", "kept", "totals")

    def __init__(self, kept: EventCache, keys: int | None) -> None:
        self.kept: EventCache = kept
        self.totals: Totals = Totals(kept.span_s)
        self.by_key: KeyTables | None = None if keys is None else KeyTables(keys)

    @property
    def _keys(self) -> int | None:
        return None if self.by_key is None else self.by_key.keys

    def anew(self) -> Contents:
        """Others like these that hold nothing."""
        return Contents(EventCache(int(self.kept.maxsize), self.kept.span_s), self._keys)

    def emptied(self) -> Contents:
        """Others that hold nothing, and go on counting what was dropped."""
        return Contents(self.kept.emptied(), self._keys)

    def plan(self, raws: list[Raw], time: OwnTime) -> Plan:
        """How to take in events whose times are the clock's; lets go of kept events that these put out of the span."""
        batch = raws
        columns = Columns.of(batch)
        ordered = sorted(columns.ends)
        if ordered != columns.ends:  # threads overtook each other between the clock and the queue
            batch = sorted(batch, key=ended_at)
            columns = Columns.of(batch)
        high = max(time.high, ordered[-1])
        shift = time.offset
        if shift:
            batch = [(ended + shift, took, detail, key) for ended, took, detail, key in batch]
            columns = Columns.of(batch)
        self.expire(batch[-1][0])
        by_key = None if self.by_key is None else self.by_key.plus(batch, self._slice_of)
        return Plan(raws, self.kept.plan(batch, columns), self.totals.plus(columns), by_key, high)

    def _slice_of(self, moment: float) -> int:
        return self.totals.index(moment) // PER_SLICE

    def commit(self, plan: Plan) -> None:
        """Take in what was planned, or what is left of it; nothing else happened meanwhile."""
        self.kept.commit(plan.addition)
        self.totals = plan.totals
        self.by_key = plan.by_key

    def expire(self, now: float) -> int:
        """Remove kept events that are out of the span by their age, at most a slice of them; how many."""
        return self.kept.expire(now, EXPIRE)

    def forget(self, now: float) -> None:
        """Let go of histograms and tables of keys that are out of the span."""
        # One slice more than the edge asks for, lest rounding take one that the window still touches.
        first = self._slice_of(now - self.kept.span_s) - 1
        self.totals = self.totals.without(first)
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
        cut = kept.columns(begin, end).tally()
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
        whole = totals.slice_cells(section)
        in_slice = 0 if whole is None else sum(whole)
        if whole is None or in_slice == end - begin:
            return cells
        begin_of_slice = self._end_of(0, section * PER_SLICE)
        if end - begin_of_slice == in_slice and begin - begin_of_slice < end - begin:
            # All of the slice is kept, and less of it is out than in: take that away.
            for cell, times in cells_of(kept.columns(begin_of_slice, begin).codes):
                cells[cell] -= times
            return cells
        cells = list(map(sub, cells, whole))
        for cell, times in cells_of(kept.columns(begin, end).codes):
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
