"""The requests to be replayed: all of them, or those of so many keys that they can be held.

Of a stream that is too long a sample is kept: all requests of the keys whose hash is below a threshold, which is
lowered as the stream goes on.  A cache that is as much smaller then has the same hit ratio on the sample, but for
chance.  Waldspurger, Park, Garthwaite and Ahmad, "Efficient MRC construction with SHARDS", FAST 2015; for policies
other than LRU: Waldspurger, Saemundsson, Ahmad and Park, "Cache modeling and optimization using miniature simulations",
ATC 2017.

Invariants:

- ``_numbers`` has each key that is in the sample, numbered from 0 without a gap, and no other.
- ``_order`` has the number of each request of those keys, in their order.
- ``requests`` counts all, in the sample or not.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import blake2b

__all__ = ("CHUNK", "Requests", "Sampled")

CHUNK = 1 << 15
"""Requests that are handed out at once."""
_ALL = 1 << 64
_LONGEST_KEY = 64
"""Bytes above which a key is remembered by its digest."""
_SLACK = 2
"""How many times the requests to be replayed are held while they are read."""


def _place(key: bytes) -> int:
    """Where a key stands between 0 and 2**64, the same in every run."""
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")


class Requests:
    """The requests to be replayed, each as the number of its key.

    Args:
        order: The numbers, from 0 and without a gap.
        keys: How many numbers there are.
        total: The requests of the stream that they are a sample of.
        rate: The share of the keys that are in the sample; 1: all are.
    """

    def __init__(self, order: Sequence[int], keys: int, total: int, rate: float) -> None:
        self.order = order
        self.keys = keys
        self.total = total
        self.rate = rate

    @cached_property
    def counts(self) -> Sequence[int]:
        """How many requests each key has."""
        counts = array("I", [0]) * self.keys
        for number in self.order:
            counts[number] += 1
        return counts

    @cached_property
    def is_of_few_hits(self) -> bool:
        """Whether this is a sample whose keys differ less by their repetitions than by there being one or not."""
        return self.rate < 1 and sum((count - 1) ** 2 for count in self.counts) < self.keys

    @property
    def distinct(self) -> int:
        """The keys of the stream, estimated if they are a sample."""
        return round(self.keys / self.rate)

    @property
    def expected(self) -> float:
        """The requests that a sample of this rate has in the mean.

        Ratios are taken of these, not of those that happen to be there: whether the hottest keys are in the sample
        or not then makes no difference, as they miss seldom.
        """
        return self.total * self.rate

    def scaled(self, size: int) -> int:
        """The size of a cache for the sample that stands for one of *size* for the stream."""
        if size >= self.distinct:
            return max(1, self.keys)  # nothing is ever evicted
        return max(1, round(size * self.rate))

    def thinned(self, part: int) -> "Requests":
        """Those of one in *part* of these keys."""
        order = array("I", (number // part for number in self.order if number % part == 0))
        return Requests(order, -(-self.keys // part), self.total, self.rate / part)

    def chunks(self) -> Iterator[Sequence[int]]:
        """The requests in order, many at a time."""
        for start in range(0, len(self.order), CHUNK):
            yield self.order[start : start + CHUNK]


class Sampled:
    """Takes in a stream of keys and keeps what is to be replayed of it.

    Args:
        most: Requests that may be replayed, in the mean over samples; None: all.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._threshold = _ALL
        self._numbers: dict[bytes, int] = {}
        self._order = array("I")
        self.requests = 0

    @property
    def rate(self) -> float:
        """The share of the keys that are in the sample."""
        return self._threshold / _ALL

    @property
    def distinct(self) -> int:
        """How many keys came, estimated if there is a sample."""
        return round(len(self._numbers) / self.rate)

    def add(self, keys: list[bytes]) -> None:
        """Take in the next requests."""
        known = self._numbers.get
        append = self._order.append
        for key in keys:
            number = known(key)
            if number is None:
                number = self._number(key)
                if number < 0:
                    continue
            append(number)
        self.requests += len(keys)
        if self._most is not None and self.requests * self.rate > _SLACK * self._most:
            self._lower(self._threshold // 2)

    def _number(self, key: bytes) -> int:
        """The number of a key that is new, or long; -1 if it is not in the sample."""
        if len(key) > _LONGEST_KEY:
            key = blake2b(key, digest_size=32).digest()
            known = self._numbers.get(key)
            if known is not None:
                return known
        if self._threshold < _ALL and _place(key) >= self._threshold:
            return -1
        number = self._numbers[key] = len(self._numbers)
        return number

    def _lower(self, threshold: int) -> None:
        """Let go of the keys that are not below *threshold*, and of their requests."""
        kept: dict[bytes, int] = {}
        anew = array("q", bytes(8 * len(self._numbers)))
        for key, number in self._numbers.items():
            if _place(key) < threshold:
                anew[number] = kept[key] = len(kept)
            else:
                anew[number] = -1
        order = array("I", (number for old in self._order if (number := anew[old]) >= 0))
        self._order, self._numbers, self._threshold = order, kept, threshold

    def finish(self) -> Requests:
        """What is to be replayed; no more is taken in."""
        if self._most is not None and self.requests * self.rate > self._most:
            self._lower(math.floor(_ALL * self._most / self.requests))
        numbers, self._numbers = len(self._numbers), {}  # the numbers are enough from here on
        return Requests(self._order, numbers, self.requests, self.rate)
