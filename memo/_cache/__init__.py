"""The remembered results of one function: how they are loaded, kept fresh, and shown.

Imports ``_store``, ``_flight``, ``_call``, ``_base``, ``_native``, ``_late`` and ``memo.errors``.
"""

from typing import TYPE_CHECKING

from memo._cache.answers import Answers
from memo._cache.awaited_listener import EvictLoop
from memo._cache.cache import Cache, Upwards
from memo._cache.fallback_options import check_colour, fallback_options, without_arguments
from memo._cache.figures import shared_figures
from memo._cache.handle import CacheHandle
from memo._cache.leading import can_lead, leading_await_load, leading_load
from memo._cache.local_results import LocalResults
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
from memo._cache.sharing import Sharing
from memo._cache.stats import CacheInfo, CacheStats, EntryInfo
from memo._cache.templates import found_call, remembered_call
from memo._cache.terms import NOT_GIVEN
from memo._cache.tier_link import Found, Grant, Link, LinkFigures, LinkTerms, Local, Place
from memo._late import late

if TYPE_CHECKING:  # few programs write results, and what that needs takes long to import
    from memo._cache.dump_values import Unsupported, decoded, encoded, refuse_colliding

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
    "Found",
    "Grant",
    "Link",
    "LinkFigures",
    "LinkTerms",
    "Local",
    "LocalResults",
    "Place",
    "Recording",
    "RefreshPool",
    "Sharing",
    "TtlOption",
    "Unsupported",
    "Upwards",
    "can_lead",
    "check_callback",
    "check_colour",
    "check_fork",
    "check_on_evict",
    "copier",
    "decoded",
    "encoded",
    "fallback_options",
    "found_call",
    "late_options",
    "leading_await_load",
    "leading_load",
    "put_back",
    "refuse_colliding",
    "remembered_call",
    "set_aside",
    "shared_figures",
    "without_arguments",
)

if not TYPE_CHECKING:  # what a dump writes values by
    __getattr__ = late(
        globals(), dict.fromkeys(("Unsupported", "decoded", "encoded", "refuse_colliding"), "dump_values")
    )
