"""What a hit costs under the policies that move entries, as cases for ``speed.py``."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

from _ratios import Ratio, by_path, interleaved, timed

from memo import bounded

__all__ = ("POLICY_CASES",)

BATCH = 50_000
SIZE = 500


def _identity(x: int) -> int:
    return x


def _calls(function: Callable[[int], int], keys: range) -> Callable[[int], None]:
    for key in range(SIZE):
        assert function(key) == key

    def run(count: int) -> None:
        for key in itertools.islice(itertools.cycle(keys), count):
            function(key)

    return run


def _hits(case: str, policy: Any, keys: range, rounds: int, bound: float) -> Ratio:
    theirs, ours = functools.lru_cache(maxsize=SIZE)(_identity), bounded(max=SIZE, policy=policy)(_identity)
    what = f"max={SIZE}, no ttl, all hits, {len(keys)} of the keys in turn; to lru_cache"
    return interleaved(case, what, timed(_calls(theirs, keys), BATCH), timed(_calls(ours, keys), BATCH), rounds, bound)


def hit_lru(rounds: int) -> Ratio:
    """f(7) under "lru"."""
    return _hits("hit, policy lru", "lru", range(7, 8), rounds, by_path(1.5, 4.0))


def hit_lru_in_turn(rounds: int) -> Ratio:
    """Each of all keys under "lru": the one that was used longest ago each time."""
    return _hits("hit, policy lru, in turn", "lru", range(SIZE), rounds, by_path(1.5, 4.2))


def hit_lfu(rounds: int) -> Ratio:
    """f(7) under "lfu"."""
    return _hits("hit, policy lfu", "lfu", range(7, 8), rounds, by_path(1.5, 4.2))


def hit_lfu_in_turn(rounds: int) -> Ratio:
    """Each of all keys under "lfu": the one that would go first each time."""
    return _hits("hit, policy lfu, in turn", "lfu", range(SIZE), rounds, by_path(1.5, 5.5))


POLICY_CASES: dict[str, Callable[[int], Ratio]] = {
    case.__name__: case for case in (hit_lru, hit_lru_in_turn, hit_lfu, hit_lfu_in_turn)
}
