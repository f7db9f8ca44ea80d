"""Waiting until a line has come so far, in threads, greenlets and event loops.  Whoever waits holds nothing.

Who lets a waiter go on may be in another thread: a gate that the hub of the waiter's thread, if there is one, knows of.
"""

import asyncio
from collections.abc import Callable

from memo._base import Bell, bounded_gate, call_elsewhere, call_in, finish, real

__all__ = ("wait", "wait_awaited")

_LONGEST_S = 3600.0
"""Before another look; no system waits for as long as a user may say."""


def wait(bell: Bell, over: Callable[[], bool], hopeless: Callable[[], bool], seconds: float) -> bool:
    """Wait until *over*, looking at each ring of *bell*.

    Args:
        bell: Rung at each change.
        over: Whether there is no need to wait.
        hopeless: Whether there is no use in it.
        seconds: How long at most, in real time.

    Returns:
        Whether it is over.
    """
    ends = real.monotonic() + seconds
    gate = bounded_gate()
    bell.tell(gate)
    while not over():
        left_s = ends - real.monotonic()
        if left_s <= 0 or hopeless():
            return False
        gate.wait(min(left_s, _LONGEST_S))
    return True


async def wait_awaited(bell: Bell, over: Callable[[], bool], hopeless: Callable[[], bool], seconds: float) -> bool:
    """The same, in any event loop."""
    loop = asyncio.get_running_loop()
    ends = real.monotonic() + seconds
    while not over():
        future: asyncio.Future[None] = loop.create_future()
        gate = _LoopGate(loop, future)
        bell.tell(gate)
        left_s = ends - real.monotonic()
        if over():
            return True
        if left_s <= 0 or hopeless():
            return False
        timer = call_in(loop, left_s, finish, future)
        try:
            await future
        finally:
            timer.cancel()
    return True


class _LoopGate:
    """Where a coroutine waits until the bell rings."""

    __slots__ = ("__weakref__", "_future", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, future: "asyncio.Future[None]") -> None:
        self._loop = loop
        self._future = future

    def open(self) -> None:
        """Let it go on; in any thread."""
        call_elsewhere(self._loop, finish, self._future)
