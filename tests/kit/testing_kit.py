"""What the tests of ``memo.testing`` share."""

from collections.abc import Callable
from typing import Any

from kit.threads import Gate
from memo._decorated.layer import Layer
from memo._decorated.stack import layers_of

__all__ = (
    "Counted",
    "check",
    "counted",
    "layer",
    "through",
)


class Counted:
    """A function that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        return (x, self.calls)


def counted(*decorators: Callable[[Any], Any]) -> tuple[Any, Counted]:
    """A decorated function, and the one below."""
    original = Counted()

    def load(x: Any) -> Any:
        return original(x)

    decorated: Any = load
    for decorator in decorators:
        decorated = decorator(decorated)
    return decorated, original


def through(gate: Gate, value: Any) -> Any:
    """Stand at the gate, then return *value*."""
    gate.wait()
    return value


def layer(function: Any) -> Layer:
    return next(layers_of(function))


def check(*functions: Any) -> None:
    """Check the invariants of their stores."""
    for function in functions:
        for part in layers_of(function):
            if part.kind == "cache":
                part.cache.store._check()  # type: ignore[attr-defined]
                assert part.read("index") is part.cache.store.index  # type: ignore[attr-defined]
