"""What a store counts: how its entries answered, and why values left.

Invariants:

- ``Entry.hits`` is raised without a lock, by a reader who found the entry with no call in between.  ``Entry.counted``
  is what of it the sums here have; it is brought up to date when the entry leaves, and whenever somebody asks.
- Everything here is guarded by the store's lock.
"""

import itertools
from collections.abc import Hashable, Iterable, Iterator, MutableMapping
from typing import Any

from memo._native import speed
from memo._store.eviction import EvictionReason
from memo._store.large_table import IN_PARTS, LargeTable
from memo._store.parted import Parted

__all__ = ("LOOK", "Figures", "looks")

LOOK = 10_000
"""Entries whose hits are added up when somebody asks for figures: of so many all at one moment, of more ``_STEP`` at
a time, since those lie in none of the processor's caches, and 10,000 in one go took up to 5 ms; 2,500 took 6 where the
system had to make their memory available first."""
_STEP = 250
_REASONS = tuple((reason, reason.value) for reason in EvictionReason)


class Figures:
    """The counts of one store.

    Args:
        rich: Entries are ``RichEntry``.
    """

    HELD = ("_parts", "_round", "left", "left_for_size", "seen_error_hits", "seen_hits", "seen_stale_hits")
    """What is exchanged with those of a twin."""

    __slots__ = ("_rich", *HELD)

    def __init__(self, rich: bool) -> None:
        self._rich = rich
        self._parts: Iterator[Any] | None = None
        self._round: Iterator[Any] | None = None
        """How far adding up has come in a store of more than ``LOOK`` entries: the parts of the index, if any, and
        the entries, that are still to come."""
        self.left: dict[str, int] = {name: 0 for _, name in _REASONS}
        self.left_for_size: int = 0
        """Counted apart from ``left``, by ``put_lean()``, since every miss does it."""
        self.seen_hits: int = 0
        """Hits added up so far, those that answered stale or with a failure among them."""
        self.seen_stale_hits: int = 0
        self.seen_error_hits: int = 0

    def add_up(self, entry: Any) -> None:
        """Add to the sums what *entry* was hit since it was last looked at."""
        hits = entry.hits
        more = hits - entry.counted
        if not more:
            return
        entry.counted = hits
        self.seen_hits += more
        if self._rich:
            if entry.failure:
                self.seen_error_hits += more
            stale = entry.stale_hits
            self.seen_stale_hits += stale - entry.counted_stale
            entry.counted_stale = stale

    def add_late(self, failure: bool) -> None:
        """Count an answer, stale or (*failure*) with a remembered failure, of an entry that has left."""
        self.seen_hits += 1
        if failure:
            self.seen_error_hits += 1
        else:
            self.seen_stale_hits += 1

    def answers(self, index: MutableMapping[Hashable, Any]) -> tuple[int, int, int]:
        """All hits so far, on entries here and gone: on fresh values, on stale values and on remembered failures.

        Of more than ``LOOK`` entries those that ``look()`` has come to: what the others were hit since the last look
        at them is not in it yet.  Nothing is counted twice, and no figure ever goes back.

        Args:
            index: The entries that are here.
        """
        if len(index) <= LOOK:
            self.begin_again()
            self.look(index, LOOK)
            self.begin_again()
        stale, errors = self.seen_stale_hits, self.seen_error_hits
        return self.seen_hits - stale - errors, stale, errors

    def look(self, index: MutableMapping[Hashable, Any], most: int) -> None:
        """Add up the hits of the next entries, at most so many; at the end it begins anew.

        Args:
            index: The entries that are here.
            most: How many.
        """
        entries = self._round
        if entries is None:
            entries = self._entries(index)
        try:
            found = list(itertools.islice(entries, most))
        except RuntimeError:  # where the last look ended there are other entries than then
            if self._parts is not None:
                entries = itertools.chain.from_iterable(map(dict.values, self._parts))
            found = list(itertools.islice(entries, most))
        self._add_up_all(found)
        self._round = entries if len(found) == most else None  # at the end, once more from the beginning

    def _add_up_all(self, entries: list[Any]) -> None:
        if speed is not None and not self._rich:
            speed.add_up(self, entries)
            return
        for entry in entries:
            if entry.hits != entry.counted:
                self.add_up(entry)

    def _entries(self, index: MutableMapping[Hashable, Any]) -> Iterator[Any]:
        """All that are here."""
        if type(index) is LargeTable and not IN_PARTS:  # in C it goes on behind what has changed
            self._parts = None
            return iter(index.values())
        self._parts = iter(index.parts() if type(index) is Parted else (index,))
        return itertools.chain.from_iterable(map(dict.values, self._parts))

    def forget(self, entries: Iterable[Any]) -> None:
        """Begin counting anew.

        Args:
            entries: Those that are here, whose hits so far do not count any more.
        """
        for entry in entries:
            self.add_up(entry)
        self.__init__(self._rich)  # type: ignore[misc]

    def begin_again(self) -> None:
        """Look from the beginning the next time: all entries have left, or are in another index.

        What was to come is let go of: it would keep all that has left.
        """
        self._round = None
        self._parts = None

    def evictions(self) -> dict[EvictionReason, int]:
        """How many values left, by reason."""
        left = {reason: self.left[name] for reason, name in _REASONS}
        left[EvictionReason.SIZE] += self.left_for_size
        return left


def looks(size: int) -> list[int]:
    """How many entries of so many are looked at in a row, under the lock, each time; of few none apart."""
    return [] if size <= LOOK else [min(_STEP, LOOK - begin) for begin in range(0, LOOK, _STEP)]
