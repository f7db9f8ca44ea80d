"""A callable in some placement, with what it was called with."""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = (
    "Build",
    "Decorate",
    "Log",
    "Placed",
    "finished",
    "of",
)

Decorate = Callable[[Any], Any]


class Log(list[Any]):
    """What was executed; makes the function fail while ``error`` is set."""

    error: BaseException | None = None

    def append(self, item: Any) -> None:
        super().append(item)
        if self.error is not None:
            raise self.error


@dataclass
class Placed:
    """Something decorated: how to reach it, and what its executions were.

    Args:
        calls: One item for each execution.
        get: Gives the callable anew, as ``obj.fetch`` would.
        another: The same of another instance; None where there is no instance.
        owner: The class in whose body it stands, if ``owner.fetch`` takes the instance first.
        instance: The instance that ``get`` binds.
    """

    calls: Log
    get: Callable[[], Any]
    another: Callable[[], Any] | None = None
    owner: Any = None
    instance: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return finished(self.get()(*args, **kwargs))


def finished(value: Any) -> Any:
    """The value itself, or what awaiting it gives."""
    if inspect.isawaitable(value):

        async def wait() -> Any:
            return await value

        return asyncio.run(wait())
    return value


def of(kind: Any, calls: Log, make: Callable[[], Any] | None = None) -> Placed:
    """A placement whose function is the method ``fetch`` of *kind*."""
    make = make or kind
    instance, other = make(), make()
    return Placed(calls, lambda: instance.fetch, lambda: other.fetch, kind, instance)


Build = Callable[[Decorate], Placed]
