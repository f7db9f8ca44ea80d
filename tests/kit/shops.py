"""What one process of a service does with a tier: a function that is shared, and the calls of it."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.crews import Door
from kit.threads import LIMIT_S, in_threads
from kit.truths import Truth

__all__ = ("Shop", "Traffic")


@dataclass
class Traffic:
    """What came of many calls."""

    errors: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """That each call took, in the order of their ends."""

    @property
    def calls(self) -> int:
        return len(self.seconds)

    @contextmanager
    def call(self, number: int) -> Iterator[None]:
        """One of them; what it raises is kept here."""
        began = time.perf_counter()
        try:
            yield
        except Exception as error:
            self.errors.append(f"{type(error).__name__} for {number}: {error}")
        self.seconds.append(time.perf_counter() - began)

    @property
    def longest_s(self) -> float:
        return max(self.seconds, default=0.0)


class Shop:
    """A process's tier, and ``price()``, a function of numbers that is shared through it.

    Args:
        door: Where loads stand, if they are to.
        url: Of the server.
        prefix: Of the tier.
        truth: What loads return; by default the number that they are asked for.
        load_s: What a load takes.
        awaited: ``price()`` is a coroutine function.
        using: Options of ``tier.using()``.
        bounds: Options of ``@bounded``.
        options: Of the tier; its timeout is longer than by default, since a busy machine takes its time.
    """

    def __init__(
        self,
        door: Door,
        url: str,
        prefix: str,
        truth: tuple[Path, int] | None = None,
        *,
        load_s: float = 0.0,
        awaited: bool = False,
        using: dict[str, Any] | None = None,
        bounds: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        from memo import Registry, bounded
        from memo.shared import Tier

        self._door = door
        self._truth = None if truth is None else Truth(*truth)
        self._load_s = load_s
        self._awaited = awaited
        self._counting = threading.Lock()
        self._loads = 0
        self.stands = False
        self.tier = Tier(url, prefix=prefix, **{"timeout": "2s", **options})
        self.registry = Registry()
        decorate = bounded(
            **{"max": 10_000, "ttl": "1h", "name": "shop.price", "tags": ("prices",), **(bounds or {})},
            registry=self.registry, shared=self.tier.using(**using) if using else self.tier,
        )  # fmt: skip
        self.price: Any = decorate(self._awaited_load if awaited else self._load)

    def _loaded(self, number: int) -> int:
        with self._counting:
            self._loads += 1
        found = number if self._truth is None else self._truth.read(number)
        if self.stands and self._door.wait(number) == "fail":
            raise LookupError(f"no price of {number}")
        return found

    def _load(self, number: int) -> int:
        found = self._loaded(number)
        if self._load_s:
            time.sleep(self._load_s)
        return found

    async def _awaited_load(self, number: int) -> int:
        found = self._loaded(number)
        if self._load_s:
            await asyncio.sleep(self._load_s)
        return found

    # -- single calls

    def stand(self, at_the_gate: bool) -> None:
        """Whether loads stand at the gate from now on, where they are told to go on, or to "fail"."""
        self.stands = at_the_gate

    def read(self, number: int) -> Any:
        return asyncio.run(self.price(number)) if self._awaited else self.price(number)

    def timed(self, number: int) -> tuple[Any, float]:
        """What a call returns, and the seconds that it takes."""
        began = time.perf_counter()
        return self.read(number), time.perf_counter() - began

    def refresh(self, number: int) -> Any:
        return asyncio.run(self.price.cache.refresh(number)) if self._awaited else self.price.cache.refresh(number)

    def put(self, number: int, value: int) -> None:
        self.price.cache.put(value, number)

    def invalidate(self, number: int) -> None:
        self.price.cache.invalidate(number)

    def invalidate_many(self, numbers: range) -> None:
        for number in numbers:
            self.invalidate(number)

    def clear(self) -> None:
        self.price.cache.clear()

    def drop_tag(self, tag: str = "prices") -> None:
        self.registry.invalidate(tag=tag)

    def has(self, number: int) -> bool:
        """Whether there is an entry here."""
        return number in self.price.cache

    def size(self) -> int:
        return len(self.price.cache)

    # -- many calls

    def crowd(self, number: int, callers: int) -> list[Any]:
        """So many callers at once; what each of them got, exceptions included."""
        if self._awaited:

            async def main() -> list[Any]:
                return await asyncio.gather(*(self.price(number) for _ in range(callers)), return_exceptions=True)

            return asyncio.run(main())
        barrier = threading.Barrier(callers)
        found: list[Any] = []

        def call() -> None:
            barrier.wait(LIMIT_S)
            try:
                found.append(self.price(number))
            except Exception as error:
                found.append(error)

        in_threads(call, callers)
        return found

    def each(self, numbers: range, threads: int = 1) -> Traffic:
        """Call for each number once in each thread, each in an order of its own."""
        traffic = Traffic()

        def call() -> None:
            shuffled = [*numbers]
            random.shuffle(shuffled)
            for number in shuffled:
                self._one_of(traffic, number)

        in_threads(call, threads)
        return traffic

    def begin_traffic(self, numbers: range, threads: int) -> None:
        """Call for numbers by chance until ``end_traffic()``."""
        self._is_over = threading.Event()
        self._traffic = Traffic()

        def call() -> None:
            while not self._is_over.is_set():
                self._one_of(self._traffic, random.choice(numbers))
                self._is_over.wait(0.0005)

        async def call_in_a_loop() -> None:
            while not self._is_over.is_set():
                await self._one_of_awaited(self._traffic, random.choice(numbers))
                await asyncio.sleep(0.0005)

        run = (lambda: asyncio.run(call_in_a_loop())) if self._awaited else call
        self._callers = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
        for caller in self._callers:
            caller.start()

    def calls_so_far(self) -> int:
        return self._traffic.calls

    def end_traffic(self) -> Traffic:
        self._is_over.set()
        for caller in self._callers:
            caller.join(LIMIT_S)
            assert not caller.is_alive(), "a call hangs"
        return self._traffic

    def _one_of(self, traffic: Traffic, number: int) -> None:
        with traffic.call(number):
            assert self.read(number) == number

    async def _one_of_awaited(self, traffic: Traffic, number: int) -> None:
        with traffic.call(number):
            assert await self.price(number) == number

    # -- what it can tell

    def loads(self) -> int:
        """How often the function ran."""
        return self._loads

    def stats(self, name: str) -> Any:
        return getattr(self.price.cache.stats(), name)

    def tier_stats(self, name: str) -> Any:
        return getattr(self.tier.stats(), name)

    def state(self) -> str:
        return self.tier.state

    def catch_up(self, timeout: str = "10s") -> None:
        self.tier.catch_up(timeout=timeout)

    def flush(self, timeout: str = "10s") -> None:
        self.tier.flush(timeout=timeout)

    def close(self) -> None:
        self.tier.close()

    def threads(self) -> list[str]:
        return sorted(thread.name for thread in threading.enumerate())
