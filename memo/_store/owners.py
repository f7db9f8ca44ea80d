"""Entries of methods, listed with the token of the instance that their key begins with.

A hit on a method reads the token's ``table`` without a lock, and all of an instance's entries go with it.  The tables
follow from the index of the store; guarded by the store's lock, but for ``dead``.
"""

from collections.abc import Iterable
from typing import Any

from memo._call import InstanceRef, owner_of, rest_of

__all__ = ("Owners",)


class Owners:
    """The instances that entries of one store belong to."""

    __slots__ = ("apart", "dead")

    def __init__(self) -> None:
        self.apart = False
        """Keys begin with an instance: its token is told of each, so that all can go with it."""
        self.dead: list[InstanceRef] = []
        """The tokens of instances that died, of which nobody may have told; see ``Instances``."""

    def follow(self, apart: bool, dead: list[InstanceRef] | None = None) -> None:
        """Know from now on whether keys begin with an instance, and where those that died are noted."""
        self.apart = apart
        if dead is not None:
            self.dead = dead

    def add(self, entry: Any) -> InstanceRef | None:
        """List *entry*, whose key is set.

        Returns:
            Its token, if the instance died during the load: its callback has run, and will not again.
        """
        owner = owner_of(entry.key)
        if owner is None:
            return None
        owner.table[rest_of(entry.key)] = entry
        return owner if owner() is None else None

    def remove(self, entry: Any) -> None:
        """Strike *entry* out, unless another stands in its place already."""
        owner = owner_of(entry.key)
        if owner is not None:
            rest = rest_of(entry.key)
            if owner.table.get(rest) is entry:
                del owner.table[rest]

    def clear(self, entries: Iterable[Any]) -> None:
        """Strike all out: these are all that the store has."""
        for owner in {owner_of(entry.key) for entry in entries}:
            if owner is not None:
                owner.table.clear()

    def bury(self, owner: InstanceRef) -> None:
        """Take one out of ``dead``."""
        try:
            self.dead.remove(owner)
        except ValueError:  # another thread tells of it at this moment
            pass

    def _check(self, entries: Iterable[Any]) -> None:
        """Raise AssertionError unless each of these entries is listed."""
        for entry in entries:
            owner = owner_of(entry.key)
            assert owner is None or owner.table.get(rest_of(entry.key)) is entry, "an instance lost an entry"
