"""The decorated function: its layers, the proxy that stands for it, and how it is put in place.

Imports ``_registry``, ``_cache``, ``_flight``, ``_window``, ``_rate``, ``_call``, ``_base`` and ``_late``.
"""

from typing import TYPE_CHECKING

from memo._decorated.layer import FlightLayer, Layer, levels_around
from memo._decorated.placement import AnyProperty, Decorator, Placement, check_common
from memo._decorated.proxy import Decorated

if TYPE_CHECKING:  # what is there for annotations alone
    from memo._decorated.typed import Function as Function
    from memo._decorated.typed import Method as Method
    from memo._decorated.typed_many import ManyDecorator as ManyDecorator

__all__ = (
    "AnyProperty",
    "Decorated",
    "Decorator",
    "FlightLayer",
    "Layer",
    "Placement",
    "check_common",
    "levels_around",
)
