"""Ratios that hold on a noisy machine: baseline and candidate in turn, within each round of one process."""

import gc
import itertools
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from _where import where

from memo._native import speed

__all__ = (
    "Ratio", "Spread", "by_path", "headline", "interleaved", "on_eight_threads", "spread", "table", "timed", "together",
)  # fmt: skip

Timed = Callable[[], float]
"""Runs a batch and returns the seconds that one call took."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some figures, and between which of them half lie."""

    median: float
    low: float
    high: float


def spread(figures: list[float]) -> Spread:
    """The median and the quartiles."""
    quarters = statistics.quantiles(figures, n=4) if len(figures) > 1 else figures * 3
    return Spread(statistics.median(figures), quarters[0], quarters[2])


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median over all rounds of candidate to baseline, and between which values half of the rounds lie."""

    case: str
    settings: str
    median: float
    low: float
    high: float
    bound: float | None

    @property
    def within(self) -> bool:
        """Whether the median keeps the bound, if there is one."""
        return self.bound is None or self.median <= self.bound


def interleaved(
    case: str, settings: str, baseline: Timed, candidate: Timed, rounds: int, bound: float | None = None
) -> Ratio:
    """Measure *candidate* against *baseline*: one after the other in each round, after a round of warming up."""
    baseline(), candidate()
    ratios = []
    enabled = gc.isenabled()
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        before = baseline()
        ratios.append(candidate() / before)
        if enabled:
            gc.enable()
    found = spread(ratios)
    return Ratio(case, settings, found.median, found.low, found.high, bound)


def on_eight_threads(function: Callable[[int], Any], calls: int) -> Timed:
    """Eight threads that make about so many calls of *function* together, on ten keys that it knows by then.

    It returns the processor time of all of them.
    """
    for key in range(10):
        assert function(key) == key

    def work(barrier: threading.Barrier) -> None:
        barrier.wait()
        for _ in itertools.repeat(None, calls // 80):
            for key in range(10):
                function(key)

    def run() -> float:
        barrier = threading.Barrier(9)
        workers = [threading.Thread(target=work, args=(barrier,)) for _ in range(8)]
        for worker in workers:
            worker.start()
        barrier.wait()
        began = time.process_time()
        for worker in workers:
            worker.join()
        return time.process_time() - began

    return run


def by_path(c: float, pure: float) -> float:
    """The bound of whichever path runs."""
    return pure if speed is None else c


def together(baseline: Timed, candidates: dict[str, Timed], rounds: int) -> dict[str, float]:
    """Measure all *candidates* against *baseline* in each round; the median ratio of each."""
    for run in (baseline, *candidates.values()):
        run()
    ratios: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        before = baseline()
        for name, run in candidates.items():
            ratios[name].append(run() / before)
        gc.enable()
    return {name: statistics.median(found) for name, found in ratios.items()}


def timed(run: Callable[[int], object], count: int) -> Timed:
    """A batch of *count* calls, which ``run(count)`` makes; by the processor time of this thread."""

    def batch() -> float:
        began = time.thread_time()
        run(count)
        return (time.thread_time() - began) / count

    return batch


def headline() -> str:
    """What ran, where and when."""
    return f"{' '.join([os.path.basename(sys.executable), *sys.argv])}\n{where()}"


def table(rows: list[Ratio]) -> str:
    """One line for each case."""
    head = ["case", "settings", "ratio", "half of the rounds", "bound", ""]
    lines = [head]
    for row in rows:
        verdict = "" if row.bound is None else "within" if row.within else "OVER"
        bound = "" if row.bound is None else f"{row.bound:g}"
        half = f"{row.low:.2f} to {row.high:.2f}"
        lines.append([row.case, row.settings, f"{row.median:.2f}", half, bound, verdict])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
