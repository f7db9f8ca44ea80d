"""Coroutines whose misses are led in their callers' tasks, for tests that step them by hand."""

import types
from collections.abc import Callable, Generator
from typing import Any

from memo import Registry, bounded


@types.coroutine
def pause(value: object = None) -> Generator[object, Any, Any]:
    """Wait for whoever steps it."""
    return (yield value)


class Loads:
    """A decorated function that waits for its own steps, in a loop that runs nothing else."""

    def __init__(self, **options: Any) -> None:
        self.calls: list[object] = []

        async def load(key: object, note: object = None) -> object:
            self.calls.append(key)
            try:
                return await self.work(key)
            finally:
                self.calls.append("left")

        async def work(key: object) -> object:
            return [key, await pause(key)]

        self.work: Callable[[Any], Any] = work
        self.home = Registry()
        options = {"ignore": ["note"], "max": 100, **options}
        self.load: Any = bounded(work="caller", registry=self.home, **options)(load)
        self.load("first").close()  # a call, after which C answers where it is there

    def kept(self, key: object) -> object:
        """The value that is stored under *key*; None: there is none."""
        entry = self.load.cache.entry(key)
        return None if entry is None else entry.value

    def figures(self) -> tuple[int, int, int, int, int]:
        """How many loads were begun, completed, failed, cancelled, and run now."""
        seen = self.load.cache.inflight.stats()
        return seen.started, seen.completed, seen.failed, seen.cancelled, seen.active
