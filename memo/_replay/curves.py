"""Hit ratio against size, for each policy and for the optimum."""

import math
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple

from memo._replay.contestants import CONTESTANTS, replay_cache
from memo._replay.optimum import next_uses, replay_optimum
from memo._replay.sampled import CHUNK, Requests

__all__ = ("OPTIMUM", "Curves", "Ratio", "default_sizes")

OPTIMUM = "optimum"
_MOST_SIZES = 9
_LEAST_SCALED = 16
"""Entries that a cache for a sample has at least, where the sizes are ours to choose."""


class Ratio(NamedTuple):
    """A hit ratio."""

    value: float
    variance: float
    """By which keys are in the sample; 0 where all are."""


def default_sizes(requests: Requests) -> list[int]:
    """At most nine sizes in the steps 1, 2, 5, 10, below the number of distinct keys."""
    sizes = []
    power = 1
    while power < requests.distinct:
        sizes += [size for size in (power, 2 * power, 5 * power) if size < requests.distinct]
        power *= 10
    sizes = [size for size in sizes if size * requests.rate >= _LEAST_SCALED or requests.rate == 1]
    return sizes[-_MOST_SIZES:] or [max(1, requests.distinct)]


class Curves:
    """The hit ratios that are known so far.

    Args:
        requests: What is to be replayed.
        sizes: The sizes to replay it with, ascending.
        moved: Told how many requests were replayed.
    """

    def __init__(self, requests: Requests, sizes: Sequence[int], moved: Callable[[int], None]) -> None:
        self.requests = requests
        self.sizes = sizes
        self._moved = moved
        self._known: dict[tuple[str, int], Ratio] = {}
        self._following: Sequence[int] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The policies and the optimum."""
        return (*CONTESTANTS, OPTIMUM)

    @property
    def work(self) -> int:
        """The requests that are to be replayed for all sizes, together."""
        return len(self.sizes) * len(self.names) * len(self.requests.order)

    @property
    def reachable(self) -> float:
        """The hit ratio of a cache without a bound."""
        return self._estimated(array("I", [1]) * self.requests.keys).value if self.requests.order else 0.0

    def known(self, name: str, size: int) -> float | None:
        """The hit ratio of a policy at a size, if it is known yet."""
        ratio = self._known.get((name, size))
        return None if ratio is None else ratio.value

    def points(self, name: str) -> list[tuple[int, float]]:
        """The sizes that a policy was replayed with, ascending, and their hit ratios."""
        return sorted((size, ratio.value) for (of, size), ratio in self._known.items() if of == name)

    def measure(self, name: str, size: int) -> float:
        """The hit ratio of a policy at a size, replayed if it is not known yet."""
        if (name, size) not in self._known:
            self._known[name, size] = self._replayed(name, size)
        return self._known[name, size].value

    def _replayed(self, name: str, size: int) -> Ratio:
        requests = self.requests
        misses = array("I", [0]) * requests.keys
        scaled = requests.scaled(size)
        if name == OPTIMUM:
            if not self._following:
                self._following = next_uses(requests.order, requests.keys)
            replay_optimum(requests.order, self._following, scaled, misses, CHUNK, self._moved)
        else:
            replay_cache(CONTESTANTS[name](scaled), requests.chunks(), misses, self._moved)
        return self._estimated(misses)

    def _estimated(self, misses: "array[int]") -> Ratio:
        """The hit ratio of the stream, from how often each key of the sample missed.

        Each key is in the sample or not, independently of the others (Horvitz and Thompson, 1952): so either the misses
        or the hits of the sample stand for those of the stream.  All figures are taken from what varies less from key
        to key in a cache without a bound: from the misses, as a rule, of which the hottest keys have few; but from the
        hits where hardly any key comes twice.
        """
        requests = self.requests
        expected = requests.expected
        if requests.is_of_few_hits:
            counted = [count - missed for count, missed in zip(requests.counts, misses, strict=True)]
            value = sum(counted) / expected
        else:
            counted = list(misses)
            value = max(0.0, 1 - sum(misses) / expected)
        return Ratio(value, (1 - requests.rate) * sum(count * count for count in counted) / expected**2)

    def chance(self, name: str, size: int) -> float:
        """The standard error of a hit ratio that is known, by which keys happen to be in the sample.

        It has two parts.  How often the keys of the sample miss is what the others' misses are taken from.  And how
        many keys compete within some time differs from sample to sample, which is as if the cache were larger
        or smaller.
        """
        rate = self.requests.rate
        of_size = self._steepness(name, size) ** 2 * (1 - rate) / self.requests.scaled(size)
        return math.sqrt(self._known[name, size].variance + of_size)

    def _steepness(self, name: str, size: int) -> float:
        """How much the hit ratio grows where the size grows, by the logarithm of the size."""
        sizes = sorted(at for of, at in self._known if of == name)
        place = sizes.index(size)
        below, above = sizes[max(0, place - 1)], sizes[min(len(sizes) - 1, place + 1)]
        if below == above:
            return self._known[name, size].value  # a concave curve through the origin is no steeper
        rise = self._known[name, above].value - self._known[name, below].value
        return abs(rise) / (math.log(above) - math.log(below))
