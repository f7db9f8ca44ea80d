"""Letting others run wherever code that holds a lock calls something: there, and nowhere else, threads take turns."""

import sys
from collections.abc import Callable
from typing import Any

__all__ = ("at_every_call", "interrupted")


def interrupted(operation: Callable[[], object], at: int, act: Callable[[], object], within: tuple[str, ...]) -> bool:
    """Run *operation*, and *act* in it at call or return number *at* of the code in files whose paths end *within*.

    Returns:
        Whether the operation got so far.
    """
    count = -1

    def profile(frame: Any, event: str, arg: object) -> None:
        nonlocal count
        if frame.f_code.co_filename.endswith(within):
            count += 1
            if count == at:
                sys.setprofile(None)
                act()

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        operation()
    finally:
        sys.setprofile(before)
    return count >= at


def at_every_call(trial: Callable[[int], bool]) -> int:
    """Try 0, 1, 2... until the operation is shorter than that; returns how many calls and returns there were."""
    at = 0
    while trial(at):
        at += 1
    return at
