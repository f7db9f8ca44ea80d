"""The kept events of a window: a cachetools cache bounded by number and by age, with columns to count by.

The columns hold what the totals and percentiles need of the same events, so that a slice of them is counted without a
look at each event. The histogram's cells are linear within each power of two, as in Gil Tene's HdrHistogram: the upper
16 bits of an IEEE double are its exponent and 4 bits of its fraction, so the cell of a duration is read off its bytes.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Generic, NamedTuple, Protocol, Self, TypeAlias, TypeVar

import cachetools

from memo._base import Failure

__all__ = ("BATCH", "EXPIRE", "Addition", "Columns", "EventCache", "KeptEvents", "Raw", "Ring", "ended_at")

Raw: TypeAlias = tuple[float, float, "str | Failure", object]
"""ended (in the window's own time), duration in s; "ok", "cancelled" or (error, message); key as scalar or KeyText"""

BATCH = 256  # events folded at once: some 0.1 ms
EXPIRE = 4 * BATCH  # expired events removed at once; more than a batch brings, so expiry always catches up

_TOP_HALFWORDS = slice(3, None, 4) if sys.byteorder == "little" else slice(0, None, 4)

_MARKS = {"ok": 0, "cancelled": 2}

ended_at: Callable[[Raw], float] = itemgetter(0)


class Columns(NamedTuple):
    """What the totals need of some events, in arrays: slices of them are counted without a look at each event."""

    ends: Sequence[float]
    seconds: array[float]
    codes: array[int]  # the upper 16 bits of each duration
    marks: bytearray  # 0 ok, 1 error, 2 cancelled

    @classmethod
    def of(cls, batch: Sequence[Raw], ends: Sequence[float] | None = None) -> Columns:
        # A pass for each column costs less than one that looks at each event.
        ends = list(map(ended_at, batch)) if ends is None else ends
        seconds = array("d", [raw[1] for raw in batch])
        codes = array("H", seconds.tobytes())[_TOP_HALFWORDS]
        details = [raw[2] for raw in batch]
        if details.count("ok") == len(details):
            return cls(ends, seconds, codes, bytearray(len(details)))
        return cls(ends, seconds, codes, bytearray([_MARKS[d] if type(d) is str else 1 for d in details]))

    def part(self, start: int, stop: int) -> Columns:
        return Columns(self.ends, self.seconds[start:stop], self.codes[start:stop], self.marks[start:stop])

    def tally(self) -> tuple[int, int, int, float]:
        """Calls, errors, cancelled calls, seconds."""
        return len(self.marks), self.marks.count(1), self.marks.count(2), sum(self.seconds)


class Addition(NamedTuple):
    """Events that are to be kept, and what the store is to be like with them: absolute, so as to be done twice."""

    batch: Sequence[Raw]  # ordered by end; the last one is in no store yet
    columns: Columns  # of the batch
    begin: float  # kept events that ended after this are in the batch as well
    place: int  # where in the columns of the store those of the batch begin
    end: int
    dropped: int
    dropped_at: float | None


class Ring(Protocol):
    """Events in the order of their ends; a deque is one, and so is the tape of the path in C."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> Raw: ...

    def popleft(self) -> Raw:
        """Remove and return the oldest."""
        ...


RingT = TypeVar("RingT", bound=Ring)


class KeptEvents(cachetools.Cache[int, Raw], Generic[RingT]):
    """The latest events, as a cachetools cache bounded by number and by age.

    Keys number the kept events from the oldest on, without a gap. It is appended to at the new end and loses at
    the old end, to `expire()` by age and to a full `extend()` by number: that is all a window needs, and lets a
    ring take the place of the dictionary, at a tenth of the cost for each event. Not thread-safe; the intake's lock
    guards it.  Subclasses have the ring.
    """

    ring: RingT  # ordered by end
    dropped: int  # events that left for want of room
    dropped_at: float | None  # end of the latest such event; every event after it is here
    _end: int  # key of the event that comes next

    def __init__(self, maxsize: int, span_s: float) -> None:
        super().__init__(maxsize)
        self.span_s: float = span_s

    @property
    def _first(self) -> int:
        """Key of the oldest."""
        return self._end - len(self.ring)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(maxsize={self.maxsize}, span_s={self.span_s}, currsize={self.currsize})"

    @property
    def currsize(self) -> float:
        return len(self.ring)

    def __len__(self) -> int:
        return len(self.ring)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._first, self._first + len(self.ring)))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, int) and 0 <= key - self._first < len(self.ring)

    def __getitem__(self, key: int) -> Raw:
        return self.ring[key - self._first] if key in self else self.__missing__(key)

    def __setitem__(self, key: int, value: Raw) -> None:
        if key != self._first + len(self.ring):
            raise KeyError(f"events: {key!r} is not the next key; add {self._first + len(self.ring)}")
        self.extend([value])

    def __delitem__(self, key: int) -> None:
        if key not in self:
            raise KeyError(key)
        if key != self._first:
            raise KeyError(f"events: {key!r} is not the oldest key; events leave oldest first, from {self._first}")
        self.popitem()

    def popitem(self) -> tuple[int, Raw]:
        """Remove and return the oldest."""
        if not self.ring:
            raise KeyError("events: nothing is kept; test len() before popitem()")
        key, raw = self._first, self.ring.popleft()
        self.compact()
        return key, raw

    def clear(self) -> None:
        raise NotImplementedError

    def emptied(self) -> Self:
        """Another that keeps nothing, and goes on with the numbers and with counting what was dropped."""
        empty = type(self)(int(self.maxsize), self.span_s)
        empty._end, empty.dropped = self._end, self.dropped
        return empty

    def __copy__(self) -> Self:
        copy = type(self)(int(self.maxsize), self.span_s)
        if self.ring:
            copy.extend(list(self.values()))
        copy._end, copy.dropped, copy.dropped_at = self._end, self.dropped, self.dropped_at
        return copy

    def extend(self, batch: Sequence[Raw]) -> None:
        """Add events ordered by their end, at least one; the oldest leave if there is no room."""
        raise NotImplementedError

    def compact(self) -> None:
        """Let go of what is held of events that have left."""

    def first_within(self, now: float, last_s: float) -> int:
        """Position in the ring of the oldest event that ended less than last_s ago."""
        raise NotImplementedError

    def within(self, now: float, last_s: float) -> list[Raw]:
        """The events that ended less than last_s ago, in the order of their ends."""
        raise NotImplementedError

    def covers(self, now: float, last_s: float) -> bool:
        """True if no event of the last last_s seconds has left for want of room."""
        return self.dropped_at is None or self.dropped_at + last_s <= now

    def expire(self, now: float, most: int) -> int:
        """Remove events that are out of the span by their age, at most so many; returns how many."""
        raise NotImplementedError

    def check(self) -> None:
        ends = [raw[0] for raw in self.values()]
        assert ends == sorted(ends)
        assert len(ends) <= self.maxsize
        assert list(self) == list(range(self._first, self._first + len(ends)))
        assert self.dropped > 0 or self.dropped_at is None


class EventCache(KeptEvents[deque[Raw]]):
    """The latest events in a deque, with columns to count by."""

    def __init__(self, maxsize: int, span_s: float) -> None:
        super().__init__(maxsize, span_s)
        self.ring: deque[Raw] = deque(maxlen=maxsize)
        self.dropped: int = 0
        self.dropped_at: float | None = None
        self._end: int = 0
        self._columns = _of_nothing()  # of the same events, after some that have left

    @property
    def _skipped(self) -> int:
        """How many that have left are in the columns still."""
        return len(self._columns.marks) - len(self.ring)

    def clear(self) -> None:
        self.ring, self._columns, self.dropped_at = deque(maxlen=self.ring.maxlen), _of_nothing(), None

    def extend(self, batch: Sequence[Raw]) -> None:
        self.commit(self.plan(batch, Columns.of(batch)))

    def plan(self, batch: Sequence[Raw], columns: Columns) -> Addition:
        """What is to be done to add events ordered by their end, at least one; changes nothing."""
        ring = self.ring
        begin = batch[0][0]
        later = 0
        if ring and begin < ring[-1][0]:  # these go back into the queue, so to speak, and come in order
            while later < len(ring) and ring[-1 - later][0] > begin:
                later += 1
            batch = sorted([(*ring[place],) for place in range(-later, 0)] + list(batch), key=ended_at)
            columns = Columns.of(batch)
        number = len(ring) - later
        excess = number + len(batch) - int(self.maxsize)
        dropped, dropped_at = self.dropped, self.dropped_at
        if excess > 0:
            last = ring[excess - 1] if excess <= number else batch[excess - number - 1]
            if dropped_at is None or dropped_at < last[0]:
                dropped_at = last[0]
            dropped += excess
        place = len(self._columns.marks) - later
        return Addition(batch, columns, begin, place, self._end - later + len(batch), dropped, dropped_at)

    def commit(self, addition: Addition) -> None:
        """Do what was planned, or what is left of it; nothing else happened meanwhile."""
        ring, batch = self.ring, addition.batch
        if not ring or ring[-1] is not batch[-1]:
            while ring and ring[-1][0] > addition.begin:
                ring.pop()
            ring.extend(batch)
        columns, place = self._columns, addition.place
        columns.seconds[place:] = addition.columns.seconds
        columns.codes[place:] = addition.columns.codes
        columns.marks[place:] = addition.columns.marks
        self._end, self.dropped, self.dropped_at = addition.end, addition.dropped, addition.dropped_at

    def compact(self) -> None:
        # Moving what remains costs little against what was skipped since the last time.
        skipped = self._skipped
        if skipped >= max(EXPIRE, len(self.ring)):
            self._columns = self._columns.part(skipped, len(self._columns.marks))

    def first_within(self, now: float, last_s: float) -> int:
        return bisect_right(self.ring, now, key=lambda raw: raw[0] + last_s)

    def within(self, now: float, last_s: float) -> list[Raw]:
        return list(islice(self.ring, self.first_within(now, last_s), None))

    def expire(self, now: float, most: int) -> int:
        ring, span_s = self.ring, self.span_s
        removed = 0
        while removed < most and ring and ring[0][0] + span_s <= now:
            ring.popleft()
            removed += 1
        self.compact()
        return removed

    def columns(self, begin: int, end: int) -> Columns:
        """Of the events at these positions in the ring."""
        return self._columns.part(self._skipped + begin, self._skipped + end)

    def check(self) -> None:
        super().check()
        assert {len(column) for column in self._columns[1:]} == {self._skipped + len(self)}
        assert self._skipped < max(EXPIRE, len(self) + 1)
        if self.ring:
            assert self.columns(0, len(self))[1:] == Columns.of(self.ring)[1:]


def _of_nothing() -> Columns:
    return Columns((), array("d"), array("H"), bytearray())
