"""What do an entry and a decorated function cost in heap, and what does importing memo cost in time?

    python benchmarks/memory.py [--rounds N] [--gate]

Heap: the bytes that `tracemalloc` sees a full store hold, beyond the keys and the values (which exist before) and
beyond what the function held after its first call, shared out over its entries, for stores of 1,000, 10,000 and
100,000. Every store is filled through its decorator, with as many entries as it may hold. The first column tells what
a function takes by itself: one more of a shape that is known, decorated and called once. Import: the wall time of a
new interpreter that imports memo, less that of one that imports wrapt and cachetools, in rounds that alternate the
two; the median of the differences, and beside it the same in processor time, which others on the machine do not
lengthen. With `--gate` the exit status is 1 if a figure is over its bound: with a ttl 160 bytes an entry under the
default policy and 130 under S3-FIFO where calls run in C, 260 where they run in Python; 60 ms of wall time.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command: the checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cachetools
from _ratios import Spread, by_path, headline, spread

from memo import bounded

__all__ = ("main",)

ROOT = Path(__file__).resolve().parents[1]
COUNTS = (1_000, 10_000, 100_000)
FUNCTIONS = 100
IMPORT_BOUND_MS = 60.0
BASE = "import wrapt, cachetools"
EVERYTHING = "from memo import *"  # names are imported when they are asked for: ask for all

Decorate = Callable[[int], Callable[[Callable[..., Any]], Any]]

STORES: dict[str, Decorate] = {
    "memo, ttl": lambda most: bounded(max=most, ttl="1h"),
    "memo, ttl, s3fifo": lambda most: bounded(max=most, ttl="1h", policy="s3fifo"),
    "memo, no ttl": lambda most: bounded(max=most),
    "memo, ttl, method": lambda most: bounded(max=most, ttl="1h"),
    "functools.lru_cache": lambda most: functools.lru_cache(maxsize=most),
    "cachetools LRUCache": lambda most: cachetools.cached(cachetools.LRUCache(most), lock=threading.Lock()),
    "cachetools TTLCache": lambda most: cachetools.cached(cachetools.TTLCache(most, 3600), lock=threading.Lock()),
}
BOUNDS = {"memo, ttl": by_path(160, 260), "memo, ttl, s3fifo": by_path(130, 260)}


def decorated(store: str, count: int, answers: dict[str, object]) -> Callable[[str], object]:
    """What looks keys up, decorated to keep *count* of the answers."""
    decorate = STORES[store](count)
    if not store.endswith("method"):

        @decorate
        def fetch(key: str) -> object:
            return answers[key]

        return fetch  # type: ignore[no-any-return]

    class Service:
        @decorate
        def fetch(self, key: str) -> object:
            return answers[key]

    return Service().fetch  # type: ignore[no-any-return]


def heap_per_entry(store: str, count: int) -> float:
    """Bytes an entry beyond its key and its value, of all but the first."""
    answers = {f"user-{i}": object() for i in range(count)}
    first, *others = answers
    fetch = decorated(store, count, answers)
    fetch(first)
    with traced() as held:
        for key in others:
            fetch(key)
    if any(fetch(key) is not answers[key] for key in [first, *others[:: max(1, count // 100)]]):
        raise AssertionError(f"{store} returned a wrong value")
    return held[0] / len(others)


def heap_per_function(store: str) -> float:
    """Bytes of one more function that was called once."""
    answers: dict[str, object] = {"user": object()}
    decorated(store, COUNTS[0], answers)("user")
    kept = []
    with traced() as held:
        for _ in range(FUNCTIONS):
            kept.append(decorated(store, COUNTS[0], answers))
            kept[-1]("user")
    return held[0] / FUNCTIONS


@contextlib.contextmanager
def traced() -> Iterator[list[int]]:
    """How many bytes more there are at the end, in the list that this gives."""
    held: list[int] = []
    gc.collect()
    tracemalloc.start()
    try:
        yield held
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()


def import_cost(rounds: int) -> tuple[Spread, Spread]:
    """Milliseconds that importing all of memo takes beyond importing what it depends on: wall, and of the processor."""
    walls, owns = [], []
    with tempfile.TemporaryDirectory() as compiled:
        for _ in range(2):  # compiles what is not compiled yet, and reads the files into the system's cache
            _seconds_of(EVERYTHING, compiled)
        for number in range(rounds):
            if number % 2:
                whole, base = _seconds_of(EVERYTHING, compiled), _seconds_of(BASE, compiled)
            else:
                base, whole = _seconds_of(BASE, compiled), _seconds_of(EVERYTHING, compiled)
            walls.append((whole[0] - base[0]) * 1e3)
            owns.append((whole[1] - base[1]) * 1e3)
    return spread(walls), spread(owns)


def _seconds_of(statement: str, compiled: str) -> tuple[float, float]:
    """Wall and processor seconds of an interpreter that runs *statement* and ends; *compiled* has the bytecode."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONPYCACHEPREFIX": compiled,
        "PYTHONDONTWRITEBYTECODE": "",  # where it is set, every import would compile anew
    }
    before = os.times()
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, env=environment, cwd=ROOT)
    took = time.perf_counter() - began
    after = os.times()
    children = after.children_user + after.children_system - before.children_user - before.children_system
    return took, children


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 1 if, with ``--gate``, a figure is over its bound."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=21, help="pairs of imports (default 21)")
    parser.add_argument("--gate", action="store_true", help="exit with status 1 if a figure is over its bound")
    args = parser.parse_args(argv)
    if args.rounds < 1:
        parser.error(f"--rounds {args.rounds} is not positive")
    print(headline())
    over = False
    heads = ["a function", *(f"{count:,}" for count in COUNTS)]
    print(f"{'heap bytes an entry':24}" + "".join(f"{head:>12}" for head in heads) + "   bound")
    for store in STORES:
        figures = [heap_per_entry(store, count) for count in COUNTS]
        bound = ""
        if store in BOUNDS:
            within = max(figures) <= BOUNDS[store]
            over |= not within
            bound = f"{BOUNDS[store]:.0f} {'in' if within else 'OVER'}"
        shown = [heap_per_function(store), *figures]
        print(f"{store:24}" + "".join(f"{figure:12.0f}" for figure in shown) + f"   {bound}".rstrip(), flush=True)
    wall, own = import_cost(args.rounds)
    within = wall.median <= IMPORT_BOUND_MS
    over |= not within
    print(
        f"\nfrom memo import * beyond wrapt and cachetools: {wall.median:.1f} ms "
        f"(middle half {wall.low:.1f}-{wall.high:.1f}); bound {IMPORT_BOUND_MS:.0f} {'in' if within else 'OVER'}; "
        f"processor {own.median:.1f} ms"
    )
    return int(args.gate and over)


if __name__ == "__main__":
    sys.exit(main())
