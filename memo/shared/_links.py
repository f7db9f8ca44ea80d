"""Which functions of this process share their results by one tier, so that no two share by one name."""

import gc
import weakref
from typing import Any

from memo._base import Stage, hold, rlock
from memo._cache import Place

__all__ = ("Links",)


class Links:
    """The functions of one tier, by their labels, held weakly.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = rlock()
        """Guards the table."""
        self._entered: dict[bytes, list[tuple[weakref.ref[Any], Place]]] = {}
        """By their labels: several where one was decorated once more and lives on."""
        hold(Stage.TIERS, self, self._lock)

    def enter(self, label: bytes, link: Any, place: Place, *, is_named: bool) -> bool:
        """Have *link* stand for its function, unless another living function does that.

        A function that is decorated once more, as by a reload, takes the place of the earlier one.

        Returns:
            Whether it does now.
        """
        if self._enter(label, link, place, is_named):
            return True
        gc.collect()  # a closure that nobody has any more may be part of a circle
        return self._enter(label, link, place, is_named)

    def _enter(self, label: bytes, link: Any, place: Place, is_named: bool) -> bool:
        living = self._living(label)
        if not all(place.replaces(earlier, explicit=is_named) for _, earlier in living):
            return False
        with self._lock:
            if self._living(label) == living:
                self._entered[label] = [*living, (weakref.ref(link), place)]
                return True
        return self._enter(label, link, place, is_named)  # another thread was at it

    def _living(self, label: bytes) -> list[tuple[weakref.ref[Any], Place]]:
        return [item for item in self._entered.get(label, ()) if item[0]() is not None]
