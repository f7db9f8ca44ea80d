"""The clock of a decorated function, exchangeable while it runs."""

import time
import weakref
from collections.abc import Callable
from typing import Any

__all__ = ("Clock", "call_when", "following_default")

ReadClock = Callable[[], float]

following_default: "weakref.WeakSet[Clock]" = weakref.WeakSet()
"""The clocks of functions that were given none, so that a test's clock can stand in for all of them."""


class Clock:
    """What time it is for one function: seconds that never go back, from an arbitrary start.

    ``read`` is called without arguments.  Whoever keeps a copy of it for speed (a generated
    wrapper's namespace) is told by ``on_exchange``.
    """

    __slots__ = ("__weakref__", "_told", "read")

    def __init__(self, read: ReadClock | None = None) -> None:
        self.read: ReadClock = read if read is not None else time.monotonic
        self._told: list[Callable[[ReadClock], object]] = []
        if read is None:
            following_default.add(self)

    def on_exchange(self, tell: Callable[[ReadClock], object]) -> None:
        """Call *tell* with the function that reads the time, now and at each exchange."""
        self._told.append(tell)
        tell(self.read)

    def exchange(self, read: ReadClock) -> None:
        """Read the time from *read* from now on."""
        self.read = read
        for tell in self._told:
            tell(read)


def call_when(read: ReadClock, when: float, wake: Callable[[], object]) -> Callable[[], object] | None:
    """Have a clock that is advanced by hand call *wake* once it reaches *when*.

    Returns what takes that back; None for a clock that runs by itself, whose waits follow real time.
    """
    call_at: Any = getattr(read, "call_at", None)
    return None if call_at is None else call_at(when, wake)
