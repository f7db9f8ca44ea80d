"""What ``limit`` adds to a call, as cases for ``speed.py``: ratios to a hit of ``functools.lru_cache``."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

from _ratios import Ratio, Timed, interleaved, timed

from memo import limit

__all__ = ("LIMIT_CASES", "limit_exact", "limit_grouped", "limit_key")

CALLS = 20_000
BOUND = 150.0


def _identity(x: Any) -> Any:
    return x


def _one(function: Callable[[Any], Any]) -> Timed:
    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            function("alice")

    assert function("alice") == "alice"
    return timed(run, CALLS)


def _added(case: str, settings: str, ours: Any, rounds: int) -> Ratio:
    """What *ours* takes beyond the bare function, in hits of lru_cache; every call must have been let in."""
    bare, limited = _one(_identity), _one(ours)
    before = ours.limit.stats().allowed
    ratio = interleaved(
        case, f"{settings}, 1 thread; to a hit of lru_cache",
        _one(functools.lru_cache(maxsize=500)(_identity)), lambda: limited() - bare(), rounds, BOUND,
    )  # fmt: skip
    assert ours.limit.stats().allowed == before + CALLS * (rounds + 1)
    return ratio


def limit_exact(rounds: int) -> Ratio:
    """Up to 128 calls, each of which is remembered."""
    ours = limit((100, 1e-5))(_identity)
    return _added("limit, added", "at most 128 calls in a span", ours, rounds)


def limit_grouped(rounds: int) -> Ratio:
    """More calls, remembered by 32nds of the span."""
    ours = limit("1_000_000_000/1h")(_identity)
    return _added("limit, added", "more calls in a span", ours, rounds)


def limit_key(rounds: int) -> Ratio:
    """A key of the user's, and calls that wait if need be."""
    ours = limit((100, 1e-5), key=lambda x: x, when_full="delay")(_identity)
    return _added("limit, added", "key=, when_full='delay', at most 128 calls", ours, rounds)


LIMIT_CASES: dict[str, Callable[[int], Ratio]] = {
    case.__name__: case for case in (limit_exact, limit_grouped, limit_key)
}
