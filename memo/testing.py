"""For tests of programs that use this package: a clock that is advanced by hand."""

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Any

from memo._units import seconds

__all__ = ("FakeClock",)


class FakeClock:
    """A clock that stands still until it is advanced; give it as ``clock=``.

    Waits that a function decorated with this clock bounds by a deadline (``timeout=``) are released
    by ``advance()`` when it passes that deadline.  Safe from any thread.

    Args:
        now: The time it shows first, in seconds.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._waits: list[tuple[float, int, Callable[[], object]]] = []  # a heap, guarded by _lock
        self._revoked: set[int] = set()  # guarded by _lock

    def __call__(self) -> float:
        """The time in seconds."""
        return self._now

    def advance(self, span: Any) -> None:
        """Go forward by *span*: seconds, a timedelta, or text such as "1h30m"; "0s" and 0 are allowed.

        Releases, in order of their deadlines and in this thread, the waits that it passes.
        """
        target = self._now + seconds(span, where="FakeClock.advance", option="span", zero_ok=True)
        while True:
            with self._lock:
                if not self._waits or self._waits[0][0] > target:
                    self._now = max(self._now, target)
                    return
                when, number, wake = heapq.heappop(self._waits)
                self._now = max(self._now, when)
                if number in self._revoked:
                    self._revoked.discard(number)
                    continue
            wake()

    def call_at(self, when: float, wake: Callable[[], object]) -> Callable[[], object]:
        """Call *wake* once the clock reaches *when*; returns a function that takes this back."""
        with self._lock:
            number = next(self._order)
            heapq.heappush(self._waits, (when, number, wake))

        def revoke() -> None:
            with self._lock:
                if any(waiting == number for _, waiting, _ in self._waits):
                    self._revoked.add(number)

        return revoke

    def waiting(self) -> int:
        """How many waits an advance would release sooner or later."""
        with self._lock:
            return len(self._waits) - len(self._revoked)
