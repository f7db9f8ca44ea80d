"""What a hit costs with the registry's features on, as a case for ``speed.py``."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import cachetools
from _ratios import Ratio, Timed, interleaved, timed

from memo import Registry, bounded

__all__ = ("REGISTRY_CASES", "features")

BATCH = 5_000
BATCHES = 20
SIZE = 500


def _identity(x: Any) -> Any:
    return x


def _hits(function: Callable[[Any], Any]) -> Timed:
    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            function(7)

    assert function(7) == 7
    batch = timed(run, BATCH)
    # The shortest of some short batches: one part in twenty is less than what a busy machine adds to a long one.
    return lambda: min(batch() for _ in range(BATCHES))


def features(rounds: int) -> Ratio:
    """f(7), present and fresh: with tags, janitor, adopted neighbours and a switch that was used, to the same alone."""
    plain = bounded(max=SIZE, ttl="1h", registry=Registry())(_identity)
    here = Registry()
    ours = bounded(max=SIZE, ttl="1h", tags=("users", "hot"), registry=here, name="bot.ours")(_identity)
    neighbours: list[Any] = [functools.lru_cache(maxsize=SIZE)(_identity), cachetools.TTLCache(SIZE, 3600)]
    for neighbour in neighbours:
        here.adopt(neighbour)
    with here.disabled("bot.*"):
        assert ours(7) == 7
    assert (len(here), ours.cache.stats().requests) == (1 + len(neighbours), 0)
    with here.janitor(every="50ms") as janitor:
        ratio = interleaved(
            "hit, registry's features on", f"max={SIZE}, ttl, all hits, 1 thread; to the same without them",
            _hits(plain), _hits(ours), rounds, 1.05,
        )  # fmt: skip
        assert janitor.alive
    stats = ours.cache.stats()
    assert (stats.misses, stats.hits) == (1, BATCH * BATCHES * (rounds + 1)), stats
    assert here.invalidate(tag="hot") == 1
    return ratio


REGISTRY_CASES: dict[str, Callable[[int], Ratio]] = {"features": features}
