"""What ``isolated()`` sets aside of one layer, and exchanges so that an exception may strike anywhere.

An exchange of many attributes happens in one call of C, between whose steps no exception strikes, and which also notes
that it has happened.  What is to be put back is in the hands of whoever puts it back before it is set aside.
"""

from collections import deque
from collections.abc import Iterable
from itertools import starmap
from typing import Any

__all__ = ("Aside", "Pair", "Setting", "set_at_once", "swap")

Setting = tuple[Any, str, Any]
"""An object, the name of an attribute, and the value that it gets."""
Pair = tuple[Any, Any, tuple[str, ...]]
"""Two objects, and the names of the attributes that they exchange."""


class Aside:
    """What was set aside, or as long as it was not (``is_out`` is false), what is to be held instead.

    Attributes:
        is_out: The two were exchanged.
        flights: The running calls that were set aside, by their keys.
        counters: Counts of calls.
        store: Entries.
        figures: What loads count.
        window: What a window holds.
    """

    __slots__ = ("counters", "figures", "flights", "is_out", "store", "window")

    def __init__(self, is_out: bool = False) -> None:
        self.is_out: bool = is_out
        self.flights: dict[Any, Any] = {}
        self.counters: Any = None
        self.store: Any = None
        self.figures: Any = None
        self.window: Any = None


def set_at_once(settings: Iterable[Setting]) -> None:
    """Set attributes, in one step."""
    deque(starmap(setattr, list(settings)), 0)


def swap(pairs: Iterable[Pair], done: Setting) -> None:
    """Exchange attributes of pairs of objects, and make the setting *done*, in one step."""
    settings: list[Setting] = [done]
    for one, other, names in pairs:
        for name in names:
            settings += ((one, name, getattr(other, name)), (other, name, getattr(one, name)))
    set_at_once(settings)
