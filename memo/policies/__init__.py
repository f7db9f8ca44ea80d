"""Eviction policies, each a ``cachetools.Cache`` that is of use alone, and public:

    import cachetools
    from memo.policies import SieveCache

    @cachetools.cached(SieveCache(500))
    def fetch(name): ...

The head of each policy's file names its paper, its invariants and what its operations cost.  ``bounded(policy=)`` takes
the classes as they are, and has forms of its own for some names, in which a hit takes no lock.

Imports ``_rings`` (and cachetools).
"""

from memo.policies.adaptive import AdaptiveCache
from memo.policies.lirs import LIRSCache
from memo.policies.s3fifo import S3FIFOCache
from memo.policies.sieve import SieveCache

__all__ = ("AdaptiveCache", "LIRSCache", "S3FIFOCache", "SieveCache")
