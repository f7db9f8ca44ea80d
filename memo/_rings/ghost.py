"""What a policy remembers of the keys that it evicted: fingerprints and stamps, never the keys.

Invariants:

- A key's fingerprint lies in the bucket that it names: of the table, or, while the table is being exchanged for one of
  another size, of the old one, in a bucket that was not moved yet.
- The table is exchanged in one assignment, so that no signal and no finalizer finds it half made.
- No step takes long, however many keys are remembered: a table is made in segments, each when it is first written to,
  and what an old one knows is moved a few buckets at a time, with each key that is added.
"""

import struct
from array import array
from collections.abc import Hashable

__all__ = ("BUCKETS", "MARKS", "NEXT_TURN", "Ghost", "mark_bytes")

MARKS = 4294967291
"""The largest prime below 2**32: a remainder by it depends on all bits of a hash."""
BUCKETS = 1024
"""Buckets of a segment, a power of two; of the last one perhaps fewer."""
NEXT_TURN = (1, 2, 3, 4, 5, 6, 7, 0)
"""Which place of a bucket is taken after this one."""
mark_bytes = struct.Struct("=I").pack
"""The bytes of a mark as they lie in a segment."""
_MOVED = 2
"""Buckets of an old table that are moved with each key that is added."""
_SLACK = 16
"""A table is exchanged for a larger one if it lacks more than one place in so many."""

_Segment = tuple[bytearray, memoryview | None, "array[int] | None", bytearray]
"""Eight fingerprints of four bytes for each bucket (0: a free place); the same as numbers, since writing one costs a
third of writing its bytes; as many stamps, if there are any; and which place of each bucket is the next to be taken.
No numbers: nothing was written to it yet."""
_Table = tuple[int, list[_Segment]]
"""The number of buckets, and the segments that have them."""
_UNWRITTEN: _Segment = bytearray(32 * BUCKETS), None, None, bytearray()


