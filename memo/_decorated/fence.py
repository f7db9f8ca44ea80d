"""Fences in the other layers of a stack, around a change that makes outdated what one of them holds."""

import contextlib
from contextlib import AbstractContextManager

from memo._call import Call
from memo._registry import Part, Record

__all__ = ("fence_around",)

_NOTHING: AbstractContextManager[None] = contextlib.nullcontext()


class _Fence:
    """Fences the layers *below* and *above*, each given innermost first, and those above again at the end.

    No generator: one that is interrupted between its making and its first step would go on when it is collected.
    """

    __slots__ = ("_above", "_below", "_call")

    def __init__(self, above: tuple[Part, ...], below: tuple[Part, ...], call: Call | None) -> None:
        self._above = above
        self._below = below
        self._call = call

    def __enter__(self) -> None:
        for part in (*self._below, *self._above):
            part.fence(self._call)

    def __exit__(self, *exception: object) -> None:
        for part in self._above:
            part.fence(self._call)


def fence_around(part: Part, record: Record | None, call: Call | None) -> AbstractContextManager[None]:
    """Fence the running calls of the parts of *record* other than *part*: those of one call, or all (None).

    Those below before the change, so that it is not undone by what they hand out.  Those above before it,
    and again after it: a flight that was begun up there meanwhile may have been given the old value.
    """
    parts = () if record is None else record.parts
    if len(parts) < 2:
        return _NOTHING
    here = next(place for place, one in enumerate(parts) if one is part)
    return _Fence(tuple(reversed(parts[:here])), tuple(reversed(parts[here + 1 :])), call)
