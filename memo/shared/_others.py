"""Waiting for a load of another process.

The server said that another process loads the key, and for how long its lease lasts.  The line tells when that load
ends; so does a lease that ends by itself, as the process died; and whoever has waited for long enough loads alone.  Who
waits listens before asking the server, so that what ends in between is not missed.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from memo._base import bounded_gate, call_elsewhere, call_in, real

__all__ = ("AwaitedTurn", "Expects", "Turn")

_LATE_S = 0.002
"""How long after a lease's end the server is asked: it counts in milliseconds."""


class Expects(Protocol):
    """The line, as this module sees it."""

    def expect(self, function: bytes, digest: bytes, callback: Callable[[], object], /) -> Callable[[], object]:
        """Have *callback* called once, by another thread, as something was said about a key; returns what ends that."""
        ...


def _nothing() -> object:
    return None


class _AnyTurn:
    """A wait for one key.

    Args:
        line: Tells of loads that end.
        function: The function's label.
        digest: The key's.
        most_s: How long to wait, all in all.
    """

    __slots__ = ("_ends_at", "_expect", "cancel")

    def __init__(self, line: Expects, function: bytes, digest: bytes, most_s: float) -> None:
        self._ends_at = real.monotonic() + most_s
        self._expect = partial(line.expect, function, digest)
        self.cancel = _nothing
        """Ends it."""

    def listen(self) -> None:
        """Be told of what ends from now on."""
        self.cancel()
        self.cancel = self._expect(self._ring)

    def _ring(self) -> None:
        """Something has ended; called in the line's thread."""
        raise NotImplementedError


class Turn(_AnyTurn):
    """That of a thread, or greenlet."""

    __slots__ = ("_gate",)

    def __init__(self, line: Expects, function: bytes, digest: bytes, most_s: float) -> None:
        super().__init__(line, function, digest, most_s)
        self._gate = bounded_gate()

    def _ring(self) -> None:
        self._gate.open()

    def wait(self, lease_s: float) -> bool:
        """Wait until it is time to ask again, for a lease of so long; False: no more, the time is over."""
        left_s = self._ends_at - real.monotonic()
        if left_s <= 0:
            return False
        self._gate.wait(min(left_s, lease_s + _LATE_S))
        return True


class AwaitedTurn(_AnyTurn):
    """That of a coroutine; for one event loop."""

    __slots__ = ("_is_rung", "_loop", "_waiter")

    def __init__(self, line: Expects, function: bytes, digest: bytes, most_s: float) -> None:
        super().__init__(line, function, digest, most_s)
        self._loop = asyncio.get_running_loop()
        self._is_rung = False
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self, lease_s: float) -> bool:
        """Wait until it is time to ask again, for a lease of so long; False: no more, the time is over."""
        left_s = self._ends_at - real.monotonic()
        if left_s <= 0:
            return False
        if not self._is_rung:
            self._waiter = self._loop.create_future()
            timer = call_in(self._loop, min(left_s, lease_s + _LATE_S), self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        self._is_rung = False
        return True

    def _ring(self) -> None:
        call_elsewhere(self._loop, self._rung)

    def _rung(self) -> None:
        self._is_rung = True
        self._wake()

    def _wake(self, *_: Any) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
