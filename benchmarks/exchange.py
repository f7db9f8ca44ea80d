"""How much longer than S3-FIFO does the adaptive policy take for a request?

    python benchmarks/exchange.py [--traces DIR] [--only TRACE] [--accesses 60000] [--rounds 4]

Replays recorded accesses (see ``hit_ratio.py``) along the path that a store takes: a hit counts itself, a miss
exchanges one entry for another. Both policies run in turn; of each the least processor time of the rounds counts.
Prints microseconds a request at each size, their ratio, and the mean of the ratios. Where there are no traces, made-up
accesses are replayed.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from time import process_time
from typing import Any

from _ratios import headline
from _traces import options, to_replay

from memo._store import Entry, check_policy

__all__ = ("main", "request_us")

NAMES = ("s3fifo", "adaptive")


def request_us(policy: str, size: int, keys: Sequence[int]) -> float:
    """Microseconds a request of a policy with *size* entries."""
    cache: Any = check_policy("benchmark", policy)(size)
    entry_of, exchange = cache.nodes.get, cache.exchange
    gc.disable()
    try:
        began = process_time()
        for key in keys:
            entry = entry_of(key)
            if entry is not None:
                entry.hits += 1
                continue
            made: Any = Entry()
            made.hits = made.counted = 0
            if len(cache.nodes) < size:
                cache[key] = made
            else:
                exchange(key, made)
                cache.leaving = None
        return (process_time() - began) / len(keys) * 1e6
    finally:
        gc.enable()


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; exits with 1 if none of the traces that were asked for is there."""
    parser = options(__doc__, 60_000)
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="of which the fastest counts")
    args = parser.parse_args(argv)
    traces = to_replay(parser, args)
    print(headline())
    print(f"{'trace':14}{'entries':>8}" + "".join(f"{name:>10}" for name in NAMES) + f"{'ratio':>10}")
    ratios = []
    for read in traces:
        trace = read()
        keys = trace.keys[: args.accesses]
        for size in trace.sizes:
            rounds = [[request_us(name, size, keys) for name in NAMES] for _ in range(args.rounds)]
            plain, adaptive = map(min, zip(*rounds, strict=True))
            ratios.append(adaptive / plain)
            print(f"{trace.name:14}{size:8}{plain:10.2f}{adaptive:10.2f}{ratios[-1]:10.2f}", flush=True)
    print(f"{'mean of the ratios':42}{sum(ratios) / len(ratios):10.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
