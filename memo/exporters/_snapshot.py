"""One snapshot of a registry for whoever shows it: taken at most once a second, by one thread for all that ask.

Figures of a thousand functions take some tens of milliseconds.  A scrape, an open page, a terminal and a meter that ask
within the same second get the same ones.  That is what this package's own decorators are for, so they do it here: in a
registry apart, where nobody sees them.
"""

import logging
import os
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from memo import FunctionStats, Record, Registry, bounded
from memo._base import real, unhurried
from memo.exporters._series import is_shared

__all__ = ("Functions", "Row", "Snapshot", "Snapshots", "Tier")

_SPARKS = 12  # characters of a sparkline
_AT_ONCE = 20  # functions between which no other thread gets its turn: half a millisecond

log = logging.getLogger("memo")

_apart = Registry()


Tier = Mapping[str, Any]
"""What one tier tells of itself: its figures by their names, as JSON has them."""


class Functions(Protocol):
    """A registry, or the part of one that its ``select()`` chose."""

    @property
    def tiers(self) -> tuple[Any, ...]:
        """The tiers that its functions share results through."""
        ...

    def __iter__(self) -> Iterator[Record]: ...

    def select(self, pattern: str | None = None) -> "Functions":
        """Those whose name matches."""
        ...


class Row(NamedTuple):
    """What one function tells of itself."""

    name: str
    stats: FunctionStats
    sparkline: str
    """The calls in its window; empty if it has none, or if that was not asked for."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Snapshot:
    """What all functions of a view told of themselves at one moment."""

    taken: float
    """When it was begun, by ``time.monotonic()``."""
    seconds: float
    """How long it took."""
    rows: list[Row]
    """In the order of names.  They keep no function alive."""
    tiers: tuple[Tier, ...] = ()
    """The tiers that they share results through, by name and server."""


class Snapshots:
    """The snapshots of one registry or selection.  Whoever shows one takes those that all share: ``Snapshots.of()``.

    Args:
        view: What they are of; not kept alive.
    """

    def __init__(self, view: Functions) -> None:
        self._view = weakref.ref(view)

    @classmethod
    def of(cls, view: Functions) -> "Snapshots":
        """Those of *view*, which live as long as it does."""
        shared = _shared.get(view)
        if shared is None:
            # Two threads that come here at once may get two of them; then some second has two snapshots.
            _shared[view] = shared = cls(view)
        return shared

    def latest(self, *, sparks: bool = False) -> Snapshot:
        """The latest snapshot, or a new one if that is a second old.

        From any thread, and blocking: one takes it, others that ask meanwhile wait for that one.  A function whose
        figures raise is left out, and logged to logger "memo" once a minute.  The second follows the default clock, so
        that a test with ``memo.testing.FakeClock`` advances it.

        Args:
            sparks: Whether sparklines are wanted, which are a quarter of the work.

        Raises:
            InflightTimeout: The thread that takes it has been at it for half a minute.
        """
        process = os.getpid()  # what a forked child inherits is about its parent
        if not sparks:
            drawn = self._taken.cache.entry(process, True)
            if drawn is not None:
                return drawn.value
        return self._taken(process, sparks)

    def expire(self) -> None:
        """Have the next one taken anew, however young the latest is: who begins to look misses no function."""
        self._taken.cache.clear()

    @bounded(max=100, ttl=1.0, timeout=30.0, registry=_apart)
    def _taken(self, process: int, sparks: bool) -> Snapshot:
        taken, begun = real.monotonic(), real.fine()
        rows = list(self._rows(_SPARKS if sparks else 0))
        return Snapshot(taken, real.fine() - begun, rows, self._tiers(rows))

    def _rows(self, sparks: int) -> Iterator[Row]:
        records = list(self._view() or ())
        for start in unhurried(range(0, len(records), _AT_ONCE)):
            for record in records[start : start + _AT_ONCE]:
                try:
                    stats, sparkline = record.shown(sparks)
                except Exception as error:  # of a clock, a policy, a cache that others made
                    self._tell(record.name, error)
                else:
                    yield Row(stats.name, stats, sparkline)

    def _tiers(self, rows: list[Row]) -> tuple[Tier, ...]:
        view = self._view()
        if view is None or not any(is_shared(row.stats) for row in rows):
            return ()
        told: list[Tier] = []
        for tier in view.tiers:
            try:
                told.append(tier.stats().as_dict())
            except Exception as error:
                self._tell(repr(tier), error)
        return tuple(sorted(told, key=lambda one: (one["name"], one["server"])))

    @bounded(max=1_000, ttl="1m", ignore=("error",), registry=_apart)
    def _tell(self, name: str, error: Exception) -> None:
        """Log that a function is left out, unless that was done within the last minute."""
        log.error("%s is left out of what is exported: its figures cannot be read", name, exc_info=error)


_shared: "weakref.WeakKeyDictionary[Functions, Snapshots]" = weakref.WeakKeyDictionary()
