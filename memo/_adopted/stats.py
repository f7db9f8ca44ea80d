"""A frozen snapshot of what a cache that others made tells of itself."""

from memo._base import Snapshot, counter, frozen_dataclass

__all__ = ("AdoptedStats",)


@frozen_dataclass
class AdoptedStats(Snapshot):
    """The figures of a cache that others made.  What it does not know itself is None, never zero.

    ``later - earlier`` subtracts the counters; a difference is None unless both snapshots know the figure, and negative
    if the cache set its counters to zero in between, as ``functools.lru_cache`` does in ``cache_clear()``.
    """

    __module__ = "memo"

    name: str
    library: str
    """Package that the cache comes from: "functools", "async_lru", "cachetools" or another."""
    hits: int | None = counter(None)
    """Calls answered from the cache, as its ``cache_info()`` tells."""
    misses: int | None = counter(None)
    """Calls that were not, likewise."""
    size: int | None = None
    """Gauge: entries, also those past their life that nothing has removed yet."""
    max: int | None = None
    """Gauge: most entries; None if the cache is unbounded, bounded by weight, or does not tell."""
    weight: float | None = None
    """Gauge: sum of what the cache's ``getsizeof`` said of the values, in its own unit; None if it has none."""
    max_weight: float | None = None
    """Gauge: greatest weight; None if the cache is not bounded by weight."""
    bounded: bool | None = None
    """Gauge: whether the cache has any bound of number or weight; None if it does not tell."""

    @property
    def requests(self) -> int | None:
        """All calls; None if they are not counted."""
        return None if self.hits is None or self.misses is None else self.hits + self.misses

    @property
    def hit_ratio(self) -> float | None:
        """``hits / (hits + misses)``, 0.0 before the first call; None if they are not counted."""
        if self.hits is None or self.misses is None:
            return None
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else 0.0
