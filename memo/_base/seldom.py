"""Saying seldom what may happen often."""

import math

from memo._base.real_time import real

__all__ = ("Seldom",)

_SPAN_S = 60.0


class Seldom:
    """Tells whether it is time to say something once more: at most once a minute, in real time."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = -math.inf

    def is_due(self) -> bool:
        """Whether nothing was said for a minute; then it counts as said now."""
        now = real.monotonic()
        if now < self._next:
            return False
        self._next = now + _SPAN_S
        return True
