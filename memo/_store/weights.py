"""What one entry of a store takes: its key, its value, its tags, and the entry itself.

No value is free, whatever prices it: a store that is bounded by bytes alone fills up.
"""

from collections.abc import Hashable
from typing import Any

from memo._base import total_size
from memo._call import held_parts

__all__ = ("ENTRY_BYTES", "weight")

ENTRY_BYTES = 400
"""Bytes of an entry beside its key, its value and its tags: what it knows of itself, its places in the order of the
policy, in the index and in the table of its instance.  Measured: 220 to 350, by policy and number of entries, and some
110 more where it may serve past its ttl or bears tags of its own."""
_TAG_BYTES = 200
"""Bytes of that by which an entry is found by one of its tags."""


def weight(key: Hashable, tags: tuple[str, ...], *values: Any) -> int:
    """Bytes of an entry that holds *values*; what these, its key and its tags share counts once."""
    held = held_parts(key)  # a token is nothing of this key's own: all keys of what it stands for hold it
    if tags:
        held = (*held, tags)
    return ENTRY_BYTES + _TAG_BYTES * len(tags) + total_size((*held, *values))
