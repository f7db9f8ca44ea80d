"""Frozen snapshots of a store: what its counters say at one moment.

Each counter is defined here, beside its field: which event raises it, which does not.
Snapshots of one function subtract: in ``later - earlier`` a counter is the difference, and a
gauge (marked so below) keeps the later value.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Generic, NamedTuple, TypeVar

from memo._base import Frozen, FrozenDict, Snapshot, counter, counter_where_there, freeze_fields, frozen_dataclass
from memo._store import EvictionReason

__all__ = ("CacheInfo", "CacheStats", "EntryInfo")

V = TypeVar("V")

_NO_EVICTIONS: Mapping[EvictionReason, int] = FrozenDict(dict.fromkeys(EvictionReason, 0))


@frozen_dataclass
class CacheStats(Snapshot):
    """One function's store.  Every call raises exactly one of the first five counters.

    But for one that was cancelled while it waited for a load that another call led: that raises none.
    """

    __module__ = "memo"

    name: str
    hits: int = counter()
    """Calls answered from a fresh entry.  Each entry counts its own; of a store of more than 10,000 entries the latest
    hits of some may be missing until they leave, are cleaned up, or ``stats()`` comes to them: it looks at 10,000 at a
    time, and goes on with the next.  None counts twice, and the figure never goes back.  Of ``stale_hits`` and
    ``error_hits`` that holds as well."""
    misses: int = counter()
    """Calls that led a load, whether it succeeded, failed, or was stored."""
    joins: int = counter()
    """Calls that waited for a load which another call led, also those that gave it up (``within()``)."""
    stale_hits: int = counter()
    """Calls answered with a value past its ttl, also those that led a load and were answered stale."""
    error_hits: int = counter()
    """Calls answered with a remembered failure."""
    loads: int = counter()
    """Loads that returned a value, refreshes and background loads included."""
    load_errors: int = counter()
    """Loads that raised, timed out, or whose loop or thread died; not those that were cancelled since nobody waited any
    more, which ``InflightStats.cancelled`` counts too."""
    load_seconds: float = counter(0.0)
    """Seconds that the counted ``loads`` took together, by the function's clock."""
    refreshes: int = counter()
    """Loads begun by ``refresh()`` or in the background; not calls."""
    rejected: int = counter()
    """Values returned but not stored: too large (with key and entry), not measurable, refused by ``cache_if``, with a
    ``ttl(value)`` of 0 or less, or where ``cache_if``, ``ttl(value)`` or ``tags`` raised."""
    size: int = 0
    """Gauge: entries in the store, with remembered failures, and those past their life that nothing has removed."""
    max: int | None = None
    """Gauge: most entries; None if the store is bounded by bytes alone."""
    bytes: int | None = None
    """Gauge: bytes of the entries together: their keys, their values as ``sizeof`` prices them, and the entries
    themselves; None without ``max_bytes``."""
    max_bytes: int | None = None
    """Gauge: most bytes; None if the store is bounded by number alone."""
    evictions: Mapping[EvictionReason, int] = counter(_NO_EVICTIONS)
    """Values that left, by reason; a value put again as the identical object does not count, unless it had left before,
    leased, and so came back."""
    small_share: float | None = None
    """Gauge: the part of the whole that the policy means for new keys at present, from 0 to 1: it follows what is asked
    for under ``policy="adaptive"``; None under a policy that has no such part."""
    fallbacks: int = counter()
    """Calls answered with ``fallback``, or the ``default`` of ``within()``, in place of an error.  Each also counts as
    what it was: a miss if it led the load, a join, or an error hit."""

    leases: int = 0
    """Gauge: leases under way (``cache.lease()``), however many are of one value, and those past ``lease_timeout``."""
    oldest_lease: float | None = None
    """Gauge: seconds since the oldest of them began, by the function's clock; None if there is none."""
    overruled: int = counter()
    """Values that ``on_evict`` was called for though they were leased, since all their leases were older than
    ``lease_timeout``; not leases that are merely that old."""
    unheard: int = counter()
    """Values that left without a call of ``on_evict``, a coroutine function, that ended: its event loop was closed or
    gone, or it was cancelled; not those for which it raised."""

    l2_hits: int | None = counter_where_there()
    """Loads that the tier answered, so that the function did not run; no ``loads``.  Of calls, of refreshes that
    nothing answers, and of loads in the background.  None without ``shared``, as all figures of the tier."""
    l2_misses: int | None = counter_where_there()
    """Loads for which the tier had nothing, so that the function ran."""
    l2_waits: int | None = counter_where_there()
    """Loads that waited for another process; each is a hit or a miss of the tier as well, or neither if it failed."""
    l2_errors: int | None = counter_where_there()
    """Questions that the tier could not answer, or answered with what cannot be read."""
    l2_skipped: int | None = counter_where_there()
    """Loads for which the tier was not asked, since it is down."""
    l2_refused: int | None = counter_where_there()
    """Results that the tier refused, since their keys were changed meanwhile: returned, and stored nowhere."""
    l2_rejected: int | None = counter_where_there()
    """Results that cannot be shared (their type, their size, their key): stored here alone."""
    l2_seconds: float | None = counter_where_there()
    """Seconds that the questions to the tier took together, those for which it waited for another process included."""
    l2_served: int | None = counter_where_there()
    """Of ``misses``, those whose load the tier answered."""

    def __post_init__(self) -> None:
        freeze_fields(self, "evictions")

    @property
    def requests(self) -> int:
        """All calls."""
        return self.hits + self.misses + self.joins + self.stale_hits + self.error_hits

    @property
    def hit_ratio(self) -> float:
        """``(hits + stale_hits) / (hits + misses + joins + stale_hits)``; 0.0 before the first call."""
        calls = self.hits + self.misses + self.joins + self.stale_hits
        return (self.hits + self.stale_hits) / calls if calls else 0.0

    @property
    def served_ratio(self) -> float:
        """Share of the calls for which no function ran here, be it that the tier answered; 0.0 before the first call.

        ``(requests - misses + l2_served) / requests``.
        """
        calls = self.requests
        return (calls - self.misses + (self.l2_served or 0)) / calls if calls else 0.0

    @property
    def load_mean(self) -> float:
        """Mean seconds of a load that returned a value; 0.0 before the first."""
        return self.load_seconds / self.loads if self.loads else 0.0


class CacheInfo(NamedTuple):
    """What ``cache_info()`` returns: the fields of ``functools.lru_cache``."""

    hits: int
    """Calls answered without a load of their own: hits, joins, stale and error hits."""
    misses: int
    maxsize: int | None
    currsize: int

    def as_dict(self) -> dict[str, int | None]:
        """Its fields by name, as ``json.dumps`` takes them."""
        return self._asdict()


CacheInfo.__module__ = "memo"  # in the body of a named tuple it would be a field to type checkers


@frozen_dataclass
class EntryInfo(Frozen, Generic[V]):
    """One entry of a store, as ``cache.entry()`` saw it."""

    __module__ = "memo"

    value: V = field(hash=False)
    """Left out of the hash, which it may not have; equal snapshots have equal values all the same."""
    age: float
    """Seconds since its load ended."""
    expires_in: float | None
    """Seconds until it is stale, negative inside a stale window; None if it has no ttl."""
    hits: int
    bytes: int | None
    """What it counts against ``max_bytes``: its key, its value as ``sizeof`` priced it, and the entry itself; None
    without ``max_bytes``."""
    stale: bool = False
    """Past its ttl, but inside a stale window."""
