"""Which ``max`` to write, and what another would change."""

import math
from typing import NamedTuple

from memo._replay.contestants import ADVISED
from memo._replay.curves import Curves

__all__ = ("ENOUGH", "STEPS", "Advice", "advise")

ENOUGH = 0.95
"""The share of what is reachable that the advised size reaches."""
_NARROW = 1.02
"""How much larger it is, at the most, than one that does not."""
STEPS = 8
"""Sizes that are replayed for the advice, about."""


class Advice(NamedTuple):
    """A size and its hit ratio, and those of half and of twice that size."""

    policy: str
    max: int
    hit_ratio: float
    reachable: float
    half: int
    half_hit_ratio: float
    twice: int
    twice_hit_ratio: float

    def __str__(self) -> str:
        return (
            f"max={self.max} is the smallest with policy={self.policy!r} that reaches {ENOUGH:.0%} of what is "
            f"reachable: it gives {self.hit_ratio:.1%} of {self.reachable:.1%}; half of it, {self.half}, would give "
            f"{self.half_hit_ratio:.1%}, twice, {self.twice}, {self.twice_hit_ratio:.1%}."
        )


def advise(curves: Curves) -> Advice | None:
    """The advice, for which a few more sizes are replayed; None where no key came twice."""
    reachable = curves.reachable
    if not reachable:
        return None
    size = _least_size(curves, ENOUGH * reachable)
    half, twice = max(1, size // 2), 2 * size
    at = {each: curves.measure(ADVISED, each) for each in (size, half, twice)}
    return Advice(ADVISED, size, at[size], reachable, half, at[half], twice, at[twice])


def _least_size(curves: Curves, wanted: float) -> int:
    """The smallest size that gives *wanted*, found between two of those that are known."""
    high = max(1, curves.requests.distinct)  # what has room for all reaches all
    low = 0
    for size in curves.sizes:
        if size < high and curves.measure(ADVISED, size) >= wanted:
            high = size
            break
        low = min(size, high - 1)
    least = 1 / curves.requests.rate  # the step in which sizes differ for a sample
    while high - low > least and high > _NARROW * low:
        middle = min(max(round(math.sqrt(low * high)) or high // 2, low + 1), high - 1)
        if curves.measure(ADVISED, middle) >= wanted:
            high = middle
        else:
            low = middle
    return high
