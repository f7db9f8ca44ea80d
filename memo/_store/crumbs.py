"""What is large is freed bit by bit: in one go it would keep every other thread waiting, lock or no lock."""

from collections.abc import Callable, Iterator
from typing import Any

from memo._base import Pace
from memo._store.large_table import LargeTable, taken
from memo._store.parted import Parted

__all__ = ("crumbs", "free")

_CRUMB = 4
"""Items that are freed in one go; see ``Pace.let_go()``."""


def crumbs(heaps: list[Any]) -> Iterator[int]:
    """Free what *heaps*, lists and tables, hold, and the tables within those, a bit at a time; how many items.

    Cut short, it goes on where it was if it is called again.
    """
    while heaps:
        heap = heaps[-1]
        if type(heap) is Parted:  # one in C loses items as a dictionary does
            heirs = heap.heirs()
            heap.give_away(heirs)
            heaps[-1:] = heirs
        elif heap:
            yield _take_off(heap, heaps)
        else:
            del heaps[-1]
        del heap


def _take_off(heap: Any, heaps: list[Any]) -> int:
    if type(heap) is list:
        del heap[-_CRUMB:]
        return _CRUMB
    for _ in range(min(_CRUMB, len(heap))):
        _, item = heap.popitem()
        if type(item) is LargeTable:
            heaps.append(item)
    return _CRUMB


def free(table: LargeTable[Any, Any], remains: list[Any], before: Callable[[list[Any]], object]) -> None:
    """Free what *table* has, and then *remains*, while other threads get their turn.

    Args:
        table: Nobody needs it any more.
        remains: Lists and tables.
        before: Called with some values before they go.
    """
    pace = Pace(blocking=True)  # it may be a finalizer
    for entries in taken(table):
        before(entries)
        pace.let_go(entries)
        pace.rest()
    for _ in crumbs(remains):
        pace.rest()
