"""Eviction policies, each a ``cachetools.Cache`` that is of use alone.

Imports ``_rings`` (and cachetools).
"""

from memo.policies.s3fifo import S3FIFOCache

__all__ = ("S3FIFOCache",)
