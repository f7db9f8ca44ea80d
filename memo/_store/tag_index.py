"""Which entries bear a tag: so that an invalidation of a tag looks at no others.

It follows from the tags of the entries in the store; ``renew()`` makes it anew should a change have been cut short.
Guarded by the store's lock.
"""

from collections.abc import Hashable, Iterable, MutableMapping

from memo._store.entries import RichEntry
from memo._store.large_table import in_large

__all__ = ("TagIndex",)


class TagIndex:
    """The entries that bear each tag, by their keys."""

    HELD = ("_bearers",)
    """What is exchanged with that of a twin."""

    __slots__ = HELD

    def __init__(self) -> None:
        self._bearers: MutableMapping[str, MutableMapping[Hashable, RichEntry]] = {}

    def bearers(self, tag: str) -> MutableMapping[Hashable, RichEntry]:
        """The entries that bear *tag*, by their keys; not to be changed."""
        return self._bearers.get(tag, {})

    def all(self) -> MutableMapping[str, MutableMapping[Hashable, RichEntry]]:
        """The bearers of each tag; not to be changed, unless it was cleared since."""
        return self._bearers

    def add(self, entry: RichEntry) -> None:
        """List *entry*, whose key is set."""
        for tag in entry.tags:
            bearers = self._bearers.setdefault(tag, {})
            bearers[entry.key] = entry
            self._bearers[tag] = in_large(bearers)
        self._bearers = in_large(self._bearers)

    def remove(self, entry: RichEntry) -> None:
        """Strike *entry* out, unless another stands in its place already."""
        for tag in entry.tags:
            bearers = self._bearers.get(tag, {})
            if bearers.get(entry.key) is entry:
                del bearers[entry.key]
                if not bearers:
                    del self._bearers[tag]

    def clear(self) -> None:
        """Begin anew: all entries have left."""
        self._bearers = {}

    def renew(self, entries: Iterable[RichEntry]) -> None:
        """Make all of it anew, from all that is in the store."""
        renewed = TagIndex()
        for entry in entries:
            renewed.add(entry)
        self._bearers = renewed._bearers

    def _check(self, entries: Iterable[RichEntry]) -> None:
        """Raise AssertionError unless it lists just these entries."""
        listed = {(tag, id(entry)) for tag, bearers in self._bearers.items() for entry in bearers.values()}
        assert listed == {(tag, id(entry)) for entry in entries for tag in entry.tags}, "tags and entries differ"
        assert all(self._bearers.values()), "a tag that nobody bears"
