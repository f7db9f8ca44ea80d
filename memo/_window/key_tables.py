"""Calls by key over the span, in memory that depends on neither the calls nor the number of their keys.

A *table* for each slice of the span (the slices of the totals' histograms) counts the calls of at most ``keys`` keys,
and what it cannot count it bounds.  It is Space-Saving (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent
and Top-k Elements in Data Streams, ICDT 2005), except that keys leave many at once: a table grows to twice its size,
then all but the largest ``keys`` go.  Tables of slices add up, as summaries of streams do (Agarwal et al.: Mergeable
Summaries, PODS 2012).

What holds of one table, with m = ``keys``, n the calls counted in it, and ``f(k)`` the calls of the key k:

- A key in the table has its *count* since it entered, and its *missed*, the table's *floor* as it entered.  Then
  ``count <= f(k) <= count + missed``; of a key outside, ``0 <= f(k) <= floor``.  For what leaves the table has
  ``count + missed`` of at most the new floor, which is the largest of these, and the floor never falls.
- ``floor <= n / m``.  Call ``count + missed`` of a key its *upper*.  After a pruning each of the m keys that stay has
  an upper of at least the floor, so that ``m * floor`` is at most the sum of all uppers.  That sum is at most n:
  besides calls it gains the floor for each key that enters, of which the next pruning takes as many away, and each of
  those has an upper of at least that same floor.
- So a key is counted exactly from the first call of the slice on if it came before the first pruning, and stayed:
  while there are at most 2m keys in a slice all are; and each key with more than n / m calls is in the table.

Over several slices counts, missed and floors add up: what is not known of a key is at most N / m of N calls.

A table's keys are values as ``stored_key()`` leaves them, told apart by their types too (1, 1.0 and True are three),
but for text that was made of a key, which equals a key that is that text.  No code of a user runs when they are
compared.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, TypeVar

from memo._base import KeyText, sizeof
from memo._window.events import Raw
from memo._window.totals import SLICES

__all__ = ("KeyTables", "Tally", "apart", "counted", "most_counted", "shown")

K = TypeVar("K")


class Tally(NamedTuple):
    """What is known of one key's calls."""

    calls: int = 0
    """Those that were counted."""
    errors: int = 0
    """Those of them that ended in an error."""
    at_least: int = 0
    at_most: int = 0

    def plus(self, more: Tally) -> Tally:
        """Of both together."""
        return Tally(*map(int.__add__, self, more))


def apart(key: object) -> object:
    """What a key, as ``stored_key()`` leaves it, is in a table: equal to that of no key of another type."""
    kind = type(key)
    if kind is str or kind is int or kind is KeyText:
        return key
    return (tuple(map(type, key)), key) if type(key) is tuple else (kind, key)


def shown(told: object) -> object:
    """The key that ``apart()`` has told apart; text is a plain ``str``."""
    if type(told) is tuple:
        return told[1]
    return str(told) if type(told) is KeyText else told


def counted(batch: Iterable[Raw]) -> tuple[Counter[object], Counter[object]]:
    """Calls and errors of some events by key."""
    keys, failed = [], []
    for raw in batch:
        key = raw[3]
        if type(key) is not str:
            key = apart(key)
        keys.append(key)
        if type(raw[2]) is tuple:
            failed.append(key)
    return Counter(keys), Counter(failed)


def most_counted(counts: Counter[K], n: int) -> list[tuple[K, int]]:
    """As ``Counter.most_common()``, which imports what it needs when called: as the interpreter ends nothing can be."""
    return heapq.nlargest(n, counts.items(), key=itemgetter(1))


