"""What the tests of several event loops share."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from kit.coroutines import a_loop, until_elsewhere
from kit.flights import Make, waiters
from kit.threads import LIMIT_S, Gate, Running, until

__all__ = (
    "Doomed",
    "Stage",
    "in_a_loop",
    "passing",
)


async def passing(gate: Gate) -> None:
    """Stand at *gate* without holding up the loop."""
    gate.entered.set()
    async with asyncio.timeout(LIMIT_S):
        while not gate.opened.is_set():
            await asyncio.sleep(0.0005)


def in_a_loop(main: Callable[[], Coroutine[Any, Any, Any]], kind: str = "asyncio") -> Running:
    """Run *main* in a new loop in a new thread."""

    def run() -> Any:
        with asyncio.Runner(loop_factory=lambda: a_loop(kind)) as runner:
            return runner.run(main())

    return Running(run)


class Stage:
    """A decorated coroutine function whose executions stand at gates, and that knows where they ran."""

    def __init__(self, make: Make, **options: Any) -> None:
        self.gates = [Gate() for _ in range(8)]
        self.threads: list[int] = []
        self.cancelled = 0

        async def work(name: str) -> list[str]:
            number = len(self.threads)
            self.threads.append(threading.get_ident())
            try:
                await passing(self.gates[number])
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return [name]

        self.fetch = make(work, **options)

    def lead(self, main: Callable[[], Coroutine[Any, Any, Any]] | None = None) -> Running:
        leader = in_a_loop(main or (lambda: self.fetch("a")))
        self.gates[0].reached()
        return leader

    def join(self, number: int = 1) -> list[Running]:
        before = sum(waiters(self.fetch))
        joiners = [in_a_loop(lambda: self.fetch("a")) for _ in range(number)]
        until(lambda: sum(waiters(self.fetch)) == before + number)
        return joiners


class Doomed:
    """A call in a loop of its own that is closed, without a word to its tasks, once *over* is true."""

    def __init__(self, fetch: Any, over: Callable[[], object]) -> None:
        self._callers: list[asyncio.Task[Any]] = []

        def run() -> None:
            loop = asyncio.new_event_loop()
            self._callers.append(loop.create_task(fetch("a")))
            loop.run_until_complete(until_elsewhere(over))
            loop.close()

        self.running = Running(run)

    def forget(self) -> None:
        """Drop the caller's task, of which asyncio would say that it was left pending."""
        for caller in self._callers:
            caller._log_destroy_pending = False  # type: ignore[attr-defined]
        self._callers.clear()
