"""What the tests of background loads share."""

import asyncio
from typing import Any

from kit.coroutines import until_async
from kit.threads import Gate, until
from memo import Registry, bounded
from memo.testing import FakeClock

__all__ = ("SWR", "TTL", "AsyncFetch", "Fetch")

TTL = 10


SWR = {"max": 8, "ttl": TTL, "stale_while_revalidate": 20}


class Fetch:
    """A decorated function of threads, whose loads stand at a gate while there is one."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.registry = Registry()
        self.gate: Gate | None = None
        self.executions = 0
        self.error: BaseException | None = None

        @bounded(**{"clock": self.clock, "registry": self.registry, **options})
        def fetch(name: str) -> str:
            self.executions += 1
            number = self.executions
            if self.gate is not None:
                self.gate.wait()
            if self.error is not None:
                raise self.error
            return f"{name}{number}"

        self.function: Any = fetch
        self.cache: Any = fetch.cache

    def __call__(self, name: str = "a") -> str:
        return self.function(name)  # type: ignore[no-any-return]

    def hold(self) -> Gate:
        self.gate = Gate()
        return self.gate

    def settle(self) -> None:
        pool, results = self.registry.pool, self.cache._cache
        until(lambda: not (results.jobs or results.table or pool.busy or pool.queued))


class AsyncFetch:
    """The same of coroutines; the gate opens without a loop."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.held = False
        self.executions = self.cancelled = 0
        self.error: BaseException | None = None

        @bounded(**{"clock": self.clock, "registry": Registry(), **options})
        async def fetch(name: str) -> str:
            self.executions += 1
            number = self.executions
            try:
                while self.held:
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            if self.error is not None:
                raise self.error
            return f"{name}{number}"

        self.function: Any = fetch
        self.cache: Any = fetch.cache

    async def __call__(self, name: str = "a") -> str:
        return await self.function(name)  # type: ignore[no-any-return]

    async def settle(self) -> None:
        self.held = False
        await until_async(lambda: not (self.cache._cache.jobs or self.cache._cache.table))

    @property
    def idle(self) -> bool:
        return not (self.cache._cache.jobs or self.cache._cache.table)
