"""What the calls of a ``bounded`` function turned out to be, and the figures of its store."""

from typing import Any, NamedTuple

from memo._cache.stats import CacheStats
from memo._cache.tier_link import LinkFigures
from memo._flight import Counters
from memo._store import Store

__all__ = ("CallCounts", "Leased", "figures", "shared_figures")


class CallCounts:
    """What neither entries nor flights count.

    Plain additions to attributes: with the interpreter's global lock no other thread runs between reading and writing
    one, since no call stands in between.
    """

    __slots__ = (
        "absent", "fallbacks", "found", "joins", "load_seconds", "misses", "overruled", "rejected", "served", "unheard"
    )  # fmt: skip

    def __init__(self) -> None:
        self.misses: int = 0
        """Calls that led a load, of those that a stale value might have answered, or that a background load answered
        that they began: counted at their end, when it is known what they were.  Flights count the others."""
        self.joins: int = 0
        """Calls that waited for a load which another began, of those."""
        self.rejected: int = 0
        """Values returned but not stored."""
        self.fallbacks: int = 0
        """Calls answered with a default or fallback in place of an error; each counts as what it was, too."""
        self.absent: int = 0
        """Loads of a key that turned out to have no value, which to flights are failures."""
        self.found: int = 0
        """Loads that the tier answered, which to flights are executions."""
        self.served: int = 0
        """Calls that led such a load, of all that led one."""
        self.unheard: int = 0
        """Values that left without a call of ``on_evict`` that ended."""
        self.overruled: int = 0
        """Values that ``on_evict`` was told of though they were leased."""
        self.load_seconds: float = 0.0
        """Those that the loads which returned took together."""

    def count(self, led: bool, found: bool = False) -> None:
        """Count a call that is answered by a load, by one of its own that the tier answered, or gets its error."""
        if led:
            self.misses += 1
            self.served += found
        else:
            self.joins += 1

    def forget(self) -> None:
        """Begin anew."""
        self.misses = self.joins = self.rejected = self.fallbacks = self.absent = self.overruled = self.unheard = 0
        self.found = self.served = 0
        self.load_seconds = 0.0


class Leased(NamedTuple):
    """What is leased at one moment."""

    number: int = 0
    oldest: float | None = None
    """Seconds since the oldest lease began."""


def figures(
    name: str, store: Store, counters: Counters, counts: CallCounts, leased: Leased, link: LinkFigures | None = None
) -> CacheStats:
    """The figures of one function, each a sum of what was counted; called with the store's lock held."""
    hits, stale_hits, error_hits = store.answers()
    return CacheStats(
        name=name,
        hits=hits,
        misses=counters.led + counts.misses,
        joins=counters.joins + counts.joins,
        stale_hits=stale_hits,
        error_hits=error_hits,
        loads=counters.completed + counts.absent - counts.found,
        load_errors=counters.failed + counters.cancelled - counters.called_off - counts.absent,
        load_seconds=counts.load_seconds,
        refreshes=counters.refreshes,
        rejected=counts.rejected,
        size=len(store.index),
        max=store.max_entries,
        bytes=int(store.cache.currsize) if store.weighed else None,
        max_bytes=store.max_bytes,
        evictions=store.evictions(),
        small_share=store.small_share,
        fallbacks=counts.fallbacks,
        leases=leased.number,
        oldest_lease=leased.oldest,
        overruled=counts.overruled,
        unheard=counts.unheard,
        **({} if link is None else shared_figures(link, counts.served)),
    )


def shared_figures(link: LinkFigures, served: int) -> dict[str, Any]:
    """The figures that a function has whose results are shared, by their names.

    Args:
        link: What came of the questions to the tier.
        served: Calls that led a load which the tier answered.
    """
    return {**{f"l2_{name}": figure for name, figure in link._asdict().items()}, "l2_served": served}
