"""What maps keys to their running calls."""

from collections.abc import Hashable

from memo._flight.flight import InFlight
from memo._native import speed

__all__ = ("running_calls",)


def running_calls(in_caller: bool) -> dict[Hashable, InFlight]:
    """A dictionary for the running calls of a function, still empty.

    Args:
        in_caller: Work runs in the task of whoever leads it.  Then C, if it is there, makes no flight of a load before
            that waits or somebody looks into the dictionary, which finds it there: section 7 of
            ``memo/_native/_speed.c``.
    """
    return speed.Running() if in_caller and speed is not None else {}
