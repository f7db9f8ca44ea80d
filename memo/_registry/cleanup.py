"""Cleaning up one record after another, in slices small enough that nobody waits for it."""

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from operator import add
from typing import TYPE_CHECKING

from memo._base import Pace
from memo._registry.stats import CleanupReport

if TYPE_CHECKING:
    from memo._registry.record import Part, Record

__all__ = ("alive", "sweep")

log = logging.getLogger("memo")


def alive(refs: Iterable["weakref.ref[Record]"]) -> Iterator["Record"]:
    """Those of the records that are still there, none of which is kept alive longer than its turn."""
    for ref in refs:
        record = ref()
        if record is not None:
            yield record
        del record


def _never() -> bool:
    return False


def sweep(records: "Iterable[Record]", enough: Callable[[], bool] = _never) -> CleanupReport:
    """Drop what is expired or stuck, slice by slice, until *enough* says so; other threads run in between."""
    began = time.perf_counter()
    went: dict[str, int] = {}
    counts = [0, 0, 0]
    pace = Pace()
    for record in records:
        before = sum(counts)
        for part in record.parts:
            _sweep_part(record, part, counts, pace, enough)
        if sum(counts) > before:
            went[record.name] = sum(counts) - before
        del record
        if enough():
            break
    expired, flights, events = counts
    return CleanupReport(expired, flights, events, time.perf_counter() - began, went)


def _sweep_part(record: "Record", part: "Part", counts: list[int], pace: Pace, enough: Callable[[], bool]) -> None:
    try:
        for slice_counts in part.sweep():
            counts[:] = map(add, counts, slice_counts)
            pace.rest()
            if enough():
                return
    except Exception:  # a clock or a policy of the user's own: the others are cleaned up all the same
        log.exception("%s: its clean-up was cut short", record.name)
