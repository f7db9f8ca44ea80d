"""What is asked of a sliding window about one key, or about the keys with the most calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from memo._base import Tracked, stored_key
from memo._window.events import Raw
from memo._window.intake import Intake
from memo._window.key_tables import KeyTables, Tally, apart, counted, most_counted, shown
from memo._window.stats import KeyCount
from memo._window.totals import PER_SLICE

__all__ = ("KeyReader", "same_key")


class _Look(NamedTuple):
    """What a window knew at one moment."""

    raws: list[Raw]
    """The kept events of the time that is asked for."""
    others: int
    """How many more ended in that time, at most."""
    tables: KeyTables | None
    """The keys of all events, where kept ones do not suffice and keys are counted."""
    cut: int
    """The slice of the tables that the edge cuts."""


class KeyReader:
    """Answers about keys.

    The kept events answer while they are all that there were.  Beyond that the tables of keys do, if the window has
    any; else the kept events, and the number of the others is what is not known of each key.

    Args:
        intake: Whose events they are.
    """

    __slots__ = ("_intake",)

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def _look(self, last: float | None) -> _Look:
        intake = self._intake
        last_s = intake.length(last)

        def read() -> _Look:
            now, contents = intake.now(), intake.contents
            kept, totals = contents.kept, contents.totals
            raws = kept.within(now, last_s)
            if kept.covers(now, last_s):
                return _Look(raws, 0, None, 0)
            cut = totals.index(now - last_s)
            return _Look(raws, totals.since(cut)[0] - len(raws), contents.by_key, cut // PER_SLICE)

        return intake.folded(read)

    def of_key(self, key: object, last: float | None = None) -> KeyCount:
        """How many calls a key had in the last so many seconds; None: in all of the window."""
        told = apart(stored_key(key))
        look = self._look(last)
        if look.tables is not None:
            return _count(told, look.tables.of(told, look.cut))
        calls, failed = counted(look.raws)
        return _count(told, _of_kept(calls[told], failed[told], look.others))

    def top(self, n: int, last: float | None = None) -> list[KeyCount]:
        """The n keys of which the most calls were counted, those with the most first."""
        look = self._look(last)
        if look.tables is not None:
            tables, cut = look.tables, look.cut
            return [_count(told, tables.of(told, cut)) for told, _ in most_counted(tables.counts(cut), n)]
        calls, failed = counted(look.raws)
        return [_count(told, _of_kept(count, failed[told], look.others)) for told, count in most_counted(calls, n)]

    def tracked(self) -> Tracked | None:
        """The keys that are counted in tables; None where there are none."""
        tables = self._intake.folded(lambda: self._intake.contents.by_key)
        return None if tables is None else Tracked(tables.tracked(), None, tables.bytes())


def _of_kept(count: int, errors: int, others: int) -> Tally:
    return Tally(count, errors, count, count + others)


def _count(told: object, tally: Tally) -> KeyCount:
    return KeyCount(shown(told), *tally)


def same_key(key: object) -> Callable[[object], bool]:
    """Tells whether what a window has stored of a call's key is *key*."""
    told = apart(stored_key(key))
    return lambda other: apart(other) == told
