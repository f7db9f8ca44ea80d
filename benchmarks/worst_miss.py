"""How long does the longest single miss take?

    python benchmarks/worst_miss.py [--entries N ...] [--policy NAME ...] [--rounds 2] [--gate]

Fills a store with N entries (1,000, 100,000 and 5,000,000, unless told), and takes the time of each entry that is put
in: while it grows, and where an eviction finds it hardest: at the first one, after each entry was used so often that it
is due all its rounds, through a change of the share of the small queue, and in a loop longer than the store, where
every key comes back from the ghost. All that a miss does to the store is in it: what the policy does, and the index,
the tables of which CPython builds anew now and then. Times are those of the thread's processor alone, and of each miss
the least of some rounds that do the same: what else the machine does is left out. The garbage collector is off: a full
collection takes longer the more objects a program has, with a store or without, and strikes whatever runs.

With --gate the exit status is 1 if a miss takes more than 1 ms. Five million entries take some 3 GB.
"""

from __future__ import annotations

import argparse
import gc
import sys
from array import array
from collections.abc import Iterator
from time import thread_time_ns
from typing import Any

from _ratios import headline

from memo._store import Entry, Store, check_policy
from memo._store.policy import POLICIES

__all__ = ("longest", "main", "misses")

MOST_MS = 1.0


def entry() -> Any:
    made: Any = Entry()
    made.hits = made.counted = 0
    made.value = None
    made.stored, made.deadline = 0.0, 1.0
    return made


def keys_of(size: int, store: Store) -> Iterator[int]:
    """New keys, one after the other, for a store that is full of the numbers below *size*."""
    few = min(size, 100_000)
    yield from range(size, size + few)  # the first evictions of all
    for one in store.snapshot():
        one.hits += 3
    yield from range(2 * size, 2 * size + few)  # every entry is due three rounds
    yield from range(4 * size, 5 * size + size // 4)  # a scan, past the first choice of a share
    began = 6 * size
    for _ in range(2):  # a loop: all of it comes back from the ghost, that is not here by then
        yield from (key for key in range(began, began + size + size // 4) if key not in store.index)


def misses(name: str, size: int) -> tuple[array[int], array[int]]:
    """Nanoseconds of each entry that is put in: into a store that is not full, and into one that is."""
    store = Store("benchmark", size, None, check_policy("benchmark", name))
    growing, full = array("q"), array("q")
    for key in range(size):
        one = entry()
        began = thread_time_ns()
        store.change(store.put, key, one, 0.0)
        growing.append(thread_time_ns() - began)
    for key in keys_of(size, store):
        one = entry()
        began = thread_time_ns()
        with store.lock:
            left = store.put_lean(key, one, 0.0)
        full.append(thread_time_ns() - began)
        assert left is not None
    store._check()
    return growing, full


def longest(name: str, size: int, rounds: int) -> list[float]:
    """Milliseconds of the longest miss while the store grows, and when it is full."""
    gc.disable()
    try:
        best = misses(name, size)
        for _ in range(rounds - 1):
            again = misses(name, size)
            best = array("q", map(min, best[0], again[0])), array("q", map(min, best[1], again[1]))
    finally:
        gc.enable()
        gc.collect()
    return [max(times) / 1e6 for times in best]


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000, 100_000, 5_000_000])
    parser.add_argument("--policy", action="append", choices=list(POLICIES), help="default: adaptive and s3fifo")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a miss takes too long")
    options = parser.parse_args(arguments)
    print(headline())
    over = False
    for size in options.entries:
        for name in options.policy or ["adaptive", "s3fifo"]:
            growing, full = longest(name, size, options.rounds)
            over |= max(growing, full) > MOST_MS
            print(f"{size:,} entries, {name}: longest {full:.3f} ms, while it grows {growing:.3f} ms", flush=True)
    return int(over and options.gate)


if __name__ == "__main__":
    sys.exit(main())
