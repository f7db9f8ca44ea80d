"""A tier shared by processes and machines, on Valkey or Redis.

Imports ``_cache``, ``_flight``, ``_call``, ``_base``, ``memo.errors``, and ``_freeze`` for the marks in keys.
"""

from memo.shared._shared import Shared

__all__ = ("Shared",)
