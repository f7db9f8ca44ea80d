"""``@bounded``: its options, its layer, and what siblings make of both.

Imports ``_decorated``, ``_registry``, ``_cache``, ``_store``, ``_flight``, ``_call`` and ``_base``.
"""

from memo._bounded.decorator import bounded
from memo._bounded.layer import BoundedLayer
from memo._bounded.option_types import Policy, SharedOptions
from memo._bounded.options import check_suits, checked_options

__all__ = ("BoundedLayer", "Policy", "SharedOptions", "bounded", "check_suits", "checked_options")
