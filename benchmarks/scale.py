"""What a call costs, and how long each operation keeps other threads up, from 500 entries to ten million.

    python benchmarks/scale.py [--most 10000000] [--operation TEXT] [--no-calls] [--plot scale.svg] [--gate]
    python benchmarks/scale.py --bars [--seconds 720] [--most 10000000]

A call is shown beside the same of a plain dictionary of tuples, whose cost grows with what the processor's caches hold.
While an operation runs, two other threads nap and call, one a key that is there, one a new one; the longest that either
was late by is shown, less what it waited for a processor. "nothing" is the machine's own noise.

With --gate the exit status is 1 if a hit waited for more than 5 ms, a miss for more than 10, or a call costs more than
1.5 times what it costs at 500 entries, beyond what it does for the dictionary. Ten million entries take some 4 GB.

With --bars all that is promised of large stores and of many functions is measured in less than twelve minutes, at the
largest size alone, and printed line by line beside its bar.
"""

import argparse
import gc
import importlib.util
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command: the checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _pauses import Pauses, while_it_runs
from _ratios import headline
from _scale_bars import HIT_MS, MISS_MS, PARTS, bars, print_part

from memo import Registry, bounded
from memo.testing import isolated

__all__ = ("SIZES", "Calls", "calls", "main", "operations")

SIZES = (500, 10_000, 100_000, 1_000_000, 10_000_000)
FLAT = 1.5
BATCH = 50_000
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Calls:
    """Nanoseconds of each call, and of the same of a dictionary."""

    entries: int
    fill: float
    hit: float
    miss: float
    dict_fill: float
    dict_hit: float
    dict_miss: float


class _Stock:
    """A store of so many entries, full, and two calls of it."""

    def __init__(self, entries: int, *, method: bool = False, **options: Any) -> None:
        self.entries = entries
        self.registry = Registry()
        self._next = entries
        decorate = bounded(max=entries, ttl="24h", registry=self.registry, **options)
        if method:
            owner = type("Owner", (), {"fetch": decorate(lambda self, x: x)})
            self.instance: Any = owner()
            self._other = owner()
            self.function = owner.fetch  # type: ignore[attr-defined]
            self.hit = lambda: self._other.fetch(-1)
            self._missed = self._other.fetch
        else:
            self.instance = None
            self.function = decorate(lambda x: x)
            self.hit = lambda: self.function(-1)
            self._missed = self.function
        self.cache = self.function.cache

    def fill(self) -> float:
        """Fill it up; the seconds that took."""
        call = self.function if self.instance is None else self.instance.fetch
        began = time.thread_time()
        lacking = self.entries - len(self.cache)
        for x in range(self._next, self._next + lacking):
            call(x)
        self._next += lacking
        took = time.thread_time() - began
        for _ in range(3):
            self.hit()
        return took

    def miss(self) -> None:
        self._next += 1
        self._missed(self._next)


