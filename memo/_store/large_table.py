"""The dictionary of what is large: in C where the extension is there, else one in parts.

Both are dictionaries no change of which takes long, and have the same ways to be gone through and given away.
"""

from collections.abc import Hashable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar

from memo._native import speed
from memo._store.parted import MOST, Parted

__all__ = ("IN_PARTS", "LOT", "LargeTable", "abandon", "in_large", "taken")

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

LOT = 100
"""Values that are listed, or taken, in one go: hardly more, where it is C, and else a whole part.  Of ten million each
lies where nobody has been for long, and what the system does to make its memory available may take 10 us (on a virtual
machine whose host has other uses for it): 500 kept all threads up for 6 ms."""

IN_PARTS: bool
"""A ``LargeTable`` is a ``Parted``, made of the dictionary that it is given, and its heirs are dictionaries."""

if TYPE_CHECKING or speed is None:
    LargeTable = Parted
    IN_PARTS = True
else:
    LargeTable = speed.LargeTable
    IN_PARTS = False


def in_large(table: MutableMapping[K, V]) -> MutableMapping[K, V]:
    """*table*, as a ``LargeTable`` if it has more than ``MOST`` keys, and it is no one's but the caller's."""
    return LargeTable(table) if type(table) is dict and len(table) > MOST else table


def abandon(first: MutableMapping[Any, Any]) -> None:
    """Have nothing in the dictionary that a ``LargeTable`` was made of: whoever still looks there finds nothing.

    One in parts goes on with it.
    """
    if not IN_PARTS:
        first.clear()


def taken(table: LargeTable[Any, V]) -> Iterator[list[V]]:
    """All values of *table*, which has none of them any more, in lists of some ``LOT``."""
    heirs: list[Any] = table.heirs()
    table.give_away(heirs)
    while heirs:
        heir = heirs[-1]
        values: list[V] = []
        if type(heir) is dict:
            values += heir.values()
            heir.clear()  # who goes through the table at this moment would keep all of it until its own end
        else:
            heir.take(LOT, values)
        if not heir:
            del heirs[-1]
        del heir
        yield values
