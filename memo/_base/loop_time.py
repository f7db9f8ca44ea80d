"""Timers of an event loop that ring after so much real time.

asyncio's own loops look ``time.monotonic`` up at each look at it.  While a test has exchanged it (freezegun, which
does unless ``real_asyncio=True``; ``unittest.mock.patch``), none of their timers rings; as it is exchanged, those that
wait ring all at once; and what was asked for meanwhile rings decades after.  A deadline must neither be lost nor come
early for that.  So a timer here looks whether it is due by real time, and has a thread ring where the loop's time is
not the machine's.

A loop with a ``time()`` of its own (uvloop; loops of tests whose time runs as fast as they like) is believed.
"""

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

from memo._base.real_time import real

__all__ = ("Timer", "call_elsewhere", "call_in", "now_of")

_EARLY_S = 0.05  # a loop rings early by its clock's resolution, and a thread's timer has no better one
_APART_S = 1.0  # the loop's time is read a moment after the machine's


def call_in(loop: asyncio.AbstractEventLoop, seconds: float, call: Callable[..., object], *args: Any) -> "Timer":
    """Have *loop*, the running one, call *call* in so many seconds, in an empty context."""
    return Timer(loop, seconds, call, args)


def now_of(loop: asyncio.AbstractEventLoop) -> float:
    """The time by which the timers of *loop* ring: the machine's, or its own."""
    return real.monotonic() if _reads_time(loop) else loop.time()


class Timer:
    """One call in the future, until it is cancelled; for the loop's thread.  Refers to what it calls until then."""

    __slots__ = ("__weakref__", "_args", "_call", "_ends", "_handle", "_loop")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, call: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self._loop = loop
        self._call: Callable[..., object] | None = call
        self._args = args
        self._ends = real.monotonic() + seconds
        self._handle: asyncio.TimerHandle | threading.Timer
        self._wait(seconds)

    def cancel(self) -> None:
        """Call nothing any more, and refer to nothing."""
        self._call, self._args = None, ()
        self._handle.cancel()

    def _wait(self, seconds: float) -> None:
        loop = self._loop
        if not _reads_time(loop) or abs(loop.time() - real.monotonic()) < _APART_S:
            self._handle = loop.call_later(seconds, self._ring, context=Context())
            return
        self._handle = threading.Timer(seconds, call_elsewhere, (loop, self._ring))
        self._handle.daemon = True
        self._handle.start()

    def _ring(self) -> None:
        call, args = self._call, self._args
        if call is None:
            return
        left_s = self._ends - real.monotonic()
        if left_s > _EARLY_S and _reads_time(self._loop):
            self._wait(left_s)
            return
        self._call, self._args = None, ()
        call(*args)


def _reads_time(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether *loop* tells the time as asyncio's do."""
    return getattr(type(loop), "time", None) is asyncio.BaseEventLoop.time


def call_elsewhere(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: Any) -> None:
    """Have *loop*, of whichever thread, call *call*, unless that loop is closed or is just being closed."""
    try:
        loop.call_soon_threadsafe(call, *args, context=Context())
    except RuntimeError:
        pass