def _least(run: Callable[[], None]) -> float:
    """Nanoseconds of each of a batch, the least of some rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        run()
        found.append((time.thread_time() - began) / BATCH * 1e9)
    return min(found)


def calls(entries: int) -> Calls:
    """What filling a store, a hit and a miss that evicts cost, by processor time."""
    keys = random.Random(14).choices(range(entries), k=BATCH)
    fresh = iter(range(2 * entries, 2 * entries + 20 * ROUNDS * BATCH))
    gc.collect()

    plain: dict[int, tuple[int, float]] = {}
    began = time.thread_time()
    for x in range(entries):
        plain[x] = (x, 0.0)
    dict_fill = (time.thread_time() - began) / entries * 1e9

    look = plain.__getitem__  # called as the function is: of C

    def dict_hits() -> None:
        for x in keys:
            look(x)

    oldest = iter(range(entries + 20 * ROUNDS * BATCH))
    newest = iter(range(entries, entries + 20 * ROUNDS * BATCH))

    def exchange(x: int) -> None:
        plain[x] = (x, 0.0)
        plain.pop(next(oldest), None)

    def dict_misses() -> None:
        for _ in range(BATCH):
            exchange(next(newest))

    dict_hit, dict_miss = _least(dict_hits), _least(dict_misses)
    plain.clear()

    function = bounded(max=entries, ttl="24h", registry=Registry())(lambda x: x)
    filled = 0
    for x in range(
        -2 * BATCH, -2 * BATCH + min(entries, BATCH)
    ):  # warming up: the first calls make what they work with
        function(x)
        filled += 1
    function.cache.clear()
    began = time.thread_time()
    for x in range(entries):
        function(x)
    fill = (time.thread_time() - began) / entries * 1e9

    def hits() -> None:
        for x in keys:
            function(x)

    def misses() -> None:
        for _ in range(BATCH):
            function(next(fresh))

    found = Calls(entries, fill, _least(hits), _least(misses), dict_fill, dict_hit, dict_miss)
    info = function.cache_info()
    assert (info.misses, info.currsize) == (filled + entries + ROUNDS * BATCH, entries), info
    return found


def _let_go(held: list[Any]) -> None:
    """Let go of lists bit by bit, out of the measured time."""
    while held:
        items = held.pop()
        while items:
            del items[-1000:]


def _on_function(stock: _Stock, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Operations on a function's store, which is full again before each."""
    cache, entries, own = stock.cache, stock.entries, stock.registry
    dump, held = folder / f"{entries}.dump", []
    aside = isolated(stock.function)
    yield "nothing", lambda: time.sleep(0.3)
    yield "len", lambda: len(cache)
    yield "stats", cache.stats
    yield "print(registry)", lambda: str(own)
    yield "items", lambda: held.append(cache.items())
    _let_go(held)
    yield "iteration", lambda: sum(1 for _ in cache)
    yield "report", lambda: str(own.report())
    yield "cleanup", cache.cleanup
    yield "dump", lambda: cache.dump(dump)
    yield "invalidate_where, none", lambda: cache.invalidate_where(lambda key, value: False)
    yield "invalidate_where, half", lambda: cache.invalidate_where(lambda key, value: key % 2 == 0 and key >= 0)
    yield "resize, half", lambda: cache.resize(max=max(2, entries // 2))
    cache.resize(max=entries)
    yield "resize, back", lambda: cache.resize(max=entries)
    yield "isolated, in", aside.__enter__
    yield "isolated, out", lambda: aside.__exit__(None, None, None)
    yield "clear", cache.clear
    cache.clear()
    if dump.exists():
        yield "load", lambda: cache.load(dump)
        dump.unlink()


def operations(entries: int, chosen: str, folder: Path) -> list[Pauses]:
    """How long each operation takes whose name contains *chosen*, and how long others wait meanwhile."""
    found: list[Pauses] = []

    def measure(name: str, run: Callable[[], object], stock: _Stock, *, full: bool = True) -> None:
        if chosen not in name:
            return
        if full:
            stock.fill()
        stock.hit()
        gc.collect(0)
        found.append(while_it_runs(name, run, stock.hit, stock.miss))

    stock = _Stock(entries)
    for name, run in _on_function(stock, folder):
        measure(name, run, stock, full=name not in ("isolated, out", "load", "resize, back"))
    del stock
    told: list[None] = []
    stock = _Stock(entries, on_evict=lambda key, value, reason: told.append(None) if not told else None)
    measure("clear, on_evict", stock.cache.clear, stock)
    stock = _Stock(entries, tags=lambda x: ("odd",) if x % 2 else ("even",))
    measure("tag of entries", lambda: stock.registry.invalidate(tag="odd"), stock)
    stock = _Stock(entries, tags=("all",))
    measure("tag of all", lambda: stock.registry.invalidate(tag="all"), stock)
    stock = _Stock(entries, method=True)
    measure("clear, of an instance", stock.instance.fetch.cache.clear, stock)
    measure("death of an instance", lambda: setattr(stock, "instance", None), stock)
    return found


def _table(lines: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
    )


def calls_table(rows: list[Calls]) -> str:
    """A line for each size, and whether the calls cost as much as at the least size, beside the dictionary's."""
    lines = [["entries", "fill, ns", "hit", "miss", "dict: fill", "hit", "miss", "hit grew by", "miss grew by", ""]]
    for row in rows:
        hit, miss = _growth(rows[0], row)
        lines.append([
            f"{row.entries:,}", f"{row.fill:.0f}", f"{row.hit:.0f}", f"{row.miss:.0f}", f"{row.dict_fill:.0f}",
            f"{row.dict_hit:.0f}", f"{row.dict_miss:.0f}", f"{hit:.2f}", f"{miss:.2f}",
            "within" if max(hit, miss) <= FLAT else "OVER",
        ])  # fmt: skip
    return _table(lines)


def _growth(first: Calls, row: Calls) -> tuple[float, float]:
    """By how much a hit and a miss grew, as multiples of what those of the dictionary did."""
    hit = row.hit / first.hit / max(1.0, row.dict_hit / first.dict_hit)
    return hit, row.miss / first.miss / max(1.0, row.dict_miss / first.dict_miss)


def _within(pauses: Pauses) -> bool:
    return pauses.operation == "nothing" or (pauses.hit_ms <= HIT_MS and pauses.miss_ms <= MISS_MS)


def pauses_table(rows: list[Pauses]) -> str:
    """A line for each operation."""
    lines = [["operation", "takes, ms", "longest hit", "longest miss", "longest stretch", ""]]
    lines += [
        [
            row.operation,
            f"{row.ms:,.1f}",
            f"{row.hit_ms:.2f}",
            f"{row.miss_ms:.2f}",
            f"{row.stretch_ms:.2f}",
            "within" if _within(row) else "OVER",
        ]
        for row in rows
    ]
    return _table(lines)


def plot(path: str, rows: list[Calls], pauses: dict[int, list[Pauses]]) -> None:
    """Draw calls and pauses over the number of entries (extra: plot)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes = [row.entries for row in rows]
    for name, style in (("fill", "-"), ("hit", "-"), ("miss", "-"), ("dict_fill", ":"), ("dict_hit", ":"),
                        ("dict_miss", ":")):  # fmt: skip
        left.plot(sizes, [getattr(row, name) for row in rows], style, marker="o", label=name.replace("_", ": "))
    if rows:  # a logarithmic axis needs something to show
        left.set(xscale="log", yscale="log", xlabel="entries", ylabel="ns a call")
        left.legend()
    names = dict.fromkeys(row.operation for found in pauses.values() for row in found)
    for name in names:
        there = [(size, row) for size, found in pauses.items() for row in found if row.operation == name]
        # a logarithmic axis has no place for a thread that was not late at all
        lateness = [max(row.hit_ms, 0.001) for _, row in there]
        right.plot([size for size, _ in there], lateness, marker=".", label=name)
    right.axhline(HIT_MS, color="black", linestyle="--")
    right.set(xscale="log", yscale="log", xlabel="entries", ylabel="longest hit meanwhile, ms")
    right.legend(fontsize="x-small", ncols=2)
    figure.savefig(path)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--most", type=int, default=SIZES[-1], help="no more entries than this (default ten million)")
    parser.add_argument("--operation", default="", help="only operations whose name contains this")
    parser.add_argument("--no-calls", action="store_true", help="operations alone")
    parser.add_argument("--plot", metavar="PATH", help="draw it, as .svg, .png or .pdf (extra: plot)")
    parser.add_argument("--gate", action="store_true", help="exit with 1 if something is over its bound")
    parser.add_argument("--bars", action="store_true", help="all bars at the largest size, in less than twelve minutes")
    parser.add_argument("--seconds", type=float, default=720.0, help="when --bars ends, whatever is missing")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        print_part(options.part, options.most)
        return 0
    if options.bars:
        print(headline())
        return int(not bars(options.most, options.seconds))
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("--plot needs the package 'matplotlib': pip install '.[plot]'")
    sizes = [size for size in SIZES if size <= options.most] or [options.most]
    print(headline())
    gc.collect()
    gc.freeze()
    gc.disable()  # a full collection takes the longer the more objects there are, and strikes whatever runs
    rows: list[Calls] = []
    pauses: dict[int, list[Pauses]] = {}
    try:
        if not options.no_calls:
            rows = [calls(size) for size in sizes]
            print(calls_table(rows), flush=True)
        with tempfile.TemporaryDirectory() as folder:
            for size in sizes:
                pauses[size] = operations(size, options.operation, Path(folder))
                print(f"\n{size:,} entries\n{pauses_table(pauses[size])}", flush=True)
    finally:
        gc.enable()
        gc.unfreeze()
    if options.plot:
        plot(options.plot, rows, pauses)
    flat = all(max(_growth(rows[0], row)) <= FLAT for row in rows)
    kept = flat and all(_within(row) for found in pauses.values() for row in found)
    return int(options.gate and not kept)


if __name__ == "__main__":
    sys.exit(main())
