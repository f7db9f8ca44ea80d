"""How long loads took, as a histogram of a meter: recorded when figures are collected, so that no load waits for that.

To record a value takes the SDK some six microseconds, and each of its readers as long again.
"""

from array import array
from collections.abc import Iterator

from opentelemetry.metrics import Histogram, Meter

from memo.exporters._otel_figures import FUNCTION, OUTCOME

__all__ = ("Durations",)

_MOST = 100_000
"""Durations that wait for a collection, 8 bytes each; what comes when there are more is recorded at once."""
_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Durations:
    """The histogram of one meter, and what it has not been told yet.

    Threads add to it, one hands over: each step is one of the interpreter's own, so that nothing is lost or told twice.
    What was handed over leaves nothing behind, since functions that are made for each request have names without end.
    """

    def __init__(self, meter: Meter) -> None:
        self._histogram = _histogram(meter)
        self._waiting: dict[tuple[str, str], array[float]] = {}
        self._room = _MOST  # about: two threads may count as one

    def add(self, function: str, outcome: str, seconds: float) -> None:
        """A load of *function* ended."""
        if self._room <= 0:
            self.record(function, outcome, seconds)
            return
        self._room -= 1
        try:
            waiting = self._waiting[function, outcome]
        except KeyError:
            waiting = self._waiting.setdefault((function, outcome), array("d"))
        waiting.append(seconds)
        if self._waiting.get((function, outcome)) is not waiting:  # it was handed over just before
            self._tell(function, outcome, waiting)

    def record(self, function: str, outcome: str, seconds: float) -> None:
        """Tell the histogram at once: the present span may be shown as an example of its bucket."""
        self._histogram.record(seconds, {FUNCTION: function, OUTCOME: outcome})

    def hand_over(self) -> None:
        """Tell the histogram what waits."""
        for whose, waiting in list(self._waiting.items()):
            self._tell(*whose, waiting)
            left = self._waiting.pop(whose, waiting)
            self._tell(*whose, left)  # what came meanwhile; what comes later is told by who adds it
        self._room = _MOST

    def _tell(self, function: str, outcome: str, waiting: "array[float]") -> None:
        for seconds in _taken(waiting):
            self.record(function, outcome, seconds)


def _taken(waiting: "array[float]") -> Iterator[float]:
    """Take out what is in it now."""
    for _ in range(len(waiting)):
        try:
            seconds = waiting.pop()
        except IndexError:  # another thread hands over as well
            return
        yield seconds


def _histogram(meter: Meter) -> Histogram:
    name, about = "memo.load.duration", "How long loads took"
    try:
        return meter.create_histogram(name, "s", about, explicit_bucket_boundaries_advisory=_BOUNDS_S)
    except TypeError:  # of before 1.30, which takes no advice: bounds from 5 on, unless a view says otherwise
        return meter.create_histogram(name, "s", about)
