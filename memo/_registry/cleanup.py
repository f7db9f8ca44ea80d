"""Cleaning up one record after another, in slices small enough that nobody waits for it."""

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from memo._base import Pace, Swept, real
from memo._registry.parts import HasParts, Part
from memo._registry.stats import CleanupReport

__all__ = ("alive", "sweep")

log = logging.getLogger("memo")

R = TypeVar("R")


def alive(refs: Iterable["weakref.ref[R]"]) -> Iterator[R]:
    """Those of the records that are still there, none of which is kept alive longer than its turn."""
    for ref in refs:
        record = ref()
        if record is not None:
            yield record
        del record


def _never() -> bool:
    return False


def sweep(records: Iterable[HasParts], enough: Callable[[], bool] = _never) -> CleanupReport:
    """Drop what is expired or stuck, slice by slice, until *enough* says so; other threads run in between."""
    began = real.fine()
    went: dict[str, int] = {}
    everywhere = Swept()
    pace = Pace()
    for record in records:
        here = Swept()
        for part in record.parts:
            here = here.plus(_sweep_part(record, part, pace, enough))
        if here.total:
            went[record.name] = here.total
        everywhere = everywhere.plus(here)
        del record
        if enough():
            break
    seconds = real.fine() - began
    return CleanupReport(everywhere.entries, everywhere.flights, everywhere.events, seconds, went, everywhere.keys)


def _sweep_part(record: HasParts, part: Part, pace: Pace, enough: Callable[[], bool]) -> Swept:
    swept = Swept()
    try:
        for more in part.sweep():
            swept = swept.plus(more)
            pace.rest()
            if enough():
                break
    except Exception:  # a clock or a policy of the user's own: the others are cleaned up all the same
        log.exception("%s: its clean-up was cut short", record.name)
    return swept
