"""The remembered results of one function: how they are loaded, kept fresh, and shown.

Imports ``_store``, ``_flight``, ``_call``, ``_base``, ``_native`` and ``memo.errors``.
"""

from memo._cache.answers import Answers
from memo._cache.awaited_listener import EvictLoop
from memo._cache.cache import Cache, Upwards
from memo._cache.fallback_options import check_colour, check_fit, fallback_options, without_arguments
from memo._cache.handle import CacheHandle
from memo._cache.leading import can_lead, leading_await_load, leading_load
from memo._cache.options import (
    CacheIfOption,
    CacheOptions,
    TtlOption,
    check_callback,
    check_fork,
    check_on_evict,
    copier,
    late_options,
)
from memo._cache.recording import Recording
from memo._cache.refresh_pool import RefreshPool
from memo._cache.setting_aside import put_back, set_aside
from memo._cache.stats import CacheInfo, CacheStats, EntryInfo
from memo._cache.templates import found_call, remembered_call
from memo._cache.terms import NOT_GIVEN
from memo._cache.tier_link import Place

__all__ = (
    "NOT_GIVEN",
    "Answers",
    "Cache",
    "CacheHandle",
    "CacheIfOption",
    "CacheInfo",
    "CacheOptions",
    "CacheStats",
    "EntryInfo",
    "EvictLoop",
    "Place",
    "Recording",
    "RefreshPool",
    "TtlOption",
    "Upwards",
    "can_lead",
    "check_callback",
    "check_colour",
    "check_fit",
    "check_fork",
    "check_on_evict",
    "copier",
    "fallback_options",
    "found_call",
    "late_options",
    "leading_await_load",
    "leading_load",
    "put_back",
    "remembered_call",
    "set_aside",
    "without_arguments",
)