class Ghost:
    """The keys evicted last: of each a fingerprint of 32 bits, and perhaps a stamp.

    A table in buckets of eight, each bucket a ring whose oldest gives way to the newest.  So a key is remembered until
    about as many others have followed as the table has places, which is approximate, and two keys may share a
    fingerprint, of which the one remembered last is recalled first: both cost a little of the hit ratio and nothing
    else.  The table has as many places as are asked for, of four bytes each, eight with a stamp, and one byte for each
    bucket.

    Args:
        stamped: A number of 32 bits is remembered with each key.
    """

    __slots__ = ("_moved", "old", "stamped", "table")

    def __init__(self, stamped: bool = False) -> None:
        self.stamped = stamped
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._moved = 0
        """How many buckets of the old table were moved."""
        self.old: _Table | None = None
        """The table that the present one takes the place of."""
        self.table: _Table = _made(1)

    def heaps(self) -> list[list[_Segment]]:
        """What it has in memory, as lists of segments, for who frees them by and by after ``clear()``."""
        return [segments for _, segments in (self.table, self.old or self.table)]

    @property
    def places(self) -> int:
        """How many fingerprints there is room for, in the present table."""
        return 8 * self.table[0]

    def fit(self, capacity: int) -> None:
        """Have about *capacity* places, by and by."""
        most = 8 * self.table[0]
        if self.old is None and (capacity > most + most // _SLACK + 4 or capacity + capacity // 2 + 48 < most):
            made = _made(capacity)
            self._moved = 0
            self.old = self.table
            self.table = made

    def add(self, key: Hashable, capacity: int, stamp: int = 0) -> None:
        """Remember *key* for about *capacity* more."""
        if self.old is not None:
            self._move(*self.old)
        elif not capacity <= 8 * self.table[0] <= capacity + capacity // 2:
            self.fit(capacity)
        # as _put(), which would cost another call
        mark = hash(key) % MARKS + 1
        buckets, segments = self.table
        bucket = mark % buckets
        _, cells, stamps, turns = segments[bucket // BUCKETS]
        if cells is None:
            _, cells, stamps, turns = self._written(bucket // BUCKETS)
        bucket %= BUCKETS
        turn = turns[bucket]
        turns[bucket] = turn + 1 & 7
        bucket = 8 * bucket + turn
        cells[bucket] = mark
        if stamps is not None:
            stamps[bucket] = stamp & 0xFFFFFFFF

    def _put(self, mark: int, stamp: int) -> None:
        buckets, segments = self.table
        bucket = mark % buckets
        _, cells, stamps, turns = segments[bucket // BUCKETS]
        if cells is None:
            _, cells, stamps, turns = self._written(bucket // BUCKETS)
        bucket %= BUCKETS
        turn = turns[bucket]
        turns[bucket] = turn + 1 & 7
        bucket = 8 * bucket + turn
        cells[bucket] = mark
        if stamps is not None:
            stamps[bucket] = stamp

    def _written(self, number: int) -> tuple[bytearray, memoryview, "array[int] | None", bytearray]:
        """A new segment in place of one that was not written to."""
        buckets, segments = self.table
        buckets = min(BUCKETS, buckets - number * BUCKETS)
        marks = bytearray(32 * buckets)
        stamps = array("I", bytes(32 * buckets)) if self.stamped else None
        segment = marks, memoryview(marks).cast("I"), stamps, bytearray(buckets)
        segments[number] = segment
        return segment

    def take(self, key: Hashable) -> bool:
        """Whether *key* is remembered; if so, it no longer is."""
        return self.recall(key) >= 0

    def recall(self, key: Hashable) -> int:
        """The stamp of *key*, which is no longer remembered (0 if there are no stamps); -1 if it is not."""
        mark = hash(key) % MARKS + 1
        stamp = self._take(mark, *self.table)
        if stamp < 0 and self.old is not None and mark % self.old[0] >= self._moved:
            stamp = self._take(mark, *self.old)
        return stamp

    @staticmethod
    def _take(mark: int, buckets: int, segments: list[_Segment]) -> int:
        bucket = mark % buckets
        marks, cells, stamps, turns = segments[bucket // BUCKETS]
        first = bucket % BUCKETS * 32
        wanted = mark_bytes(mark)
        at = marks.find(wanted, first, first + 32)
        while at > 0 and at & 3:  # the same bytes, but across two fingerprints
            at = marks.find(wanted, at + 1, first + 32)
        if at < 0 or cells is None:
            return -1
        bucket %= BUCKETS
        turn = turns[bucket] - 1
        while cells[place := 8 * bucket + (turn & 7)] != mark:  # of several that share it the one remembered last
            turn -= 1
        cells[place] = 0
        return 0 if stamps is None else stamps[place]

    def _move(self, buckets: int, segments: list[_Segment]) -> None:
        """Move some buckets of the old table into the present one."""
        first = self._moved
        self._moved = last = min(first + _MOVED, buckets)
        for bucket in range(first, last):
            _, cells, stamps, turns = segments[bucket // BUCKETS]
            if cells is not None:
                place = bucket % BUCKETS
                for turn in range(turns[place], turns[place] + 8):  # oldest first
                    at = 8 * place + (turn & 7)
                    if cells[at]:
                        self._put(cells[at], 0 if stamps is None else stamps[at])
            if bucket % BUCKETS == BUCKETS - 1:
                segments[bucket // BUCKETS] = _UNWRITTEN  # let go of it now: all at once would take long
        if last == buckets:
            self.old = None


def _made(capacity: int) -> _Table:
    """An empty table of about *capacity* places."""
    buckets = (capacity + 4) // 8 | 1
    while buckets > 7 and not (buckets % 3 and buckets % 5 and buckets % 7):
        buckets += 2  # so that keys at regular distances spread over all of them
    return buckets, [_UNWRITTEN] * (1 + (buckets - 1) // BUCKETS)
