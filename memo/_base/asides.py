"""What ``isolated()`` sets aside of one layer, and how: so that an exception may strike anywhere.

Whatever holds or counts something names the attributes in which it does, and exchanges them with a *twin*, an object
that has them as a newly made one would: ``aside.exchange([aside.pair(self, _HELD, make_twin)])``.  That sets aside, and
done once more it puts back.

An exchange of many attributes happens in one call of C, between whose steps no exception strikes, and which also notes
that it has happened.  An ``Aside`` is in the hands of its owner, who puts it back, before anything is set aside in it.
"""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import starmap
from typing import Any

__all__ = ("Aside", "Pair", "Setting", "set_at_once")

Setting = tuple[Any, str, Any]
"""An object, the name of an attribute, and the value that it gets."""
Pair = tuple[Any, Any, tuple[str, ...]]
"""Two objects, and the names of the attributes that they exchange."""


class Aside:
    """What was set aside, or as long as it was not (``is_out`` is false), what is to be held instead.

    Args:
        is_out: Begin with nothing set aside: to put it back drops what is held.

    Attributes:
        is_out: The two were exchanged.
        flights: The running calls that were set aside, by their keys.
    """

    __slots__ = ("_twins", "flights", "is_out")

    def __init__(self, is_out: bool = False) -> None:
        self.is_out: bool = is_out
        self.flights: dict[Any, Any] = {}
        self._twins: dict[int, Any] = {}
        """By the address of what they are twins of, which lives as long as what is set aside of it matters."""

    def pair(self, holder: Any, names: tuple[str, ...], make_twin: Callable[[], Any]) -> Pair:
        """*holder* and its twin, which is made if there is none yet, and the attributes that they exchange."""
        twin = self._twins.get(id(holder))
        if twin is None:
            twin = self._twins[id(holder)] = make_twin()
        return holder, twin, names

    def exchange(self, pairs: Iterable[Pair]) -> None:
        """Exchange the attributes of each pair, and note it, in one step."""
        settings: list[Setting] = [(self, "is_out", not self.is_out)]
        for one, other, names in pairs:
            for name in names:
                settings += ((one, name, getattr(other, name)), (other, name, getattr(one, name)))
        set_at_once(settings)


def set_at_once(settings: Iterable[Setting]) -> None:
    """Set attributes, in one step."""
    deque(starmap(setattr, list(settings)), 0)
