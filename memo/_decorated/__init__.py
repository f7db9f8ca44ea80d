"""The decorated function: its layers, the proxy that stands for it, and how it is put in place.

Imports ``_registry``, ``_cache``, ``_flight``, ``_window``, ``_call`` and ``_base``.
"""

from typing import TYPE_CHECKING

from memo._decorated.layer import FlightLayer, Layer
from memo._decorated.placement import AnyProperty, Decorator, Placement, check_common

if TYPE_CHECKING:  # what is there for annotations alone
    from memo._decorated.typed import Function as Function
    from memo._decorated.typed import Method as Method

__all__ = (
    "AnyProperty",
    "Decorator",
    "FlightLayer",
    "Layer",
    "Placement",
    "check_common",
)
