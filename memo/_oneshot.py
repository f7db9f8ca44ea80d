"""Results that can be used only once, and so can be neither remembered nor shared."""

import inspect
import io
from typing import Any

__all__ = ("PLAIN", "refuse_one_shot")

PLAIN = frozenset({str, int, float, bool, bytes, list, tuple, dict, set, frozenset, type(None)})
"""Types whose instances need no look."""


def refuse_one_shot(name: str, value: Any) -> None:
    """Raise TypeError if *value* is a generator, an iterator or a coroutine object; open files may pass."""
    kind = type(value)
    if kind in PLAIN:
        return
    if inspect.iscoroutine(value):
        value.close()  # or it would warn that it was never awaited
        raise TypeError(
            f"{name}() returned a coroutine object, which can be awaited only once; "
            f"make it a coroutine function (async def), so that its result is remembered or shared."
        )
    if (hasattr(kind, "__next__") or hasattr(kind, "__anext__")) and not isinstance(value, io.IOBase):
        raise TypeError(
            f"{name}() returned an iterator of type {kind.__qualname__!r}, which can be used only once; "
            f"return a list or a tuple instead."
        )
