"""A tier shared by processes and machines, on Valkey or Redis.

Imports ``_cache``, ``_flight``, ``_call``, ``_base``, ``memo.errors``, and ``_freeze`` for the marks in keys.
"""

__all__ = ()
