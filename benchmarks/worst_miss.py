"""How long does the longest single miss take?

    python benchmarks/worst_miss.py [--entries N ...] [--policy NAME ...] [--rounds 2] [--gate]

Fills a store's policy with N entries (1,000, 100,000 and 5,000,000, unless told), and takes the time of each exchange
of one entry for a new one, where an eviction finds it hardest: at the first one, after each entry was used so often
that it is due all its rounds, through a change of the share of the small queue, and in a loop longer than the cache,
where every key comes back from the ghost. Times are those of the thread's processor alone, and of each miss the least
of some rounds that do the same: what else the machine does is left out. The garbage collector is off.

An exchange takes one key out of a dictionary and puts another in. Once in as many as it has places to spare, CPython
builds a dictionary anew, which takes longer the more it has, whatever the policy: so the time within the dictionary is
taken apart, and the longest of both are told. With --gate the exit status is 1 if the policy's own part of a miss takes
more than 1 ms. Five million entries take some 3 GB.
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

from memo._store import POLICIES, Entry

__all__ = ("longest", "main", "misses")

MOST_MS = 1.0


def entry() -> Any:
    made: Any = Entry()
    made.hits = made.counted = 0
    made.value = None
    return made


def keys_of(size: int, index: dict[int, Any]) -> Iterator[int]:
    """New keys, one after the other, for a cache of *size* that is full of the numbers below that."""
    few = min(size, 100_000)
    yield from range(size, size + few)  # the first evictions of all
    for one in index.values():
        one.hits += 3
    yield from range(2 * size, 2 * size + few)  # every entry is due three rounds
    yield from range(4 * size, 5 * size + size // 4)  # a scan, past the first choice of a share
    began = 6 * size
    for _ in range(2):  # a loop: all of it comes back from the ghost, that is not here by then
        yield from (key for key in range(began, began + size + size // 4) if key not in index)


class Apart(dict[int, Any]):
    """A dictionary that knows how long it was changed."""

    spent = 0

    def __setitem__(self, key: int, value: Any) -> None:
        began = thread_time_ns()
        super().__setitem__(key, value)
        self.spent += thread_time_ns() - began

    def __delitem__(self, key: int) -> None:
        began = thread_time_ns()
        super().__delitem__(key)
        self.spent += thread_time_ns() - began


def misses(name: str, size: int) -> tuple[array[int], array[int]]:
    """Nanoseconds of each exchange of a policy that is full: its own, and those within the dictionary."""
    policy: Any = POLICIES[name](size)
    policy._Cache__data = index = Apart()
    for key in range(size):
        policy[key] = entry()
    exchange = policy.exchange
    own, within = array("q"), array("q")
    for key in keys_of(size, index):
        one = entry()
        index.spent = 0
        began = thread_time_ns()
        exchange(key, one)
        took = thread_time_ns() - began
        own.append(took - index.spent)
        within.append(index.spent)
        policy.leaving = None
    policy._check()
    return own, within


def longest(name: str, size: int, rounds: int) -> list[float]:
    """Milliseconds of the longest exchange: the policy's own, and within the dictionary."""
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
    parser.add_argument("--policy", action="append", choices=["adaptive", "s3fifo"], help="default: both")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a miss takes too long")
    options = parser.parse_args(arguments)
    print(headline())
    over = False
    for size in options.entries:
        for name in options.policy or ["adaptive", "s3fifo"]:
            own, within = longest(name, size, options.rounds)
            over |= own > MOST_MS
            print(f"{size:,} entries, {name}: longest {own:.3f} ms, within the dictionary {within:.3f} ms", flush=True)
    return int(over and options.gate)


if __name__ == "__main__":
    sys.exit(main())
