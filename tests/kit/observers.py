"""Those who watch executions, and note what they are told."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from memo import Registry
from memo._base import Load, observe_loads

__all__ = ("Noting", "observed", "span")

span: ContextVar[str] = ContextVar("span", default="none")
"""What an observer binds while a function runs, as a tracer does."""


class Noting:
    """Notes what it is told, and binds ``span`` to the name of each load while that runs."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.number = 0

    def begin(self, load: Load) -> Any:
        self.number += 1
        name = f"{load.record.name}/{self.number}"
        self.seen.append(("begin", name, load.trigger, load.key(), span.get()))
        return name, span.set(name)

    def end(self, begun: Any, outcome: str, joined: int, error: BaseException | None) -> None:
        name, mark = begun
        self.seen.append(("end", name, outcome, joined, type(error).__name__))
        with contextlib.suppress(ValueError):
            span.reset(mark)

    def joined(self, begun: Any) -> None:
        self.seen.append(("joined", begun[0], span.get()))

    def take(self) -> list[tuple[Any, ...]]:
        """What was seen since this was last asked for."""
        seen, self.seen = self.seen, []
        return seen


@contextlib.contextmanager
def observed(own: Registry) -> Iterator[Noting]:
    """An observer of all functions of *own*, within the block."""
    noting = Noting()
    stop = observe_loads(own, noting)
    try:
        yield noting
    finally:
        stop()
