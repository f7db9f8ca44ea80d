"""Stores whose tables are in parts although they are small."""

from typing import Any

import pytest

from memo._store import large_table, own_shelf, parted, shelf

__all__ = ("keep_in_parts", "largest_part")


def largest_part(table: Any) -> int:
    """How many keys lie together in a large table: in one part, or, in C, in one chain of bins."""
    return max(map(len, table.parts())) if type(table) is parted.Parted else int(table._check()[2])


def keep_in_parts(patch: pytest.MonkeyPatch, most: int = 2) -> None:
    """Have every table be in parts that has more than *most* keys, and every part be divided; there are 13 places."""
    patch.setattr(parted, "PLACES", 13)
    patch.setattr(shelf, "WHOLE", 0)
    patch.setattr(large_table, "LOT", most)
    for module in (parted, large_table, own_shelf):
        patch.setattr(module, "MOST", most)
