"""What is kept, and what leaves: forms of entries, and policies whose order is a ring of them.

Imports ``memo._policies`` and ``memo._stats``, and nothing else of the package.
"""

from memo._store.departures import Departures, Gone
from memo._store.entries import Entry, Failure, IdleEntry, RichEntry, WeighedEntry
from memo._store.entry_policy import EntryPolicy
from memo._store.entry_s3fifo import EntryS3FIFO
from memo._store.frequency import EntryLFU
from memo._store.orders import EntryFIFO, EntryLRU, EntryRandom

__all__ = (
    "Departures", "Entry", "EntryFIFO", "EntryLFU", "EntryLRU", "EntryPolicy", "EntryRandom", "EntryS3FIFO", "Failure",
    "Gone", "IdleEntry", "RichEntry", "WeighedEntry",
)  # fmt: skip
