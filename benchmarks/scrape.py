"""What ``memo.exporters.prometheus.MemoCollector`` costs: a scrape, for each function, and a hit, which costs nothing.

    python benchmarks/scrape.py [--functions 1000] [--rounds 15] [--gate]

Medians of processor time: of a scrape as Prometheus gets it, of collecting alone, and the ratio of a hit of a program
that is scraped to one of the same program that is not, in turns.  With --gate the exit status is 1 if a scrape takes
more than 120 microseconds for each function, or the ratio is over 1.1.  Needs ``prometheus_client``.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command: the checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _ratios import headline, spread
from prometheus_client import CollectorRegistry, generate_latest

from memo import Registry, bounded
from memo.exporters.prometheus import MemoCollector
from memo.testing import FakeClock

__all__ = ("main", "measured")

SCRAPE_BOUND_US = 120.0
HIT_BOUND = 1.1
HITS = 50_000


def _seconds(act: Callable[[], object]) -> float:
    began = time.thread_time()
    act()
    return time.thread_time() - began


def _hits(function: Any) -> None:
    for _ in range(HITS):
        function(1)


def measured(functions: int, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Microseconds of a scrape and of collecting, for each function, and ratios of hits."""
    registry = Registry()

    def make(number: int) -> Any:
        def function(x: int) -> int:
            return x

        function.__qualname__ = f"function_{number}"
        return bounded(max=100, ttl="1h", registry=registry)(function)

    kept = [make(number) for number in range(functions)]
    for function in kept:
        for x in (1, 2, 1, 1):
            function(x)
    collector, client = MemoCollector(registry), CollectorRegistry()
    scrapes, collections, ratios = [], [], []
    with FakeClock() as clock:  # which has a snapshot be old when it is wanted
        for _ in range(rounds):
            bare = _seconds(lambda: _hits(kept[0]))
            client.register(collector)
            scrapes.append(_seconds(lambda: generate_latest(client)) * 1e6 / functions)
            ratios.append(_seconds(lambda: _hits(kept[0])) / bare)
            client.unregister(collector)
            clock.advance(1)
            collections.append(_seconds(collector.collect) * 1e6 / functions)
            clock.advance(1)
    return scrapes, collections, ratios


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--functions", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a median is over its bound")
    options = parser.parse_args(arguments)
    print(headline())
    scrape, collection, hit = map(spread, measured(options.functions, options.rounds))
    kept = [scrape.median <= SCRAPE_BOUND_US, hit.median <= HIT_BOUND]
    print(
        f"a scrape of {options.functions} functions: {scrape.median:.0f} us for each (half of the rounds "
        f"{scrape.low:.0f} to {scrape.high:.0f}), {collection.median:.0f} of it to collect, bound "
        f"{SCRAPE_BOUND_US:g}: {'within' if kept[0] else 'OVER'}"
    )
    print(f"a hit: {hit.median:.2f} times, bound {HIT_BOUND:g}: {'within' if kept[1] else 'OVER'}")
    return int(options.gate and not all(kept))


if __name__ == "__main__":
    sys.exit(main())
