"""The totals of a window: a ring of time buckets, and histograms of durations, in memory that does not grow.

The histogram's cells are linear within each power of two, as in Gil Tene's HdrHistogram. A cell is at most 1/16 wider
than its lower end; answering with the harmonic middle errs by at most 1/33, about 3 percent.
"""

from __future__ import annotations

import functools
import math
import struct
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, compress
from operator import add, sub

from memo._native import speed
from memo._window.events import Columns

__all__ = ("BUCKETS", "CELLS", "PER_SLICE", "SLICES", "Totals", "cells_of", "percentiles")

BUCKETS = 120  # buckets in a span
PER_SLICE = 5  # buckets that share a histogram
SLICES = BUCKETS // PER_SLICE + 2  # one that the edge cuts, one for rounding
_RING = SLICES * PER_SLICE  # slots for buckets: as far back as there are histograms

_LOWEST = -24  # durations from 2**-24 s (60 ns; below it 0.0 is answered) ...
_OCTAVES = 40  # ... to 2**16 s (18 h; above it that is answered)
_BASE = (1023 + _LOWEST) * 16 - 1  # upper 16 bits of 2.0**_LOWEST, less the cell for what is shorter
CELLS = _OCTAVES * 16 + 2
_UPPER = 1 if sys.byteorder == "little" else 0  # which byte of a code is the upper one


def _middle(cell: int) -> float:
    """The value within a cell whose relative error to either end is least."""
    if cell == 0:
        return 0.0
    low, high = (struct.unpack(">d", ((_BASE + cell + i) << 48).to_bytes(8, "big"))[0] for i in (0, 1))
    return float(low if cell == CELLS - 1 else 2 * low * high / (low + high))


_NUMBERS = range(CELLS)


@functools.cache  # a table of 642 takes longer than all else here, and few programs ask for percentiles
def _middles() -> tuple[float, ...]:
    return tuple(map(_middle, range(CELLS)))


def cells_of(codes: array[int]) -> Iterator[tuple[int, int]]:
    """Histogram cells and how many more of the durations each holds; a cell may come more than once."""
    for code, times in _counted(codes):
        yield min(max(code - _BASE, 0), CELLS - 1), times


