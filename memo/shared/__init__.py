"""A tier shared by processes and machines, on Valkey or Redis.

Imports ``_cache``, ``_flight``, ``_call``, ``_base`` and ``memo.errors``.
"""

__all__ = ()
