"""Stores whose tables are in parts although they are small."""

import pytest

from memo._store import own_shelf, parted, shelf

__all__ = ("keep_in_parts",)


def keep_in_parts(patch: pytest.MonkeyPatch, most: int = 2) -> None:
    """Have every table be in parts that has more than *most* keys, and every part be divided; there are 13 places."""
    patch.setattr(parted, "PLACES", 13)
    patch.setattr(shelf, "WHOLE", 0)
    for module in (parted, own_shelf):
        patch.setattr(module, "MOST", most)
