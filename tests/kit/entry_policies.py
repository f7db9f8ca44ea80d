"""What the tests of the stores' policies share."""

from collections.abc import Callable
from typing import Any

import pytest

from memo._store.entries import Entry, WeighedEntry
from memo._store.entry_adaptive import EntryAdaptive
from memo._store.entry_s3fifo import EntryS3FIFO
from memo._store.entry_sieve import EntrySieve
from memo._store.frequency import EntryLFU
from memo._store.orders import EntryFIFO, EntryLRU, EntryRandom

__all__ = (
    "OWN",
    "Sly",
    "every_own",
    "make_entry",
)

OWN = (EntryLRU, EntryLFU, EntryFIFO, EntryRandom, EntryS3FIFO, EntrySieve, EntryAdaptive)

every_own = pytest.mark.parametrize("kind", OWN)


def make_entry(value: Any, size: int | None = None) -> Any:
    entry: Any = Entry() if size is None else WeighedEntry()
    entry.value, entry.deadline, entry.stored, entry.hits, entry.counted = value, 10.5, 0.5, 0, 0
    if size is not None:
        entry.size = size
    return entry


class Sly:
    """A key of a hash that all share, whose comparison does what it is told."""

    asked: Callable[[], object] | None = None

    def __init__(self, name: int) -> None:
        self.name = name

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        ask, Sly.asked = Sly.asked, None
        if ask is not None:
            ask()
        return isinstance(other, Sly) and other.name == self.name
