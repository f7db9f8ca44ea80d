"""What is kept, and what leaves: entries, the policies that rank them, and the store that holds both.

Imports ``policies``, ``_rings``, ``_native``, ``_base``, ``_late``, and of ``_call`` the instances and how keys are
compared.
"""

from memo._store.changes import nothing
from memo._store.departures import Departures, Gone
from memo._store.entries import Entry, Failure, IdleEntry, LoopEntry, RichEntry, TrackedEntry, WeighedEntry
from memo._store.eviction import EvictionReason
from memo._store.giveaway import Giveaway
from memo._store.large_table import LargeTable, taken
from memo._store.owners import Listing
from memo._store.parted import WHOLE
from memo._store.policy import AnyCache, CacheClass, check_policy, first_share, is_ours
from memo._store.serving import Standing
from memo._store.shelf import SLICE
from memo._store.store import Store
from memo._store.weights import weight

__all__ = (
    "SLICE",
    "WHOLE",
    "AnyCache",
    "CacheClass",
    "Departures",
    "Entry",
    "EvictionReason",
    "Failure",
    "Giveaway",
    "Gone",
    "IdleEntry",
    "LargeTable",
    "Listing",
    "LoopEntry",
    "RichEntry",
    "Standing",
    "Store",
    "TrackedEntry",
    "WeighedEntry",
    "check_policy",
    "first_share",
    "is_ours",
    "nothing",
    "taken",
    "weight",
)
