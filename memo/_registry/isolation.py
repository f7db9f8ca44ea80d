"""Whose results ``isolated()`` has set aside, so that nothing is asked or said of a tier about them."""

from typing import Any

from memo._base import Covers

__all__ = ("begin_apart", "end_apart", "is_apart")

_apart: list[tuple[object, Covers]] = []
"""A mark of each block that is entered now, and what it is about; no lock: each change of it is one step."""


def begin_apart(mark: object, subject: Covers) -> None:
    """Note that a block begins."""
    _apart.append((mark, subject))


def end_apart(mark: object) -> None:
    """Note that a block has ended; once more does no harm."""
    _apart[:] = [one for one in _apart if one[0] is not mark]


def is_apart(record: Any) -> bool:
    """Whether the results of the function of *record* are set aside."""
    return bool(_apart) and any(subject.covers(record) for _, subject in list(_apart))
