"""How far the figures of a sample may be from those of all requests.

Two things are estimated.  By chance, which keys are in the sample matters, and ``Curves.chance`` tells how much.  And
some policies do not act alike in a cache that is smaller in proportion (LFU has a place or two for newcomers, however
large it is): so a quarter of the sample is replayed in a quarter of the size, and what differs by more than chance is
taken to go on in the same way, as often as the sample would have to be quartered to come from all requests to its size.
"""

import math
from collections.abc import Callable, Mapping

from memo._replay.curves import Curves

__all__ = ("Errors",)

_PART = 4


class Errors:
    """The standard errors of curves; zero where all requests were replayed.

    Args:
        curves: The curves.
        moved: Told how many requests were replayed for this.
    """

    def __init__(self, curves: Curves, moved: Callable[[int], None]) -> None:
        self._curves = curves
        self._is_sample = curves.requests.rate < 1
        self._part = Curves(curves.requests.thinned(_PART), curves.sizes, moved) if self._is_sample else None

    @property
    def work(self) -> int:
        """The requests that are to be replayed for this."""
        return 0 if self._part is None else self._part.work

    def measure(self, name: str, size: int) -> None:
        """Replay what is needed for the error of a policy."""
        if self._part is not None:
            self._part.measure(name, size)

    def of(self, name: str, size: int) -> float | None:
        """The standard error of a hit ratio; None where that is not known."""
        if self._curves.known(name, size) is None:
            return None
        return math.hypot(self._curves.chance(name, size), self._drift(name))

    def worst(self) -> Mapping[str, float]:
        """For each policy the largest standard error that it has at a size of the table."""
        return {
            name: max((self.of(name, size) or 0.0 for size in self._curves.sizes), default=0.0)
            for name in self._curves.names
        }

    def _drift(self, name: str) -> float:
        """How much a policy acts otherwise in a smaller cache, in the mean over the sizes."""
        part, curves = self._part, self._curves
        if part is None:
            return 0.0
        beyond_chance = []
        for size in curves.sizes:
            whole, less = curves.known(name, size), part.known(name, size)
            if whole is not None and less is not None:
                beyond_chance.append((whole - less) ** 2 - part.chance(name, size) ** 2)
        if not beyond_chance:
            return 0.0
        quarters = math.log(1 / curves.requests.rate, _PART)
        return quarters * math.sqrt(max(0.0, sum(beyond_chance) / len(beyond_chance)))
