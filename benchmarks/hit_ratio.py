"""How near does each eviction policy come to the best that any could do?

    python benchmarks/hit_ratio.py [--traces DIR] [--only TRACE] [--policy NAME]

Replays recorded accesses through the policies that ``bounded(policy=)`` names, at several sizes each, and prints the
share of the optimum's hits that each policy reaches, the mean of the shares, and by how many points of hit ratio it
is at worst below LRU and at best above. The optimum knows the future (Belady's algorithm) and may decline to store a
value. All traces and policies take some minutes.

DIR has the traces as files `NAME.u32.gz`, little-endian 32-bit numbers of keys, compressed. A `manifest.json` beside
them may give sizes (`{"traces": {NAME: {"file": ..., "sizes": [...]}}}`); without one the sizes are 1, 5 and 20 % of
the keys. The default is what MEMO_TRACES names, else `../shared/traces` beside the checkout. What is missing is
named; where there is nothing, made-up accesses are replayed instead: a Zipf distribution with scans.
"""

from __future__ import annotations

import argparse
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cachetools
from _traces import BESIDE, KNOWN, SUFFIX, VARIABLE, Trace, find, folder, made_up

import memo.policies

__all__ = ("POLICIES", "count_hits", "main")

POLICIES: dict[str, Callable[[int], Any]] = {
    **{name.removesuffix("Cache").lower(): getattr(memo.policies, name) for name in memo.policies.__all__},
    "lru": cachetools.LRUCache,
    "lfu": cachetools.LFUCache,
    "fifo": cachetools.FIFOCache,
    "random": lambda size: cachetools.RRCache(size, choice=random.Random(size).choice),
}
LABEL, CELL = 28, 9
"""Columns of the table."""


def count_hits(cache: Any, trace: Sequence[int]) -> int:
    """Hits of *cache* when each missing key is put in."""
    misses = 0
    for key in trace:
        try:
            cache[key]
        except KeyError:
            misses += 1
            cache[key] = key
    return len(trace) - misses


class Table:
    """Shares of the optimum, printed as they are found, and what they come to."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.shares: dict[str, list[float]] = {name: [] for name in names}
        self.ratios: dict[str, list[float]] = {name: [] for name in names}
        self.spent_s = dict.fromkeys(names, 0.0)
        self.requests = 0

    def fill(self, traces: Sequence[Callable[[], Trace]]) -> None:
        """Replay each trace through each policy."""
        print(f"{'trace':13}{'size':>6}{'optimum':>{LABEL - 19}}" + "".join(f"{name:>{CELL}}" for name in self.names))
        for read in traces:
            trace = read()
            for size in trace.sizes:
                best = trace.most_hits(size)
                self.requests += len(trace.keys)
                print(f"{trace.name:13}{size:6}{best / len(trace.keys):{LABEL - 19}.4f}", end="", flush=True)
                for name in self.names:
                    began = time.perf_counter()
                    hits = count_hits(POLICIES[name](size), trace.keys)
                    self.spent_s[name] += time.perf_counter() - began
                    self.ratios[name].append(hits / len(trace.keys))
                    self.shares[name].append(hits / best if best else 1.0)
                    print(f"{self.shares[name][-1]:{CELL}.4f}", end="", flush=True)
                print()

    def sum_up(self) -> None:
        """Print means, times, and the distance from LRU."""
        self._line("mean share of the optimum", [f"{sum(s) / len(s):.4f}" for s in self.shares.values()])
        if "lru" in self.names:
            for label, pick in (("at worst, points above LRU", min), ("at best, points above LRU", max)):
                self._line(label, [f"{100 * pick(self._above_lru(name)):+.1f}" for name in self.names])
        self._line("microseconds an access", [f"{s / self.requests * 1e6:.2f}" for s in self.spent_s.values()])

    def _above_lru(self, name: str) -> list[float]:
        return [ours - lru for ours, lru in zip(self.ratios[name], self.ratios["lru"], strict=True)]

    @staticmethod
    def _line(label: str, cells: list[str]) -> None:
        print(f"{label:{LABEL}}" + "".join(f"{cell:>{CELL}}" for cell in cells))


def tell_missing(missing: list[str], place: Path) -> None:
    """Name the traces that are not there, with where they were published, and where to put them."""
    print(f"missing, put here as NAME{SUFFIX}: {place} (or give --traces DIR, or set {VARIABLE}):")
    for name in missing:
        print(f"  {name:14} {KNOWN.get(name, 'named in manifest.json or by --only')}")


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 1 if none of the traces that were asked for is there, or one cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--traces", type=Path, metavar="DIR", help=f"recorded traces; default: {VARIABLE}, or {BESIDE}")
    parser.add_argument("--only", action="append", default=[], metavar="TRACE", help="may be repeated")
    parser.add_argument("--policy", action="append", choices=POLICIES, help="may be repeated; default: all")
    args = parser.parse_args(argv)
    try:
        directory = folder(args.traces)
    except FileNotFoundError as error:
        parser.error(str(error))

    print(f"{platform.python_implementation()} {platform.python_version()}, cachetools {cachetools.__version__}")
    traces, missing = find(directory, args.only)
    if missing:
        tell_missing(missing, directory)
    if not traces:
        if args.only:
            return 1
        print("no recorded traces are there; made-up accesses instead:")
        traces = [made_up]
    table = Table(args.policy or list(POLICIES))
    try:
        table.fill(traces)
    except ValueError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    table.sum_up()
    return 0


if __name__ == "__main__":
    sys.exit(main())
