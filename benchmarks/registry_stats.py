"""What looking at the registry costs: the figures of 1,000 functions with 500 entries each.

    python benchmarks/registry_stats.py [--functions 1000] [--entries 500] [--rounds 15] [--gate]

With --gate the exit status is 1 if the median of ``registry.stats()`` is over 50 ms.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a command: the checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _ratios import headline, spread

from memo import Registry, bounded

__all__ = ("main", "measured")

BOUND_MS = 50.0


def measured(functions: int, entries: int, rounds: int) -> list[float]:
    """Milliseconds of processor time that each of so many calls of ``stats()`` took."""
    registry = Registry()

    def make() -> Any:
        @bounded(max=entries, ttl="1h", registry=registry)
        def function(x: int) -> int:
            return x

        return function

    kept = [make() for _ in range(functions)]
    for function in kept:
        for x in range(entries):
            function(x)
        function(0)
    figures = []
    for _ in range(rounds):
        began = time.thread_time()
        stats = registry.stats()
        figures.append((time.thread_time() - began) * 1e3)
        assert len(stats) == functions
        assert all(one.cache is not None and (one.cache.hits, one.cache.size) == (1, entries) for one in stats.values())
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--functions", type=int, default=1_000)
    parser.add_argument("--entries", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--gate", action="store_true", help="exit with 1 if the median is over the bound")
    options = parser.parse_args(arguments)
    print(headline())
    found = spread(measured(options.functions, options.entries, options.rounds))
    within = found.median <= BOUND_MS
    print(
        f"registry.stats() over {options.functions} functions of {options.entries} entries: {found.median:.1f} ms "
        f"(half of the rounds {found.low:.1f} to {found.high:.1f}), bound {BOUND_MS:g} ms: "
        f"{'within' if within else 'OVER'}"
    )
    return int(options.gate and not within)


if __name__ == "__main__":
    sys.exit(main())
