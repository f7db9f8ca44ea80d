"""A tier shared by processes and machines, on Valkey or Redis.

Imports ``_cache``, ``_flight``, ``_call``, ``_base``, ``memo.errors``, and ``_freeze`` for the marks in keys.
"""

from memo.shared._shared import Shared
from memo.shared._tier import Tier
from memo.shared._tier_stats import TierStats

__all__ = ("Shared", "Tier", "TierStats")
