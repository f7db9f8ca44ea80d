"""What the options about freshness cost a hit, and what a stale answer costs, as cases for ``speed.py``."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

from _ratios import Ratio, Timed, by_path, interleaved, timed

from memo import Registry, bounded

__all__ = ("FRESH_CASES", "fresh_hit", "fresh_hit_awaited", "fresh_hit_method", "stale_hit", "stale_hit_lru")

BATCH = 5_000
BATCHES = 20
SIZE = 500
ON: dict[str, Any] = {
    "stale_while_revalidate": "1h",
    "stale_if_error": "1h",
    "soft_timeout": "100ms",
    "cache_errors": LookupError,
    "error_ttl": "10s",
    "jitter": 0.1,
}


def _identity(x: Any) -> Any:
    return x


def _best(run: Callable[[int], None]) -> Timed:
    """The shortest of some short batches: one part in twenty is less than what a busy machine adds to a long one."""
    batch = timed(run, BATCH)
    return lambda: min(batch() for _ in range(BATCHES))


def _hits(function: Callable[[Any], Any]) -> Timed:
    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            function(7)

    assert function(7) == 7
    return _best(run)


def _all_hits(ours: Any, rounds: int) -> None:
    stats = ours.cache.stats()
    assert (stats.misses, stats.hits) == (1, BATCH * BATCHES * (rounds + 1)), stats


def fresh_hit(rounds: int) -> Ratio:
    """f(7), present and fresh: with all options on, to the same with ttl alone."""
    plain = bounded(max=SIZE, ttl="1h")(_identity)
    ours = bounded(max=SIZE, ttl="1h", **ON)(_identity)
    ratio = interleaved(
        "hit, freshness options on", f"max={SIZE}, ttl, all hits, 1 thread; to ttl alone",
        _hits(plain), _hits(ours), rounds, by_path(1.15, 1.05),
    )  # fmt: skip
    _all_hits(ours, rounds)
    return ratio


class _Methods:
    @bounded(max=SIZE, ttl="1h")
    def plain(self, x: int) -> int:
        return x

    @bounded(max=SIZE, ttl="1h", **ON)
    def ours(self, x: int) -> int:
        return x


def fresh_hit_method(rounds: int) -> Ratio:
    """obj.f(7), the same."""
    instance = _Methods()

    def plain(x: int) -> int:
        return instance.plain(x)

    def ours(x: int) -> int:
        return instance.ours(x)

    ratio = interleaved(
        "hit, method, freshness options on", f"max={SIZE}, ttl, all hits, 1 thread; to ttl alone",
        _hits(plain), _hits(ours), rounds, by_path(1.15, 1.05),
    )  # fmt: skip
    _all_hits(_Methods.ours, rounds)
    return ratio


def fresh_hit_awaited(rounds: int) -> Ratio:
    """await f(7), the same."""

    async def bare(x: int) -> int:
        return x

    def hits(function: Any) -> Timed:
        def run(count: int) -> None:
            async def loop() -> None:
                for _ in itertools.repeat(None, count):
                    await function(7)

            asyncio.run(loop())

        assert asyncio.run(function(7)) == 7
        return _best(run)

    plain = bounded(max=SIZE, ttl="1h")(bare)
    ours = bounded(max=SIZE, ttl="1h", **ON)(bare)
    ratio = interleaved(
        "hit, awaited, freshness options on", f"max={SIZE}, ttl, all hits; to ttl alone",
        hits(plain), hits(ours), rounds, by_path(1.15, 1.05),
    )  # fmt: skip
    _all_hits(ours, rounds)
    return ratio


def _stale(policy: str, rounds: int) -> Ratio:
    """f(7), stale while its refresh runs: to a hit of the same options."""
    over, here = threading.Event(), Registry()
    loads: list[int] = []

    def slow(x: int) -> int:
        loads.append(x)
        if len(loads) > 1:
            over.wait()
        return x

    fresh = bounded(max=SIZE, ttl="1h", policy=policy, registry=here, **ON)(_identity)
    stale = bounded(max=SIZE, ttl=0.001, policy=policy, registry=here, **ON)(slow)
    stale(7)
    time.sleep(0.002)
    stale(7)  # begins the refresh
    ratio = interleaved(
        f"stale hit, {policy}", f"max={SIZE}, all options on, a refresh runs, 1 thread; to a hit",
        _hits(fresh), _hits(stale), rounds, by_path(3.5, 3.0),
    )  # fmt: skip
    stats = stale.cache.stats()
    assert (stats.misses, stats.stale_hits, len(loads)) == (1, BATCH * BATCHES * (rounds + 1) + 2, 2), stats
    over.set()
    return ratio


def stale_hit(rounds: int) -> Ratio:
    """Under the default policy, which takes no lock."""
    return _stale("adaptive", rounds)


def stale_hit_lru(rounds: int) -> Ratio:
    """Under one that must see every hit, and takes it."""
    return _stale("lru", rounds)


FRESH_CASES: dict[str, Callable[[int], Ratio]] = {
    case.__name__: case for case in (fresh_hit, fresh_hit_method, fresh_hit_awaited, stale_hit, stale_hit_lru)
}
