"""What the tests of flights between coroutines share."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

__all__ = (
    "Work",
    "function_of",
)


class Work:
    """A coroutine function's body that can be watched and held."""

    def __init__(self, result: Callable[[], Any] = lambda: ["result"]) -> None:
        self.result = result
        self.opened = asyncio.Event()
        self.started = 0
        self.ended = 0
        self.cancelled = 0
        self.tasks: list[asyncio.Task[Any] | None] = []

    async def __call__(self, name: str = "a") -> Any:
        self.started += 1
        self.tasks.append(asyncio.current_task())
        try:
            await self.opened.wait()
            return self.result()
        except asyncio.CancelledError:
            self.cancelled += 1
            await asyncio.sleep(0)  # its end takes a while, and must be waited for
            await asyncio.sleep(0)
            raise
        finally:
            self.ended += 1


def function_of(work: Callable[..., Awaitable[Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def fetch(name: str = "a") -> Any:
        return await work(name)

    return fetch
