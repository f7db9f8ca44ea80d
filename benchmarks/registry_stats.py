"""What looking at the registry costs: 1,000 functions with 500 entries each, and 10,000 of all kinds that were called.

    python benchmarks/registry_stats.py [--functions 1000] [--entries 500] [--many 10000] [--rounds 15] [--gate]

With --gate the exit status is 1 if the median of ``registry.stats()`` is over 50 ms for the first, or that of
``registry.stats()`` or ``print(registry)`` over 300 ms for the others.
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

from _ratios import Spread, headline, spread

from memo import Registry, bounded, dedupe_inflight, sliding_window

__all__ = ("main", "measured", "measured_many")

BOUND_MS = 50.0
BOUND_OF_MANY_MS = 300.0


def _milliseconds(look: Callable[[], object], rounds: int) -> list[float]:
    """Milliseconds of processor time that each of so many looks took."""
    figures = []
    for _ in range(rounds):
        began = time.thread_time()
        look()
        figures.append((time.thread_time() - began) * 1e3)
    return figures


def measured(functions: int, entries: int, rounds: int) -> list[float]:
    """Those of ``stats()`` of so many functions with so many entries each."""
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
    figures = _milliseconds(registry.stats, rounds)
    stats = registry.stats()
    assert len(stats) == functions == len(kept)
    assert all(one.cache is not None and (one.cache.hits, one.cache.size) == (1, entries) for one in stats.values())
    return figures


def measured_many(functions: int, rounds: int) -> dict[str, list[float]]:
    """Those of looks at so many functions of three kinds, each called twice."""
    registry = Registry()
    kinds = (
        bounded(max=10, ttl="1h", registry=registry),
        dedupe_inflight(registry=registry),
        sliding_window("1h", registry=registry),
    )

    def make(number: int) -> Any:
        def function(x: int) -> int:
            return x

        function.__qualname__ = f"function_{number}"
        return kinds[number % len(kinds)](function)

    kept = [make(number) for number in range(functions)]
    for function in kept:
        function(7), function(7)
    gc.collect()
    gc.freeze()  # a full collection goes through all that was decorated, whoever looks
    try:
        found = {
            "registry.stats()": _milliseconds(registry.stats, rounds),
            "print(registry)": _milliseconds(registry.__str__, rounds),
        }
    finally:
        gc.unfreeze()
    assert len(registry.stats()) == functions
    assert str(registry).count("function_") >= functions
    return found


def _verdict(what: str, found: Spread, bound_ms: float) -> bool:
    within = found.median <= bound_ms
    print(
        f"{what}: {found.median:.1f} ms (half of the rounds {found.low:.1f} to {found.high:.1f}), "
        f"bound {bound_ms:g} ms: {'within' if within else 'OVER'}"
    )
    return within


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--functions", type=int, default=1_000)
    parser.add_argument("--entries", type=int, default=500)
    parser.add_argument("--many", type=int, default=10_000, help="functions of all kinds (default 10000)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--gate", action="store_true", help="exit with 1 if a median is over its bound")
    options = parser.parse_args(arguments)
    print(headline())
    found = spread(measured(options.functions, options.entries, options.rounds))
    kept = [
        _verdict(f"registry.stats() over {options.functions} functions of {options.entries} entries", found, BOUND_MS)
    ]
    for look, figures in measured_many(options.many, options.rounds).items():
        kept.append(_verdict(f"{look} over {options.many} functions", spread(figures), BOUND_OF_MANY_MS))
    return int(options.gate and not all(kept))


if __name__ == "__main__":
    sys.exit(main())
