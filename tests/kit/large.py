"""Small stores that are treated as large ones."""

from typing import Any

import pytest

from memo._cache import cache, handle
from memo._store import crumbs, entry_policy, giveaway, large_table, lots, own_shelf, parted, shelf, store, sweep

__all__ = ("all_large",)

_SMALLEST: dict[str, tuple[Any, ...]] = {
    "WHOLE": (parted, shelf, store, lots, handle, entry_policy),
    "MOST": (parted, large_table, own_shelf),
    "LOT": (large_table, lots, giveaway),
    "SLICE": (shelf, sweep, cache),
    "DYING": (shelf, store),
    "_CRUMB": (crumbs,),
}


def all_large(patch: pytest.MonkeyPatch, size: int = 1) -> None:
    """Have what more than *size* entries are in go in parts, lots and slices of so many."""
    for name, modules in _SMALLEST.items():
        for module in modules:
            patch.setattr(module, name, size)
