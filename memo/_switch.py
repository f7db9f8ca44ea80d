"""The off switch: in which contexts calls go straight to the function.

A context variable holds what is switched off, so that a switch holds for the thread or task that
turned it, and for the tasks that it starts, until it is turned back.  Which functions a switch
covers is asked of the view of the registry that turned it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

__all__ = ("Covers", "is_off", "off_for_good", "switched_off")


class Covers(Protocol):
    """Some decorated functions."""

    def covers(self, record: Any) -> bool:
        """Whether *record* is one of them."""
        ...


_off: ContextVar[tuple[Covers, ...]] = ContextVar("memo_off", default=())


def is_off(record: Any) -> bool:
    """Whether the function of *record* is switched off in the present context."""
    return any(view.covers(record) for view in _off.get())


@contextmanager
def switched_off(view: Covers) -> Iterator[None]:
    """Switch off the functions of *view* in the present context."""
    mark = _Mark(view)
    _off.set((*_off.get(), mark))
    try:
        yield
    finally:
        mark.covers = _nothing  # a task that outlives this, or a context that a generator left it in, keeps the mark
        # not reset(): the end may come in another context than the beginning, as in an async fixture
        _off.set(tuple(other for other in _off.get() if other.covers is not _nothing))


class _Mark:
    """One turn of the switch, told from others of the same view."""

    def __init__(self, view: Covers) -> None:
        self.covers: Callable[[Any], bool] = view.covers


def _nothing(record: Any) -> bool:
    return False


def off_for_good() -> bool:
    """Whether ``MEMO_DISABLE`` is set in the environment, to anything but nothing and 0."""
    return os.environ.get("MEMO_DISABLE", "").strip() not in ("", "0")
