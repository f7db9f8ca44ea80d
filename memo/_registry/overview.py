"""The figures of many functions, collected in one pass."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from memo._base import SEVERAL, unhurried
from memo._registry.record import Record
from memo._registry.stats import FunctionStats

__all__ = ("Row", "overview", "rows_of")


class Row(NamedTuple):
    """What one function tells of itself at one moment."""

    record: Record
    stats: FunctionStats
    sparkline: str
    """The calls in its window; empty if it has none, or if that was not asked for."""


def rows_of(records: Iterable[Record], *, sparks: int = 0) -> Iterator[Row]:
    """A row for each of *records*, in their order: the one way by which figures leave a registry.

    What shows them (``stats()``, tables, JSON, an exporter that asks each second) takes these rows and asks no record
    again.  Each store, table of running calls and window is asked once for its figures, and once for its sparkline if
    that is wanted.  No handle is made, and no layer that was never called makes what it would work with.

    No lock is held from one function to the next, and other threads get their turn in between: the figures of two
    functions may be of two moments.

    Args:
        records: The functions.
        sparks: How many characters a window's sparkline is to have; 0: none is drawn.
    """
    for record in unhurried(records, runs=SEVERAL):
        yield Row(record, *record.shown(sparks))


def overview(records: Iterable[Record], *, sparks: int = 0) -> list[Row]:
    """All rows of ``rows_of()``.  To let go of thousands in one go takes some milliseconds."""
    return list(rows_of(records, sparks=sparks))
