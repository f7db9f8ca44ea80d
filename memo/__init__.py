"""Decorators that keep long-running programs from leaking memory, and one registry that sees them all."""

from memo._bounded import bounded
from memo._freeze import freeze
from memo._inflight import dedupe_inflight
from memo._registry import FunctionStats, Record, Registry, registry
from memo._sizes import sizeof
from memo._stats import CacheInfo, CacheStats, CleanupReport, EntryInfo, EvictionReason, Flight, InflightStats
from memo._window import sliding_window
from memo._window_records import Bucket, Event, WindowStats
from memo.errors import InflightTimeout, MemoError, MissingExtra

__all__ = (
    "Bucket",
    "CacheInfo",
    "CacheStats",
    "CleanupReport",
    "EntryInfo",
    "Event",
    "EvictionReason",
    "Flight",
    "FunctionStats",
    "InflightStats",
    "InflightTimeout",
    "MemoError",
    "MissingExtra",
    "Record",
    "Registry",
    "WindowStats",
    "bounded",
    "dedupe_inflight",
    "freeze",
    "registry",
    "sizeof",
    "sliding_window",
)
