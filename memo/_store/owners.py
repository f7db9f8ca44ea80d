"""Entries listed with the tokens in their keys: of an instance, of weak arguments, of an event loop.

A hit on a method reads the table of its instance's token without a lock, and all entries go with whatever a token of
theirs stands for.  The tables follow from the index of the store; guarded by the store's lock, but for ``dead``.

No table has what the index has not.  While ``listing`` is not ``ALL`` the index may have what the tables lack: calls
find that by their whole key.
"""

import enum
from collections.abc import Iterable
from typing import Any

from memo._call import InstanceRef, owner_of, refs_in, rest_of
from memo._store.large_table import abandon, in_large

__all__ = ("Listing", "Owners")


class Listing(enum.Enum):
    """Which entries of the index are listed."""

    ALL = enum.auto()
    NONE = enum.auto()
    """None is to be: those that are get struck out, and those that come are not listed."""
    SOME = enum.auto()
    """All are to be again: those that come are listed, and the others by and by."""


_NONE = Listing.NONE


class Owners:
    """What entries of one store belong to.

    Attributes:
        instances: Keys begin with an instance.
        weak: Keys hold weak arguments, or event loops.
        apart: One or the other: tokens are told of each entry, so that all can go with what they stand for.
        listing: Which entries are listed.
    """

    HELD = ("listing",)
    """What is exchanged with those of a twin."""

    __slots__ = ("apart", "dead", "instances", "listing", "weak")

    apart: bool
    instances: bool
    weak: bool

    def __init__(self) -> None:
        self.apart = self.instances = self.weak = False
        self.listing: Listing = Listing.ALL
        self.dead: list[InstanceRef] = []
        """The tokens of what died, of which nobody may have told; see ``Instances``."""

    def follow(self, instances: bool, weak: bool | None = None, dead: list[InstanceRef] | None = None) -> None:
        """Know from now on what is in keys, and where what died is noted; None: as before."""
        self.instances = instances
        if weak is not None:
            self.weak = weak
        self.apart = instances or self.weak
        if dead is not None:
            self.dead = dead

    def add(self, entry: Any, may_grow: bool) -> tuple[InstanceRef, ...]:
        """List *entry*, whose key is set, if any are.

        Args:
            entry: The entry.
            may_grow: A table may come to have so many that it must be in parts.

        Returns:
            Those of its tokens that stand for what died during the load: their callbacks have run, and will not again.
        """
        died: tuple[InstanceRef, ...] = ()
        if self.listing is _NONE:
            return died
        owner = owner_of(entry.key)
        if owner is not None:
            owner.table[rest_of(entry.key)] = entry
            if may_grow:
                _grow(owner)
            if owner() is None:
                died = (owner,)
        if self.weak:
            for ref in refs_in(entry.key):
                ref.table[id(entry)] = entry
                if may_grow:
                    _grow(ref)
                if ref() is None:
                    died = (*died, ref)
        return died

    def remove(self, entry: Any) -> None:
        """Strike *entry* out, unless another stands in its place already."""
        owner = owner_of(entry.key)
        if owner is not None:
            rest = rest_of(entry.key)
            if owner.table.get(rest) is entry:
                del owner.table[rest]
        if self.weak:
            for ref in refs_in(entry.key):
                ref.table.pop(id(entry), None)

    def clear(self, entries: Iterable[Any]) -> None:
        """Strike all out: these are all that the store has."""
        for entry in entries:
            owner = owner_of(entry.key)
            if owner is not None and owner.table:
                owner.table.clear()
            if self.weak:
                for ref in refs_in(entry.key):
                    if ref.table:
                        ref.table.clear()

    def is_dead(self, entry: Any) -> bool:
        """Whether something died that *entry* belongs to."""
        owner = owner_of(entry.key)
        return (owner is not None and owner() is None) or (
            self.weak and any(ref() is None for ref in refs_in(entry.key))
        )

    def bury(self, owner: InstanceRef) -> None:
        """Take one out of ``dead``."""
        try:
            self.dead.remove(owner)
        except ValueError:  # another thread tells of it at this moment
            pass

    def _check(self, entries: Iterable[Any]) -> None:
        """Raise AssertionError unless each of these entries is listed."""
        assert self.listing is Listing.ALL, "entries were left unlisted"
        for entry in entries:
            owner = owner_of(entry.key)
            assert owner is None or owner.table.get(rest_of(entry.key)) is entry, "an instance lost an entry"
            for ref in refs_in(entry.key):
                assert ref.table.get(id(entry)) is entry, "a weak argument, or a loop, lost an entry"


def _grow(token: InstanceRef) -> None:
    """Have its table go on as a large one, if it is to."""
    table = token.table
    token.table = large = in_large(table)
    if large is not table:
        abandon(table)
