"""What left a store, on its way to ``on_evict``."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import starmap
from operator import call, length_hint
from typing import Any

from memo._base import Pace
from memo._store.eviction import EvictionReason

__all__ = ("Departures", "Gone", "Leaving")

Gone = tuple[Any, ...]
"""A key, the value that left, and why; and of a value that belongs to an event loop, a reference to that."""
Leaving = tuple[Any, Gone | None, tuple[str, int] | None]
"""An entry that is being taken out; what its caller is told of it; and, unless it does not count, the reason that it
counts for with how many left for that before.  A bare tuple, since one is made whenever something leaves."""


class Departures(list[Any]):
    """What one operation took out, to be told once each, whatever interrupts the telling.

    The items are drawn by the interpreter itself, which draws the next and calls in one step: an exception can strike
    before a call, within it, or after it, and in each case ``tell()`` goes on with the right one when called again.
    """

    __slots__ = ("_announced", "_calls", "_items")
    _items: list[tuple[Any, ...]]
    _calls: tuple[Iterator[Any], Iterator[Any]]
    """The items still to be drawn, and the calls that draw them."""
    _announced: Iterator[Any]
    """The calls that tell others of what left."""

    @property
    def is_ready(self) -> bool:
        """Whether it is settled what is told, so that this is not to be found out again."""
        return hasattr(self, "_calls")

    @property
    def settled(self) -> list[tuple[Any, ...]]:
        """What is told, once that is settled."""
        return self._items if self.is_ready else []

    def let_go(self, pace: Pace) -> None:
        """Have what left die bit by bit, once it was told and nobody else holds it."""
        pace.let_go(self)
        pace.let_go(self.settled)

    def make_ready(
        self,
        listener: Callable[..., object],
        items: list[tuple[Any, ...]],
        also: Iterable[tuple[Any, ...]] = (),
    ) -> None:
        """Settle that *listener* is to be told *items*, and call what is to happen in the same step: no exception
        strikes in between.

        Args:
            listener: Called with the parts of an item.
            items: What is told.
            also: What else is called: functions in C, each with its arguments.
        """
        left = iter(items)
        steps = [
            (setattr, self, "_items", items),
            (setattr, self, "_calls", (left, starmap(listener, left))),
            *also,
        ]
        deque(starmap(call, steps), 0)

    def announce(self, steps: Callable[[list[Any]], Iterable[tuple[Any, ...]]]) -> None:
        """Make the calls that *steps* makes of what is in this list, once each; called again, it goes on with them."""
        if not hasattr(self, "_announced"):
            self._announced = starmap(call, steps(self))
        for _ in self._announced:
            pass

    def tell(
        self,
        listener: Callable[..., object],
        prepared: Callable[[Any], list[Gone]],
        failed: Callable[[Exception, EvictionReason], object],
    ) -> None:
        """Call *listener* with each item.

        Args:
            listener: Called with key, value and reason.
            prepared: Makes the items as *listener* wants them of what is in this list, unless that is settled.
            failed: Called with an ``Exception`` that *listener* raised, and the item's reason.
        """
        if not hasattr(self, "_calls"):  # as make_ready() does, without its detour
            self._items = prepared(self)
            left = iter(self._items)
            self._calls = left, starmap(listener, left)
        left, calls = self._calls
        while self._items:
            try:
                for _ in calls:
                    pass
                return
            except Exception as error:
                failed(error, self._items[len(self._items) - length_hint(left) - 1][2])
