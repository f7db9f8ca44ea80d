"""One function's figures, as a server told them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ("Row", "row_of")

_REASONS = ("size", "expired", "replaced", "invalidated", "cleared", "collected")


@dataclass(slots=True)
class Row:
    """What one function tells.  What it does not count is None, never zero."""

    name: str
    process: int | None = None
    """Whose figures these are, where each process has a row of its own."""
    tags: tuple[str, ...] = ()
    size: int | None = None
    max: int | None = None
    bytes: int | None = None
    max_bytes: int | None = None
    calls: int | None = None
    """Since the process began."""
    answered: int | None = None
    """Those of them that were answered from the store, stale answers included."""
    asked: int | None = None
    """Those that ``hit_ratio`` is a ratio of."""
    load_mean: float | None = None
    p95: float | None = None
    running: int | None = None
    waiting: int | None = None
    oldest: float | None = None
    """Seconds since the oldest running call began."""
    evicted: int | None = None
    reasons: dict[str, int] = field(default_factory=dict)
    from_tier: int | None = None
    """Loads that a shared tier answered; None where results are not shared."""
    asked_tier: int | None = None
    """Those that it was asked for, and knew of an answer or of none."""
    errors: int | None = None
    """Loads, or executions, that failed; of a function that has a window alone, the failures in it."""
    sparkline: str = ""
    calls_per_second: float | None = None
    """Between the last two answers; of a function that has a window alone, over its span."""
    recent_answered: int | None = None
    """Calls between the last two answers that were answered from the store."""
    recent_asked: int | None = None
    """Those that ``recent_ratio`` is a ratio of."""
    recent_errors: int | None = None

    @property
    def hit_ratio(self) -> float | None:
        """The hit ratio of all calls; None before the first, and where it is not counted."""
        return _ratio(self.answered, self.asked)

    @property
    def recent_ratio(self) -> float | None:
        """The hit ratio of the calls between the last two answers; None where there were none."""
        return _ratio(self.recent_answered, self.recent_asked)

    @property
    def tier_ratio(self) -> float | None:
        """The share of loads that the tier answered, of those that it was asked for; None before the first."""
        return _ratio(self.from_tier, self.asked_tier)

    @property
    def label(self) -> str:
        """The name, and the process if that has a row of its own."""
        own = self.process is None or self.name.endswith(f"@{self.process}")
        return self.name if own else f"{self.name}@{self.process}"

    def as_dict(self) -> dict[str, Any]:
        """The figures as ``json.dumps`` takes them."""
        return {
            "name": self.name,
            "process": self.process,
            "tags": list(self.tags),
            "entries": self.size,
            "max": self.max,
            "bytes": self.bytes,
            "max_bytes": self.max_bytes,
            "calls": self.calls,
            "calls_per_second": self.calls_per_second,
            "hit_ratio": self.hit_ratio,
            "recent_hit_ratio": self.recent_ratio,
            "load_mean": self.load_mean,
            "p95": self.p95,
            "running": self.running,
            "waiting": self.waiting,
            "oldest": self.oldest,
            "evicted": self.evicted,
            "evictions": dict(self.reasons),
            "errors": self.errors,
            "sparkline": self.sparkline,
            **({} if self.from_tier is None else {"from_tier": self.from_tier, "tier_ratio": self.tier_ratio}),
        }


def _ratio(answered: int | None, asked: int | None) -> float | None:
    return answered / asked if asked and answered is not None else None


def row_of(name: str, told: Mapping[str, Any]) -> Row:
    """The figures of a function of that name, of what ``/stats.json`` tells of it."""
    row = Row(name, told.get("process"), tuple(told.get("tags") or ()), sparkline=told.get("sparkline") or "")
    # From the part that knows least of calls to the one that knows most, which has the last word.
    for part, take in _PARTS.items():
        figures = told.get(part)
        if figures is not None:
            take(row, figures)
    if row.calls is not None:
        row.calls_per_second = None  # counted calls have a rate once there is an interval
    return row


def _take_window(row: Row, window: Mapping[str, Any]) -> None:
    row.p95 = window.get("p95")
    row.errors = window.get("errors")
    row.calls_per_second = window.get("rate")


def _take_limit(row: Row, limit: Mapping[str, Any]) -> None:
    row.calls = limit["allowed"] + limit["refused"]
    row.waiting = limit.get("waiting")


def _take_inflight(row: Row, inflight: Mapping[str, Any]) -> None:
    row.calls = inflight["started"] + inflight["joined"]
    row.errors = inflight["failed"] + inflight["timeouts"]
    row.running = inflight["active"]
    row.waiting = (row.waiting or 0) + inflight["waiting"]
    row.oldest = inflight.get("oldest")


def _take_adopted(row: Row, adopted: Mapping[str, Any]) -> None:
    row.size, row.max = adopted.get("size"), adopted.get("max")
    hits, misses = adopted.get("hits"), adopted.get("misses")
    if hits is not None and misses is not None:
        row.calls = row.asked = hits + misses
        row.answered = hits


def _take_cache(row: Row, cache: Mapping[str, Any]) -> None:
    row.size, row.max = cache["size"], cache.get("max")
    row.bytes, row.max_bytes = cache.get("bytes"), cache.get("max_bytes")
    row.answered = cache["hits"] + cache["stale_hits"]
    row.asked = row.answered + cache["misses"] + cache["joins"]
    row.calls = row.asked + cache["error_hits"]
    row.load_mean = cache["load_seconds"] / cache["loads"] if cache["loads"] else None
    row.errors = cache["load_errors"]
    if (from_tier := cache.get("l2_hits")) is not None:
        row.from_tier, row.asked_tier = from_tier, from_tier + (cache.get("l2_misses") or 0)
    evictions = cache.get("evictions") or {}
    # The order of the reasons is that of their likelihood, whatever the server's.
    row.reasons = {
        reason: evictions[reason]
        for reason in (*_REASONS, *sorted(set(evictions) - set(_REASONS)))
        if evictions.get(reason)
    }
    row.evicted = sum(row.reasons.values())


_PARTS = {
    "window": _take_window,
    "limit": _take_limit,
    "inflight": _take_inflight,
    "adopted": _take_adopted,
    "cache": _take_cache,
}
