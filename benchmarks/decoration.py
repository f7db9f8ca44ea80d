"""What it costs to decorate a function, in time and in memory, beside what functools takes.

    python benchmarks/decoration.py [--rounds 15] [--gate]

Each function is decorated once and not called: what a decorated function works with is made at its first call, whose
cost stands in a column of its own.  With --gate the exit status is 1 if a function takes more than 3 kB, or more than
33 times as long as with functools (40 us where that takes 1.2 us).
"""

import argparse
import functools
import gc
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command: the checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from memo import bounded, dedupe_inflight, sliding_window

__all__ = ("CASES", "MOST_BYTES", "MOST_RATIO", "bytes_each", "main", "microseconds_each")

MOST_RATIO, MOST_BYTES = 33, 3_000
FUNCTIONS = 200

CASES: dict[str, Callable[[Any], Any]] = {
    # the options are checked each time, as they are in a program
    "functools.lru_cache": lambda function: functools.lru_cache(maxsize=10)(function),  # noqa: PLW0108
    "bounded": lambda function: bounded(max=10)(function),  # noqa: PLW0108
    "dedupe_inflight": lambda function: dedupe_inflight(timeout=30)(function),  # noqa: PLW0108
    "sliding_window": lambda function: sliding_window("24h")(function),  # noqa: PLW0108
}


def _functions() -> list[Any]:
    def one() -> Any:
        def load(name: str, lang: str = "en") -> str:
            return name

        return load

    return [one() for _ in range(FUNCTIONS)]


def microseconds_each(act: Callable[[Any], Any], subjects: list[Any]) -> float:
    """Processor time of this thread for *act* on each of *subjects*."""
    gc.collect()
    gc.disable()
    try:
        begun = time.thread_time()
        kept = [act(subject) for subject in subjects]
        took = time.thread_time() - begun
        del kept
    finally:
        gc.enable()
    return took / len(subjects) * 1e6


def bytes_each(act: Callable[[Any], Any]) -> float:
    """Memory that is held for each function on which *act* was done."""
    subjects = _functions()
    act(_functions()[0])  # what is made once
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [act(subject) for subject in subjects]
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
        del kept
    finally:
        tracemalloc.stop()
    return held / len(subjects)


def main() -> int:
    """Measure, print a table, and say whether all figures are within their bounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each case, interleaved")
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a figure is over its bound")
    options = parser.parse_args()
    decorating: dict[str, list[float]] = {name: [] for name in CASES}
    calling: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(options.rounds):
        for name, decorate in CASES.items():
            decorating[name].append(microseconds_each(decorate, _functions()))
            calling[name].append(microseconds_each(lambda function: function("a"), list(map(decorate, _functions()))))
    base = statistics.median(decorating["functools.lru_cache"])
    base_bytes = bytes_each(CASES["functools.lru_cache"])
    print(f"{'case':<22}{'us':>8}{'ratio':>8}{'bytes':>8}{'ratio':>8}{'first call, us':>16}")
    over = False
    for name, decorate in CASES.items():
        us, held = statistics.median(decorating[name]), bytes_each(decorate)
        first = statistics.median(calling[name])
        print(f"{name:<22}{us:>8.1f}{us / base:>8.1f}{held:>8.0f}{held / base_bytes:>8.1f}{first:>16.1f}")
        over = over or us / base > MOST_RATIO or held > MOST_BYTES
    return 1 if over and options.gate else 0


if __name__ == "__main__":
    sys.exit(main())
