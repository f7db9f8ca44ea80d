"""A change of the bounds of a store, which evicts a slice at a time what no longer fits.

- Between two slices the bounds are what is still there, so that nothing comes in for what was evicted, and every
  invariant holds.
- The policy learns of the new bound at the end, in the step that sets it.
- Should another change of the bounds come in between, that has the last word.
"""

import math
from typing import Any

from memo._store.departures import Gone
from memo._store.shelf import Shelf

__all__ = ("Resizing",)


class Resizing:
    """One change of the bounds.

    Args:
        shelf: What is held.
        max_entries: Most entries from now on; None: as it is.
        max_bytes: Most bytes from now on; None: as it is.
        most: How many are evicted in a step, at the most.

    Attributes:
        begun: A step was done.
        is_over: No more is to be done.
    """

    __slots__ = ("_before", "_goal", "_most", "_now", "_shelf", "begun", "is_over")

    def __init__(self, shelf: Shelf, max_entries: int | None, max_bytes: int | None, most: int) -> None:
        self._shelf = shelf
        self._goal = max_entries, max_bytes
        self._most = most
        self._before: tuple[int | None, int | None, float, Any] | None = None
        """The bounds at first, and what the policy was told of them, once they are others."""
        self._now: tuple[object, int | None, int | None] | None = None
        """What was set last: where somebody has set something else, or set aside what was held, it ends."""
        self.begun: bool = False
        self.is_over: bool = False

    def step(self, gone: list[Gone], now: float) -> None:
        """Evict some, and set the bounds; an operation for ``change()``."""
        shelf = self._shelf
        self.begun = True
        if self._now is not None and self._now != self._bounds():
            self.is_over = True
            return
        entries, bytes_ = self._goal
        if not shelf.evict_down(gone, entries, bytes_, now, self._most):
            if self._before is None:
                self._before = shelf.max_entries, shelf.max_bytes, shelf.most, shelf.cache.maxsize
            held, size = len(shelf.index), math.ceil(shelf.cache.currsize)
            shelf.bound(None if entries is None else max(entries, held), None if bytes_ is None else max(bytes_, size))
            self._now = self._bounds()
            return
        shelf.resize(gone, entries, bytes_, now)
        self.is_over = True

    def take_back(self, gone: list[Gone]) -> None:
        """Have the bounds be those of before, unless it is over, or others have changed them; an operation."""
        if self._before is not None and not self.is_over and self._now == self._bounds():
            shelf = self._shelf
            shelf.max_entries, shelf.max_bytes, shelf.most, shelf.cache._Cache__maxsize = self._before
        self.is_over = True

    def _bounds(self) -> tuple[object, int | None, int | None]:
        return id(self._shelf.index), self._shelf.max_entries, self._shelf.max_bytes
