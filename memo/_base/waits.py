"""How coroutines wait without leaving anything behind.

A timer or a callback keeps the context in which it was asked for, and a loop keeps a cancelled timer until its time
would have come.  So all that is asked of a loop here is asked in an empty context, and refers to what must not live
as long by weak references alone.
"""

import asyncio
import types
from collections.abc import Generator
from contextvars import Context
from typing import Any

from memo._base.loop_time import call_in

__all__ = ("finish", "one_step", "until")


def finish(future: asyncio.Future[None]) -> None:
    """Let go on who waits for *future*; called in the thread of its loop."""
    if not future.done():
        future.set_result(None)


@types.coroutine
def one_step() -> Generator[None, None, None]:
    """Let the loop run all that is due before the present task goes on."""
    yield


async def until(
    end: asyncio.Future[Any], over: asyncio.Future[None], loop: asyncio.AbstractEventLoop, seconds: float
) -> None:
    """Wait until *end* is done, or *over*, or so long at most."""
    if end.done():
        return

    def ring(end: object) -> None:
        finish(over)

    end.add_done_callback(ring, context=Context())
    timer = call_in(loop, max(0.0, seconds), finish, over)
    try:
        await over
    finally:
        timer.cancel()
        end.remove_done_callback(ring)
