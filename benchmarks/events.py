"""What ``registry.subscribe()`` costs a call, in the thread that makes it, and what it costs to subscribe.

    python benchmarks/events.py [--rounds 21] [--functions 1000]

A call of a function that is told of and one of another take turns in each round: the ratio, and the microseconds that
it takes more, both as medians of processor time.  The callback does nothing, in the subscription's own thread.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command: the checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _ratios import headline, spread

from memo import Registry, bounded

__all__ = ("delay", "main", "measured", "subscribing")

SIZE = 500
CALLS = 3_000

Timed = Callable[[Any], float]


def hits(function: Any) -> float:
    function(0)
    began = time.thread_time()
    for _ in range(10 * CALLS):
        function(0)
    return (time.thread_time() - began) / (10 * CALLS)


def loads(function: Any) -> float:
    """Of which five sixths evict an entry."""
    function.cache.clear()
    began = time.thread_time()
    for x in range(CALLS):
        function(x)
    return (time.thread_time() - began) / CALLS


CASES: list[tuple[str, Timed, tuple[str, ...] | None]] = [
    ("hit, told of everything", hits, None),
    ("load, told of loads", loads, ("load",)),
    ("load, told of errors, of which none", loads, ("error",)),
    ("load that evicts, told of evictions", loads, ("eviction",)),
    ("load that evicts, told of everything", loads, None),
]


def plain(x: int) -> int:
    return x


def _nothing(event: object) -> None:
    pass


def measured(rounds: int) -> list[tuple[str, float, float]]:
    """Of each case the ratio, and the microseconds more."""
    rows = []
    for case, time_of, kinds in CASES:
        told, untold = Registry(), Registry()
        ours, bare = (bounded(max=SIZE, registry=one)(plain) for one in (told, untold))
        ratios, differences = [], []
        with told.subscribe(_nothing, kinds=kinds) as subscription:
            for _ in range(rounds):
                gc.collect()
                before, after = time_of(bare), time_of(ours)
                subscription.drain()  # its thread is not to take turns with the next round
                ratios.append(after / before)
                differences.append((after - before) * 1e6)
        rows.append((case, spread(ratios).median, spread(differences).median))
    return rows


def subscribing(functions: int, rounds: int) -> float:
    """Milliseconds a function in use that it takes to subscribe, and as many to close."""
    registry = Registry()
    kept = [bounded(max=SIZE, registry=registry, name=f"f{number}")(plain) for number in range(functions)]
    for function in kept:
        function(1)
    taken = []
    for _ in range(rounds):
        began = time.thread_time()
        subscription = registry.subscribe(_nothing, kinds="error")
        taken.append(time.thread_time() - began)
        subscription.close()
    return spread(taken).median / functions * 1e3


def delay(rounds: int) -> float:
    """Milliseconds until an event reaches a callback whose thread was asleep."""
    registry = Registry()
    function = bounded(max=SIZE, registry=registry)(plain)
    reached: list[float] = []
    taken = []
    with registry.subscribe(lambda event: reached.append(time.perf_counter())) as subscription:
        for x in range(rounds):
            subscription.drain()
            time.sleep(0.01)
            function(x)
            began = time.perf_counter()
            subscription.drain()
            taken.append(max(0.0, reached[-1] - began))
    return spread(taken).median * 1e3


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--functions", type=int, default=1_000)
    options = parser.parse_args(arguments)
    print(headline())
    for case, ratio, more in measured(options.rounds):
        print(f"{case:<38}{ratio:6.2f} times, {more:+6.2f} us")
    each = subscribing(options.functions, min(options.rounds, 5))
    print(f"subscribing beside {options.functions:,} functions in use: {each:.2f} ms a function")
    print(f"an event reaches its callback after {delay(options.rounds):.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
