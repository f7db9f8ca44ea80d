"""Every decorated function in one place: named, counted, cleaned up, searched for leaks.

Imports ``_cache``, ``_store``, ``_flight``, ``_window``, ``_rate``, ``_adopted``, ``_call``, ``_base`` and ``_late``.
Nothing below knows that there is one.
"""

from memo._registry.cache_event import CacheEvent
from memo._registry.enrolling import Membership, enrol
from memo._registry.isolation import begin_apart, end_apart, is_apart
from memo._registry.janitor import Janitor
from memo._registry.leak_report import Finding, LeakReport, StoreReport
from memo._registry.off_switch import is_off, off_for_good
from memo._registry.parts import Part
from memo._registry.record import Record, record_of
from memo._registry.registries import Registry, registry
from memo._registry.stats import CleanupReport, FunctionStats
from memo._registry.subscriptions import Subscription
from memo._registry.view import View

__all__ = (
    "CacheEvent",
    "CleanupReport",
    "Finding",
    "FunctionStats",
    "Janitor",
    "LeakReport",
    "Membership",
    "Part",
    "Record",
    "Registry",
    "StoreReport",
    "Subscription",
    "View",
    "begin_apart",
    "end_apart",
    "enrol",
    "is_apart",
    "is_off",
    "off_for_good",
    "record_of",
    "registry",
)
