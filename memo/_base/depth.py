"""Whether there is room on the stack for an operation that must not be cut short half-way."""

from collections.abc import Callable

__all__ = ("need_depth",)

_DEPTH = 14
"""Calls within each other that a change of a store takes, with telling what left, and a listener's first ones; or the
launch of a task, the event loop's own among them."""


def _nested(levels: int) -> Callable[[], None]:
    """A function that nests so many calls and does nothing."""

    def last() -> None:
        pass

    def call_next() -> None:
        rest()

    if levels == 1:
        return last
    rest = _nested(levels - 1)
    return call_next


need_depth = _nested(_DEPTH)
"""Raises RecursionError unless there is room for it."""
