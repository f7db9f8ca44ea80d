"""Decorators that keep long-running programs from leaking memory, and one registry that sees them all.

A name is imported when it is first asked for: pytest imports this package in every project that has it
installed, for the plugin in it, and that is to cost nothing where the plugin is not used.

pytest takes a package with a plugin in it for one whose assertions it should rewrite, and warns where the package is
imported already.  This word in a docstring is the way that it leaves to say no: PYTEST_DONT_REWRITE
"""

import importlib
from typing import TYPE_CHECKING, Any

from memo.errors import DumpError, InflightTimeout, MemoError, MissingExtra

if TYPE_CHECKING:
    from memo._adopted import AdoptedStats
    from memo._bounded import bounded
    from memo._freeze import freeze, freeze_typed
    from memo._inflight import dedupe_inflight
    from memo._janitor import Janitor
    from memo._records import FunctionStats, Record
    from memo._registry import Registry, registry
    from memo._report import Finding, LeakReport, StoreReport
    from memo._sizes import sizeof
    from memo._stats import CacheInfo, CacheStats, CleanupReport, EntryInfo, EvictionReason, Flight, InflightStats
    from memo._window import sliding_window
    from memo._window_records import Bucket, Event, WindowStats

__all__ = (
    "AdoptedStats",
    "Bucket",
    "CacheInfo",
    "CacheStats",
    "CleanupReport",
    "DumpError",
    "EntryInfo",
    "Event",
    "EvictionReason",
    "Finding",
    "Flight",
    "FunctionStats",
    "InflightStats",
    "InflightTimeout",
    "Janitor",
    "LeakReport",
    "MemoError",
    "MissingExtra",
    "Record",
    "Registry",
    "StoreReport",
    "WindowStats",
    "bounded",
    "dedupe_inflight",
    "freeze",
    "freeze_typed",
    "registry",
    "sizeof",
    "sliding_window",
)

_HOMES = {
    "_adopted": ("AdoptedStats",),
    "_bounded": ("bounded",),
    "_freeze": ("freeze", "freeze_typed"),
    "_inflight": ("dedupe_inflight",),
    "_janitor": ("Janitor",),
    "_records": ("FunctionStats", "Record"),
    "_registry": ("Registry", "registry"),
    "_report": ("Finding", "LeakReport", "StoreReport"),
    "_sizes": ("sizeof",),
    "_stats": ("CacheInfo", "CacheStats", "CleanupReport", "EntryInfo", "EvictionReason", "Flight", "InflightStats"),
    "_window": ("sliding_window",),
    "_window_records": ("Bucket", "Event", "WindowStats"),
}
_HOME_OF = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        """Import a public name from the module that defines it."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
