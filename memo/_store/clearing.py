"""All entries of a store as they leave together: told apart outside the lock, since there may be a million of them."""

from typing import Any

from memo._store.departures import Departures, Gone
from memo._store.eviction import EvictionReason
from memo._store.figures import Figures
from memo._store.serving import Serving

__all__ = ("Exodus",)

_EXPIRED = EvictionReason.EXPIRED


class Exodus:
    """All entries of a store, which nobody else reaches any more once its index is empty.

    Args:
        entries: The entries.
        reason: Why they leave.
        now: When.
    """

    __slots__ = ("_left", "_now", "_reason", "entries", "gone")

    def __init__(self, entries: list[Any], reason: EvictionReason, now: float) -> None:
        self.entries: list[Any] = entries
        self._reason = reason
        self._now = now
        self._left: dict[str, int] | None = None
        """The counts of what left as they will be then: added once, and set as often as need be."""
        self.gone: Departures | None = None
        """What is told of it, once that is known and counted."""

    def told_apart(self, serving: Serving, figures: Figures, rich: bool) -> tuple[list[Gone], dict[str, int]]:
        """What is told of it, and how many left for which reason; without the lock, and again if that was cut short."""
        items: list[Gone] = []
        failures = expired = 0
        for entry, over in zip(self.entries, serving.over(self.entries, self._now), strict=True):
            if entry.hits is not entry.counted:
                figures.add_up(entry)
            item: Gone = entry.key, entry.value, _EXPIRED if over else self._reason
            if rich and (loop := getattr(entry, "loop", None)) is not None:
                item = (*item, loop)
            items.append(item)
            if rich and entry.failure:
                failures += 1
            elif over:
                expired += 1
            try:
                del entry.older, entry.newer  # the rings would keep them alive until the next garbage collection
            except AttributeError:
                pass
        return items, {self._reason._value_: len(items) - failures - expired, "expired": expired}

    def count(self, figures: Figures, counts: dict[str, int]) -> None:
        """Count what left, once however often this is called; under the lock."""
        if self._left is None:
            self._left = {name: figures.left[name] + count for name, count in counts.items()}
        figures.left.update(self._left)
