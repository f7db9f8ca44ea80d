"""Those who subscribe, and keep what they are told."""

from collections import Counter
from typing import Any

from memo import CacheEvent, FunctionStats, Subscription

__all__ = ("Told", "counted_by", "counted_in")


class Told:
    """What a subscription of *view* is told.

    Args:
        view: A registry, or a selection.
        options: Of the subscription.
    """

    def __init__(self, view: Any, **options: Any) -> None:
        self._events: list[CacheEvent] = []
        self.subscription: Subscription = view.subscribe(self._events.append, **options)

    def take(self) -> list[CacheEvent]:
        """What was told since this was last asked for."""
        assert self.subscription.drain(), "the callback did not return"
        told = list(self._events)
        self._events.clear()
        return told

    def kinds(self) -> list[str]:
        """The kinds of that."""
        return [event.kind for event in self.take()]


def counted_by(events: list[CacheEvent]) -> Counter[Any]:
    """How many there are of each kind, and of evictions of each reason."""
    return Counter([event.reason if event.kind == "eviction" else event.kind for event in events])


def counted_in(stats: FunctionStats) -> Counter[Any]:
    """How many there are to be by the figures of a function of one decorator."""
    counts: Counter[Any] = Counter()
    if stats.inflight is not None:
        counts["load"] = stats.inflight.completed
        counts["error"] = stats.inflight.failed
        counts["cancelled"] = stats.inflight.cancelled
        counts["timeout"] = stats.inflight.timeouts
    if stats.cache is not None:
        counts["stale"] = stats.cache.stale_hits
        counts.update(stats.cache.evictions)
    return +counts
