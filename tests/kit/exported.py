"""What exporters are asked about."""

import contextlib
from collections.abc import Callable, Iterator

from kit.threads import Gate, Running
from memo import Registry, bounded

__all__ = ("ReadBy", "unreadable")


class ReadBy(dict[object, object]):
    """A cache that others made, whose figures cannot be read without calling its *look*."""

    maxsize: object = 3
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self) -> None:
        self.look: Callable[[], object] = lambda: None

    @property
    def currsize(self) -> int:
        self.look()
        return 0


@contextlib.contextmanager
def unreadable(registry: Registry, name: str) -> Iterator[None]:
    """Within the block a function of that name has figures that raise: it runs, and its clock is stuck."""

    def clock() -> float:
        if broken:
            raise OSError("the clock is stuck")
        return 0.0

    broken: list[int] = []
    gate = Gate()
    function = bounded(max=3, registry=registry, name=name, clock=clock)(gate.wait)
    running = Running(function)
    gate.reached()
    broken.append(1)
    try:
        yield
    finally:
        broken.clear()
        gate.open()
        running.join()
