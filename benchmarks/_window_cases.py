"""What ``sliding_window`` adds to a call, as cases for ``speed.py``: ratios to a hit of ``functools.lru_cache``."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

from _ratios import Ratio, Timed, by_path, interleaved, timed

from memo import sliding_window

__all__ = ("WINDOW_CASES", "window", "window_keys", "window_method", "window_text", "window_two")

# With what follows from them within the batch: events are entered into the window some hundreds at a time.
CALLS = 200_000


def _identity(x: Any) -> Any:
    return x


def _first(x: int, y: int) -> int:
    return x


class _Methods:
    def bare(self, x: int) -> int:
        return x

    @sliding_window("24h")
    def ours(self, x: int) -> int:
        return x


def _one(function: Callable[[Any], Any], x: Any) -> Timed:
    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            function(x)

    assert function(x) == x
    return timed(run, CALLS)


def _two(function: Callable[[int, int], int]) -> Timed:
    def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            function(7, 8)

    assert function(7, 8) == 7
    return timed(run, CALLS)


def _added(
    case: str, settings: str, bare: Timed, ours: Timed, handle: Any, rounds: int, in_c: float = 2.0, pure: float = 25.0
) -> Ratio:
    """What *ours* takes beyond *bare*, in hits of lru_cache; every call must have been counted."""
    before = handle.count()
    ratio = interleaved(
        case, f"24 h, max=10_000, {settings}, 1 thread; to a hit of lru_cache",
        _one(functools.lru_cache(maxsize=500)(_identity), 7), lambda: ours() - bare(), rounds,
        by_path(in_c, pure),
    )  # fmt: skip
    assert handle.count() == before + CALLS * (rounds + 1)
    return ratio


def window(rounds: int) -> Ratio:
    """f(7)."""
    ours = sliding_window("24h")(_identity)
    return _added(
        "sliding_window, added", "one int argument", _one(_identity, 7), _one(ours, 7), ours.window, rounds
    )  # fmt: skip


def window_text(rounds: int) -> Ratio:
    """f("alice")."""
    ours = sliding_window("24h")(_identity)
    return _added(
        "sliding_window, added", "one str argument", _one(_identity, "alice"), _one(ours, "alice"), ours.window, rounds
    )  # fmt: skip


def window_two(rounds: int) -> Ratio:
    """f(7, 8)."""
    ours = sliding_window("24h")(_first)
    return _added(
        "sliding_window, added", "two int arguments", _two(_first), _two(ours), ours.window, rounds, 3.0
    )  # fmt: skip


def window_keys(rounds: int) -> Ratio:
    """f("alice"), with the calls of a thousand keys counted beyond those that are kept."""
    ours = sliding_window("24h", keys=1_000)(_identity)
    return _added(
        "sliding_window, added", "one str argument, keys=1_000", _one(_identity, "alice"), _one(ours, "alice"),
        ours.window, rounds, 8.0,
    )  # fmt: skip


def window_method(rounds: int) -> Ratio:
    """obj.f(7)."""
    instance = _Methods()
    handle = _Methods.ours.window

    def bare(count: int) -> None:
        for _ in itertools.repeat(None, count):
            instance.bare(7)

    def ours(count: int) -> None:
        for _ in itertools.repeat(None, count):
            instance.ours(7)

    assert instance.bare(7) == instance.ours(7) == 7
    return _added(
        "sliding_window, added", "method, one int argument", timed(bare, CALLS), timed(ours, CALLS), handle,
        rounds, 2.5,
    )  # fmt: skip


WINDOW_CASES: dict[str, Callable[[int], Ratio]] = {
    case.__name__: case for case in (window, window_text, window_keys, window_two, window_method)
}
