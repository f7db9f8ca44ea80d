"""What the tests of several event loops share."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from kit.coroutines import a_loop
from kit.flights import Make, waiters
from kit.threads import LIMIT_S, Gate, Running, until

__all__ = (
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
