"""Functions that share their results through a tier on paper, each in a registry of its own as in a process."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from kit.paper_tier import PaperLink
from memo import Registry, bounded
from memo._decorated.stack import layers_of

__all__ = ("KINDS", "MakeProcess", "Process")

KINDS = ("plain", "coroutine", "caller")
"""A plain function, a coroutine function, and one whose loads run in their callers' tasks."""


class Process:
    """One function in one process.

    Attributes:
        kind: Of KINDS.
        calls: What it was executed with.
        error: What it raises, if anything.
        result: What it returns; None: a text of its argument and the number of the execution.
        inside: Called within each execution.
    """

    def __init__(self, tier: Any, kind: str = "plain", home: Registry | None = None, **options: Any) -> None:
        self.kind = kind
        self.calls: list[Any] = []
        self.error: BaseException | None = None
        self.result: Any = None
        self.inside: Callable[[], object] = int
        self.registry = Registry() if home is None else home
        options = {"max": 10, "ttl": 60, "name": "load", "clock": getattr(tier, "clock", None), **options}
        if kind == "caller":
            options["work"] = "caller"

        def load(x: Any = "a") -> Any:
            return self._execute(x)

        async def load_awaited(x: Any = "a") -> Any:
            await asyncio.sleep(0)
            return self._execute(x)

        made: Any = bounded(**options, shared=tier, registry=self.registry)
        self.f: Any = made(load if kind == "plain" else load_awaited)
        self.link: PaperLink = next(layers_of(self.f)).link  # type: ignore[assignment]

    def _execute(self, x: Any) -> Any:
        self.calls.append(x)
        number = len(self.calls)
        self.inside()
        if self.error is not None:
            raise self.error
        return f"{x}{number}" if self.result is None else self.result

    @property
    def cache(self) -> Any:
        return self.f.cache

    @property
    def stats(self) -> Any:
        return self.f.cache.stats()

    def __call__(self, *args: Any) -> Any:
        return self.run(lambda: self.f(*args))

    def refresh(self, *args: Any) -> Any:
        return self.run(lambda: self.f.cache.refresh(*args))

    def run(self, call: Callable[[], Any]) -> Any:
        """What *call* returns, or the coroutine comes to that it returns."""

        async def main() -> Any:
            result = call()
            return await result if inspect.isawaitable(result) else result

        return asyncio.run(main()) if inspect.iscoroutinefunction(self.f) else call()

    def has(self, *args: Any) -> Any:
        """The value that is stored here."""
        info = self.f.cache.entry(*args)
        return None if info is None else info.value


MakeProcess = Callable[..., Process]