def _counted(codes: array[int]) -> Iterable[tuple[int, int]]:
    # Most durations are of one order and share their upper byte: bytes are counted at half the cost of integers
    # above 255. The few others are counted as if they shared it too, and then moved.
    raw = codes.tobytes()
    upper, lower = raw[_UPPER::2], raw[1 - _UPPER :: 2]
    sample = upper[:: len(upper) // 32 + 1]
    usual = max(sample, key=sample.count, default=0)
    others = upper.translate(None, bytes((usual,)))
    if len(others) > len(upper) // 16:
        return Counter(codes).items()
    counted = [((usual << 8) + code, times) for code, times in Counter(lower).items()]
    for order in set(others):
        at = upper.find(order)
        while at >= 0:
            counted += ((codes[at], 1), ((usual << 8) + lower[at], -1))
            at = upper.find(order, at + 1)
    return counted


class Totals:
    """Counts and durations of all events of a span, in memory that does not depend on their number.

    At most 150 kB: a ring of 130 buckets of 1/120 span, and for each 5 of them a histogram. They do not change:
    `plus()` and `without()` make others, which share with them what is equal. So an exception that cuts the making
    short leaves nothing half-counted.
    """

    __slots__ = (
        "_cancelled",
        "_counts",
        "_errors",
        "_floor",
        "_indices",
        "_seconds",
        "_slices",
        "_whole",
        "head",
        "width",
    )

    def __init__(self, span_s: float) -> None:
        self.width: float = span_s / BUCKETS
        self.head: int | None = None  # index of the newest bucket
        self._indices: list[int | None] = [None] * _RING  # the bucket that holds each slot, of unbounded index
        self._counts = array("q", bytes(8 * _RING))
        self._errors = array("q", bytes(8 * _RING))
        self._cancelled = array("q", bytes(8 * _RING))
        self._seconds = array("d", bytes(8 * _RING))
        self._slices: dict[int, array[int]] = {}  # histogram by bucket index // PER_SLICE
        self._whole = array("q", bytes(8 * CELLS))  # the sum of the slices
        self._floor: int | None = None  # slices below are out of the window for good

    def index(self, moment: float) -> int:
        return int(moment // self.width)

    def plus(self, columns: Columns) -> Totals:
        """Totals with events, ordered by their end, besides."""
        new = self._copy()
        new._indices = self._indices[:]
        new._counts, new._errors, new._cancelled = self._counts[:], self._errors[:], self._cancelled[:]
        new._seconds = self._seconds[:]
        new._whole = self._whole[:]
        new._add(columns)
        return new

    def without(self, section: int) -> Totals:
        """Totals that have let go of the histograms of slices before this one."""
        if self._floor is not None and section <= self._floor:
            return self
        new = self._copy()
        new._forget(section)
        return new

    def _copy(self) -> Totals:
        new = Totals.__new__(Totals)
        for name in Totals.__slots__:
            setattr(new, name, getattr(self, name))
        new._slices = self._slices.copy()
        return new

    # Of totals that nobody else has seen yet

    def _add(self, columns: Columns) -> None:
        ends = columns.ends
        newest = self.index(ends[-1])
        # First, so that nothing is made for events that the last one of the batch has already put out of the window.
        if self.head is None or newest > self.head:
            self.head = newest
            self._forget(newest // PER_SLICE - SLICES + 1)
        start, stop = 0, len(ends)
        if self._floor is not None and self.index(ends[0]) < self._floor * PER_SLICE:
            start = bisect_left(ends, self._floor * PER_SLICE, key=self.index)
        while start < stop:
            index = self.index(ends[start])
            if index == newest:
                self._add_bucket(index, columns.part(start, stop) if start else columns)
                return
            until = bisect_right(ends, index, start, stop, key=self.index)
            self._add_bucket(index, columns.part(start, until))
            start = until

    def _add_bucket(self, index: int, columns: Columns) -> None:
        slot = index % _RING
        if self._indices[slot] != index:
            self._indices[slot] = index
            self._counts[slot] = self._errors[slot] = self._cancelled[slot] = 0
            self._seconds[slot] = 0.0
        count, errors, cancelled, seconds = columns.tally()
        self._counts[slot] += count
        self._errors[slot] += errors
        self._cancelled[slot] += cancelled
        self._seconds[slot] += seconds
        section = index // PER_SLICE
        shared = self._slices.get(section)
        cells = self._slices[section] = array("q", bytes(8 * CELLS)) if shared is None else shared[:]
        whole = self._whole
        for cell, times in cells_of(columns.codes):
            cells[cell] += times
            whole[cell] += times

    def _forget(self, section: int) -> None:
        if self._floor is None or section > self._floor:
            self._floor = section
            gone = [self._slices.pop(old) for old in list(self._slices) if old < section]
            if len(gone) <= len(self._slices):
                for cells in gone:
                    self._whole = array("q", map(sub, self._whole, cells))
            else:
                self._whole = array("q", _sums(self._slices.values()))

    def bucket(self, index: int) -> tuple[int, int, int, float]:
        """Calls, errors, cancelled calls, seconds of one bucket."""
        slot = index % _RING
        if self._indices[slot] != index:
            return 0, 0, 0, 0.0
        return self._counts[slot], self._errors[slot], self._cancelled[slot], self._seconds[slot]

    def count_between(self, first: int, end: int) -> int:
        return sum(self.bucket(index)[0] for index in range(first, end))

    def since(self, first: int) -> tuple[int, int, int, float]:
        """The same for this bucket and all after it."""
        count = errors = cancelled = 0
        seconds = 0.0
        if self.head is not None:
            indices, counts = self._indices, self._counts
            for index in range(max(first, self.head - _RING + 1), self.head + 1):
                slot = index % _RING
                if indices[slot] == index:  # else nothing happened in that bucket
                    count += counts[slot]
                    errors += self._errors[slot]
                    cancelled += self._cancelled[slot]
                    seconds += self._seconds[slot]
        return count, errors, cancelled, seconds

    def histogram(self, section: int) -> list[int]:
        """Calls by cell, of this slice and all after it."""
        before = [cells for index, cells in self._slices.items() if index < section]
        if 2 * len(before) <= len(self._slices):
            total = self._whole.tolist()
            for cells in before:
                total = list(map(sub, total, cells))
            return total
        return _sums(cells for index, cells in self._slices.items() if index >= section)

    def slice_cells(self, section: int) -> Sequence[int] | None:
        return self._slices.get(section)

    def sections(self) -> list[int]:
        """The slices that have a histogram."""
        return list(self._slices)

    def check(self) -> None:
        assert len(self._slices) <= SLICES
        assert self._whole.tolist() == _sums(self._slices.values())
        for slot, index in enumerate(self._indices):
            assert index is None or (index % _RING == slot and self.head is not None and index <= self.head)
            assert 0 <= self._errors[slot] + self._cancelled[slot] <= self._counts[slot]
        for section, cells in self._slices.items():
            first = section * PER_SLICE
            assert sum(cells) == self.count_between(first, first + PER_SLICE) > 0


def _sums(slices: Iterable[array[int]]) -> list[int]:
    total = [0] * CELLS
    for cells in slices:
        total = list(map(add, total, cells))
    return total


def percentiles(cells: list[int], *qs: float) -> list[float | None]:
    """What q percent of what a histogram holds do not exceed, by nearest rank; None where it holds nothing."""
    numbers = _reached(cells, *qs) if speed is None else speed.percentile_cells(cells, *qs)
    middles = _middles()
    return [None if number is None else middles[number] for number in numbers]


def _reached(cells: list[int], *qs: float) -> list[int | None]:
    """The cell that each share reaches."""
    # most windows use few of the cells, which lie together
    first = next(compress(_NUMBERS, cells), None)
    if first is None:
        return [None] * len(qs)
    last = next(compress(reversed(_NUMBERS), reversed(cells)))
    below = list(accumulate(cells[first : last + 1]))  # not with add(): that is a call for each cell
    return [first + bisect_left(below, max(1, math.ceil(q * below[-1] / 100))) for q in qs]
