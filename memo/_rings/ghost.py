"""What a policy remembers of the keys that it evicted."""

import sys
from collections.abc import Hashable

__all__ = ("MARKS", "Ghost")

_ORDER = sys.byteorder
MARKS = 4294967291
"""The largest prime below 2**32: a remainder by it depends on all bits of a hash."""


class Ghost:
    """Fingerprints of the keys evicted last, which it does not keep alive.

    A table of 32-bit fingerprints in buckets of eight, each bucket a ring whose oldest gives way to
    the newest.  So a key is remembered until about as many others have followed as the table has
    places, which is approximate, and two keys may share a fingerprint: both cost a little of the
    hit ratio and nothing else.  The table grows with the number of entries, to 9 bytes each at the
    most.
    """

    __slots__ = ("buckets", "cells", "marks", "most", "turns")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._allocate(1)

    def _allocate(self, buckets: int) -> None:
        self.buckets: int = buckets
        self.most: int = 8 * buckets
        """The places."""
        self.marks: bytearray = bytearray(32 * buckets)
        """Eight fingerprints of four bytes for each bucket; 0 is a free place."""
        self.cells: memoryview = memoryview(self.marks).cast("I")
        """The same as numbers: writing one costs a third of writing its bytes."""
        self.turns: bytearray = bytearray(buckets)
        """Which place of its bucket the next fingerprint takes."""

    def add(self, key: Hashable, capacity: int) -> None:
        """Remember *key* for about *capacity* more."""
        if capacity > self.most:
            self._grow(capacity)
        mark = hash(key) % MARKS + 1
        bucket = mark % self.buckets
        turn = self.turns[bucket]
        self.turns[bucket] = turn + 1 & 7
        self.cells[bucket * 8 + turn] = mark

    def take(self, key: Hashable) -> bool:
        """Whether *key* is remembered; if so, it no longer is."""
        mark = hash(key) % MARKS + 1
        first = mark % self.buckets * 32
        wanted = mark.to_bytes(4, _ORDER)
        at = self.marks.find(wanted, first, first + 32)
        while at > 0 and at & 3:  # the same bytes, but across two fingerprints
            at = self.marks.find(wanted, at + 1, first + 32)
        if at < 0:
            return False
        self.marks[at : at + 4] = b"\0\0\0\0"
        return True

    def _grow(self, capacity: int) -> None:
        old, turns = self.cells, self.turns
        buckets = self.buckets
        while 8 * buckets < capacity:
            buckets = 2 * buckets + 1  # odd, so that keys a power of two apart spread over all of them
        self._allocate(buckets)
        for bucket, turn in enumerate(turns):
            for place in range(turn, turn + 8):  # oldest first
                mark = old[bucket * 8 + (place & 7)]
                if mark:
                    self.add(mark - 1, 0)
