"""Which functions of this process share their results by one tier, so that no two share by one name."""

import gc
import weakref
from typing import Any

from memo._base import rlock
from memo._cache import Place

__all__ = ("Links",)


class Links:
    """The functions of one tier, by their labels, held weakly.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = rlock()
        """Guards the table."""
        self._places: dict[bytes, tuple[weakref.ref[Any], Place]] = {}

    def enter(self, label: bytes, link: Any, place: Place, *, is_named: bool) -> bool:
        """Have *link* stand for its function, unless another living function does that.

        A function that is decorated once more, as by a reload, takes the place of the earlier one.

        Returns:
            Whether it does now.
        """
        if self._entered(label, link, place, is_named):
            return True
        gc.collect()  # a closure that nobody has any more may be part of a circle
        return self._entered(label, link, place, is_named)

    def _entered(self, label: bytes, link: Any, place: Place, is_named: bool) -> bool:
        with self._lock:
            holder, held_place = self._places.get(label, (None, None))
            if holder is not None and holder() is not None and not place.replaces(held_place, explicit=is_named):
                return False
            self._places[label] = weakref.ref(link), place
            return True
