"""How near does each eviction policy come to the best that any could do?

    python benchmarks/hit_ratio.py [--traces DIR] [--only TRACE] [--policy NAME]

Replays recorded accesses through the policies that ``bounded(policy=)`` names, at three sizes each, and prints the
share of the optimum's hits that each policy reaches, and the mean of the shares. The optimum knows the future
(Belady's algorithm) and may decline to store a value. DIR holds `manifest.json`, which names the traces and their
sizes, and the traces as gzip files of little-endian 32-bit key numbers; the default is `../shared/traces` beside the
checkout. Where there are none it says so, and replays made-up accesses instead: a Zipf distribution with scans.
All traces and policies take some minutes.
"""

from __future__ import annotations

import argparse
import array
import gzip
import heapq
import itertools
import json
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cachetools

from memo.policies import S3FIFOCache

__all__ = ("POLICIES", "count_hits", "load", "main", "optimum")

TRACES = Path(__file__).resolve().parents[2] / "shared" / "traces"

POLICIES: dict[str, Callable[[int], Any]] = {
    "s3fifo": S3FIFOCache,
    "lru": cachetools.LRUCache,
    "lfu": cachetools.LFUCache,
    "fifo": cachetools.FIFOCache,
    "random": lambda size: cachetools.RRCache(size, choice=random.Random(size).choice),
}

Case = tuple[str, Sequence[int], list[int], dict[str, int]]
"""Name, keys in the order of their accesses, sizes of the cache, known hits of the optimum by size."""


def load(path: Path) -> Sequence[int]:
    """The keys of a recorded trace."""
    keys = array.array("I")
    keys.frombytes(gzip.decompress(path.read_bytes()))
    if sys.byteorder == "big":
        keys.byteswap()
    return keys.tolist()


def recorded(directory: Path, only: list[str]) -> Iterator[Case]:
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    for name, facts in manifest["traces"].items():
        if not only or name in only:
            yield name, load(directory / facts["file"]), facts["sizes"], facts.get("opt_hits", {})


def made_up(accesses: int = 200_000, keys: int = 20_000) -> Iterator[Case]:
    """Zipf with exponent 0.9, interrupted by scans of keys that never return."""
    rng = random.Random(2023)
    weights = list(itertools.accumulate(1 / rank**0.9 for rank in range(1, keys + 1)))
    popular = rng.choices(range(keys), cum_weights=weights, k=accesses)
    strangers = itertools.count(keys)
    trace: list[int] = []
    for start in range(0, accesses, 10_000):
        trace += popular[start : start + 10_000]
        trace += itertools.islice(strangers, 2_000)
    yield "zipf+scans", trace, [200, 1_000, 4_000], {}


def optimum(trace: Sequence[int], size: int) -> int:
    """Hits of a cache that keeps what is used again soonest, and declines what is used later than all it has."""
    never = len(trace)
    again = [never] * never
    last: dict[int, int] = {}
    for i in range(never - 1, -1, -1):
        again[i] = last.get(trace[i], never)
        last[trace[i]] = i
    due: set[int] = set()  # when each cached key is used next, which also identifies it
    latest: list[int] = []  # the same, negated, as a heap; what is past stays in and is never on top
    hits = 0
    for now, then in enumerate(again):
        if now in due:
            due.remove(now)
            hits += 1
        if then == never:
            continue
        if len(due) >= size:
            if -latest[0] < then:
                continue
            due.remove(-heapq.heappop(latest))
        due.add(then)
        heapq.heappush(latest, -then)
    return hits


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


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 1 if no trace was selected."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--traces", type=Path, default=TRACES, metavar="DIR", help="recorded traces")
    parser.add_argument("--only", action="append", default=[], metavar="TRACE", help="may be repeated")
    parser.add_argument("--policy", action="append", choices=POLICIES, help="may be repeated; default: all")
    args = parser.parse_args(argv)
    names = args.policy or list(POLICIES)

    print(f"{platform.python_implementation()} {platform.python_version()}, cachetools {cachetools.__version__}")
    if (args.traces / "manifest.json").is_file():
        cases = recorded(args.traces, args.only)
    else:
        print(f"skipped the recorded traces: no manifest.json in {args.traces}; made-up accesses instead")
        cases = made_up()
    print(f"{'trace':14}{'size':>7}{'optimum':>10}" + "".join(f"{name:>9}" for name in names))
    shares: dict[str, list[float]] = {name: [] for name in names}
    spent_s = dict.fromkeys(names, 0.0)
    requests = 0
    for label, trace, sizes, known in cases:
        for size in sizes:
            best = known.get(str(size)) or optimum(trace, size)
            requests += len(trace)
            print(f"{label:14}{size:7}{best / len(trace):10.4f}", end="", flush=True)
            for name in names:
                began = time.perf_counter()
                hits = count_hits(POLICIES[name](size), trace)
                spent_s[name] += time.perf_counter() - began
                shares[name].append(hits / best if best else 1.0)
                print(f"{shares[name][-1]:9.4f}", end="", flush=True)
            print()
    if not requests:
        print(f"no trace is called {' or '.join(map(repr, args.only))}")
        return 1
    print(f"{'mean share of the optimum':31}" + "".join(f"{sum(s) / len(s):9.4f}" for s in shares.values()))
    print(f"{'microseconds an access':31}" + "".join(f"{s / requests * 1e6:9.2f}" for s in spent_s.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
