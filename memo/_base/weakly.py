"""Calls upwards: what lies below tells what holds it, and must not keep it alive."""

import weakref
from collections.abc import Callable
from typing import Any

__all__ = ("Weakly",)


class Weakly:
    """A bound method that does not keep its object alive; once that is gone, a call does nothing.

    A decorated function holds its layers, these what they are made of, and so on down.  Where nothing points up,
    reference counts alone let go of all of it, at once.

    Args:
        method: The bound method.
        default: What a call returns once the object is gone.
    """

    __slots__ = ("_default", "_function", "_owner")

    def __init__(self, method: Callable[..., Any], default: Any = None) -> None:
        self._owner = weakref.ref(method.__self__)  # type: ignore[attr-defined]
        self._function: Callable[..., Any] = method.__func__  # type: ignore[attr-defined]
        self._default = default

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        owner = self._owner()
        return self._default if owner is None else self._function(owner, *args, **kwargs)
