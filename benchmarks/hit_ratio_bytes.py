"""What does each policy keep under a bound by bytes?

    python benchmarks/hit_ratio_bytes.py [--traces DIR] [--only TRACE] [--accesses 100000]

Replays recorded accesses (see ``hit_ratio.py``) through policies that weigh their values. The sizes are made up, from
the key alone, so that they are the same in each run: *even* ones lie between 500 and 700 bytes, *skewed* ones follow a
Pareto distribution (exponent 1.1, from 400 bytes to 2 MB: most are small, a few hold most of the bytes). Bounds are
as large as the first two numbers of entries of each trace in the mean. Prints hit ratios, and the mean of each policy.
Where there are no traces, made-up accesses are replayed.
"""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable, Sequence
from typing import Any

import cachetools
from _ratios import headline
from _traces import options, to_replay

from memo.policies import AdaptiveCache, S3FIFOCache

__all__ = ("SIZES", "hit_ratio", "main")

POLICIES: dict[str, Callable[..., Any]] = {
    "adaptive": AdaptiveCache,
    "s3fifo": S3FIFOCache,
    "lru": cachetools.LRUCache,
}


def even(key: int) -> int:
    return int(random.Random(key).uniform(500, 700))


def skewed(key: int) -> int:
    return int(min(2e6, 400 * random.Random(key).paretovariate(1.1)))


SIZES = {"even": even, "skewed": skewed}


def hit_ratio(cache: Any, keys: Sequence[int]) -> float:
    """The share of *keys* that *cache*, whose values are keys, answers; what is larger than all of it is not stored."""
    hits = 0
    for key in keys:
        if cache.get(key) is not None:
            hits += 1
            continue
        try:
            cache[key] = key
        except ValueError:
            pass
    return hits / len(keys)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; exits with 1 if none of the traces that were asked for is there."""
    parser = options(__doc__, 100_000)
    args = parser.parse_args(argv)
    traces = to_replay(parser, args)
    print(headline())
    print(f"{'trace':14}{'sizes':8}{'entries':>8}" + "".join(f"{name:>10}" for name in POLICIES))
    ratios: dict[str, list[float]] = {name: [] for name in POLICIES}
    for read in traces:
        trace = read()
        keys = trace.keys[: args.accesses]
        for kind, size_of in SIZES.items():
            weigh = functools.cache(size_of)
            mean = sum(map(weigh, set(keys))) / len(set(keys))
            for entries in trace.sizes[:2]:
                print(f"{trace.name:14}{kind:8}{entries:8}", end="", flush=True)
                for name, policy in POLICIES.items():
                    ratios[name].append(hit_ratio(policy(int(entries * mean), weigh), keys))
                    print(f"{ratios[name][-1]:10.4f}", end="", flush=True)
                print()
    print(f"{'mean':30}" + "".join(f"{sum(found) / len(found):10.4f}" for found in ratios.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
