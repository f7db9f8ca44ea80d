"""Decorators that keep long-running programs from leaking memory, and one registry that sees them all.

The plan of the house, from the roof down; each folder imports only what stands below it, and its face (its
``__init__``) says what others may take from it:

======================  ================================================================================
``_bounded/``           ``@bounded``: its options, and what a call of it does
``_bounded_many``       ``@bounded_many``: the same for functions of many keys
``_dedupe_inflight``    ``@dedupe_inflight``
``_sliding_window``     ``@sliding_window``
``_limit``              ``@limit``
``_lru_cache``          ``@lru_cache``: drop-in for that of ``functools``, made of ``_bounded``
``_cached_property``    ``@cached_property``: drop-in for that of ``functools``, with the calls of ``_dedupe_inflight``
``_decorated/``         the decorated function: layers, the proxy, how it binds (alone knows ``wrapt``, but for C)
``_registry/``          every function in one place: names, figures, events, clean-up, leak report
``_many/``              a function of many keys: its batches, and what gathers single calls into them
``shared/``             a tier shared by processes, on Valkey or Redis: public, an extra
``_cache/``             results of one function: loads, freshness, the handle ``f.cache``, dumps
``_window/``            what happened of late: events, totals, the handle ``f.window``
``_rate/``              how often something may begin, the handle ``f.limit``
``_flight/``            one execution for many callers, the handle ``f.inflight``
``_store/``             what is kept, and what leaves: entries, their order, the store
``_adopted/``           caches that others made
``_call/``              a call: its signature, its key, its wrapper; ``freeze``
``policies/``           eviction policies: public, usable alone
``_rings/``             what policies are made of: rings of nodes, and what is remembered of keys that left
``_base/``              time, locks, callers, sizes, text, units: knows no function, no key, no entry
``_native/``            the same hot path in C, where it could be built: decides nothing, doubts are Python's
``errors``              the exceptions; ``_freeze`` holds the marks that pickled keys name
``_late``               what is imported when it is needed, and what to say where it is too late for that
``testing``             a clock that is advanced by hand, stores that start empty; ``pytest_plugin`` has the fixtures
``exporters/``          figures for other programs, each an extra: public, made of the public names like any user
``_demo/``              what ``python -m memo demo`` shows, made with the public names alone
``_replay/``            what ``python -m memo replay`` shows: hit ratios of a recorded stream of keys, and an advice
``_commands/``          what looks at other processes: ``python -m memo top``, ``ps``, ``stats``, ``clear``
``_info``               what ``python -m memo info`` shows: versions, whether calls run in C, and why
======================  ================================================================================

One call goes upwards, and is the only one: ``Registry.serve()`` imports ``exporters.http`` when it is called, since one
looks for it on a registry.

Data goes one way: decorator, generated call, then store, flight or window, then a snapshot, the registry, and whoever
shows it.

A name is imported when it is first asked for: pytest imports this package in every project that has it
installed, for the plugin in it, and that is to cost nothing where the plugin is not used.

pytest takes a package with a plugin in it for one whose assertions it should rewrite, and warns where the package is
imported already.  This word in a docstring is the way that it leaves to say no: PYTEST_DONT_REWRITE
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from memo._late import in_time
from memo.errors import (
    AbsentKey,
    DumpError,
    InflightTimeout,
    MemoError,
    MissingExtra,
    RateLimited,
    RecordingError,
    SharedTimeout,
)

if TYPE_CHECKING:  # for type checkers: where each is made
    from memo._adopted import AdoptedStats
    from memo._base import RecordedKeys, read_recording, sizeof
    from memo._bounded import bounded
    from memo._bounded_many import bounded_many
    from memo._cache import CacheInfo, CacheStats, EntryInfo, Recording
    from memo._cached_property import cached_property
    from memo._call import CallInfo, freeze, freeze_typed
    from memo._dedupe_inflight import dedupe_inflight
    from memo._flight import Flight, InflightStats
    from memo._limit import limit
    from memo._lru_cache import lru_cache
    from memo._rate import LimitStats
    from memo._registry import (
        CacheEvent,
        CleanupReport,
        Finding,
        FunctionStats,
        Janitor,
        LeakReport,
        Record,
        Registry,
        StoreReport,
        Subscription,
        registry,
    )
    from memo._sliding_window import sliding_window
    from memo._store import EvictionReason
    from memo._window import Bucket, Event, KeyCount, WindowStats

__all__ = (
    "AbsentKey",
    "AdoptedStats",
    "Bucket",
    "CacheEvent",
    "CacheInfo",
    "CacheStats",
    "CallInfo",
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
    "KeyCount",
    "LeakReport",
    "LimitStats",
    "MemoError",
    "MissingExtra",
    "RateLimited",
    "Record",
    "RecordedKeys",
    "Recording",
    "RecordingError",
    "Registry",
    "SharedTimeout",
    "StoreReport",
    "Subscription",
    "WindowStats",
    "bounded",
    "bounded_many",
    "cached_property",
    "dedupe_inflight",
    "freeze",
    "freeze_typed",
    "limit",
    "lru_cache",
    "read_recording",
    "registry",
    "sizeof",
    "sliding_window",
)

# Where a public name is looked for, lightest first: it is what the face of that folder names.
_FACES = (
    "_base", "_call", "_window", "_rate", "_adopted", "_store", "_flight", "_cache", "_registry", "_bounded",
    "_dedupe_inflight", "_sliding_window", "_limit", "_lru_cache", "_bounded_many", "_cached_property",
)  # fmt: skip


if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        """Import a public name from the folder that has it.

        A decorator has a face of its own name: so nobody who asks for one imports another.
        """
        if name in __all__:
            own = f"_{name}"
            with in_time(f"{__name__}.{name}"):
                for face in (own,) if own in _FACES else _FACES:
                    if name in importlib.import_module(f"{__name__}.{face}").__all__:
                        _bind_what_came()
                        return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def _bind_what_came() -> None:
        """Bind all public names that are imported by now.

        As the interpreter ends nothing can be imported any more, and a finalizer then finds what the program has been
        using, such as the registry of what it decorated.
        """
        public = set(__all__).difference(globals())
        for face in _FACES:
            if f"{__name__}.{face}" in sys.modules:
                module = importlib.import_module(f"{__name__}.{face}")  # waits where another thread is importing it
                globals().update({one: getattr(module, one) for one in public.intersection(module.__all__)})


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
