"""What died and left more entries behind than can be taken out in one step: they leave with the changes that follow.

No call finds them any more, since nothing that lives has that token in its key.  Guarded by the store's lock.
"""

from typing import Any

from memo._call import InstanceRef
from memo._store.lots import undivided

__all__ = ("Burial",)


class Burial:
    """The entries of what died, as far as they have not been taken out.

    Args:
        owner: The token of what died.
        now: When.
    """

    __slots__ = ("_entries", "_lots", "now", "owner")

    def __init__(self, owner: InstanceRef, now: float) -> None:
        self.owner = owner
        self.now = now
        self._lots = undivided(owner.table)
        self._entries: list[Any] = []

    def next(self, most: int) -> list[Any]:
        """Some that are to leave next; none at the end.  Others may have taken them out by now."""
        while not self._entries:
            entries = next(self._lots, None)
            if entries is None:
                return []
            self._entries = entries
        found = self._entries[-most:]
        del self._entries[-most:]
        return found
