"""Caches that others made: found, seen and cleared.

Imports ``_base``.
"""

from memo._adopted.adopted import (
    Adopted,
    AdoptedHandle,
    AdoptedRef,
    AdoptedStats,
    adoptable,
    check_lock,
    find_adopted,
    name_of,
)
from memo._adopted.peek import UNKNOWN

__all__ = (
    "UNKNOWN",
    "Adopted",
    "AdoptedHandle",
    "AdoptedRef",
    "AdoptedStats",
    "adoptable",
    "check_lock",
    "find_adopted",
    "name_of",
)