class _Table:
    """The calls of one slice by key.  It does not change: ``plus()`` and ``pruned()`` make others."""

    __slots__ = ("_counts", "_errors", "_missed", "floor")

    def __init__(
        self, counts: dict[object, int], errors: dict[object, int], missed: dict[object, int], floor: int
    ) -> None:
        self._counts = counts
        self._errors = errors
        self._missed = missed
        self.floor: int = floor
        """Most calls that a key may have had which is not here."""

    def plus(self, batch: Iterable[Raw], keys: int) -> _Table:
        """With these events besides; pruned, if that makes more than twice as many keys as may stay."""
        counts, errors, missed, floor = self._counts.copy(), self._errors.copy(), self._missed.copy(), self.floor
        calls, failed = counted(batch)
        for key, times in calls.items():
            known = counts.get(key)
            if known is not None:
                counts[key] = known + times
            else:
                counts[key] = times
                if floor:
                    missed[key] = floor
        for key, times in failed.items():
            errors[key] = errors.get(key, 0) + times
        made = _Table(counts, errors, missed, floor)
        return made.pruned(keys) if len(counts) > 2 * keys else made

    def pruned(self, keys: int) -> _Table:
        """With the largest so many keys alone; of equals those stay that came first."""
        counts, missed = self._counts, self._missed
        if len(counts) <= keys:
            return self
        uppers = {key: count + missed[key] for key, count in counts.items() if key in missed}
        uppers = {**counts, **uppers}
        ordered = sorted(uppers, key=uppers.__getitem__, reverse=True)
        floor, stay = uppers[ordered[keys]], ordered[:keys]
        return _Table(
            {key: counts[key] for key in stay},
            {key: self._errors[key] for key in stay if key in self._errors},
            {key: missed[key] for key in stay if key in missed},
            floor,
        )

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[object]:
        return iter(self._counts)

    def of(self, key: object) -> Tally:
        """What is known of one key here."""
        count = self._counts.get(key)
        if count is None:
            return Tally(at_most=self.floor)
        return Tally(count, self._errors.get(key, 0), count, count + self._missed.get(key, 0))

    def check(self, keys: int) -> None:
        assert len(self) <= 2 * keys
        assert self._errors.keys() | self._missed.keys() <= self._counts.keys()
        assert all(0 < missed <= self.floor for missed in self._missed.values())
        assert all(count > 0 for count in self._counts.values())


_EMPTY = _Table({}, {}, {}, 0)


class KeyTables:
    """The tables of one window's slices, at most 26.  They do not change: ``plus()`` and ``without()`` make others.

    Between them they hold at most 27 times ``keys`` keys: twice as many as may stay in the newest slice, and so many in
    each other one.  A key takes 300 bytes at most in each of them, besides its own text or numbers, which tables share
    with the kept events where they can.

    Args:
        keys: Most keys of each slice that stay when it is pruned, 1 or more.
    """

    __slots__ = ("_slices", "keys")

    def __init__(self, keys: int, slices: dict[int, _Table] | None = None) -> None:
        self.keys: int = keys
        self._slices: dict[int, _Table] = slices or {}

    def plus(self, batch: Sequence[Raw], slice_of: Callable[[float], int]) -> KeyTables:
        """With events besides, ordered by their end, at least one.

        Args:
            batch: The events, with their ends in the window's own time.
            slice_of: The number of the slice that a time lies in.
        """
        slices = self._slices.copy()
        first, last = slice_of(batch[0][0]), slice_of(batch[-1][0])
        parts: Iterable[tuple[int, Iterable[Raw]]] = [(last, batch)]
        if first != last:
            parts = groupby(batch, lambda raw: slice_of(raw[0]))
        for number, part in parts:
            slices[number] = slices.get(number, _EMPTY).plus(part, self.keys)
        newest = max(slices)
        return KeyTables(
            self.keys,
            {
                number: table if number == newest else table.pruned(self.keys)
                for number, table in slices.items()
                if number > newest - SLICES
            },
        )

    def without(self, first: int) -> KeyTables:
        """Without the slices before this one."""
        if all(number >= first for number in self._slices):
            return self
        return KeyTables(self.keys, {number: table for number, table in self._slices.items() if number >= first})

    def of(self, key: object, cut: int) -> Tally:
        """What is known of one key's calls in the slice that an edge cuts, and all after it.

        Args:
            key: As ``apart()`` has told it from others.
            cut: The slice that the edge cuts: its calls count, and may all have been before the edge.
        """
        known = Tally()
        for number, table in self._slices.items():
            if number >= cut:
                more = table.of(key)
                known = known.plus(more if number > cut else more._replace(at_least=0))
        return known

    def counts(self, cut: int) -> Counter[object]:
        """The calls that were counted in that slice and all after it, by key."""
        counts: Counter[object] = Counter()
        for number, table in self._slices.items():
            if number >= cut:
                counts.update(table._counts)
        return counts

    def tracked(self) -> int:
        """How many keys are counted."""
        return len(set().union(*self._slices.values()))

    def bytes(self) -> int:
        """What they take, what is held elsewhere as well included."""
        return sizeof([(one._counts, one._errors, one._missed) for one in self._slices.values()])

    def check(self) -> None:
        assert len(self._slices) <= SLICES
        for number, table in self._slices.items():
            table.check(self.keys)
            assert number == max(self._slices) or len(table) <= self.keys
