"""Caches that others made: found, seen and cleared.

Imports ``_base``.
"""

from memo._adopted.adoptable import adoptable, check_lock, find_adopted, name_of
from memo._adopted.adopted import Adopted, AdoptedHandle, AdoptedRef
from memo._adopted.peek import UNKNOWN
from memo._adopted.stats import AdoptedStats

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
