"""Eviction policies, each a ``cachetools.Cache`` that is of use alone, and public:

    import cachetools
    from memo.policies import SieveCache

    @cachetools.cached(SieveCache(500))
    def fetch(name): ...

The head of each policy's file names its paper, its invariants and what its operations cost.  ``bounded(policy=)`` takes
the classes as they are, and has forms of its own for some names, in which a hit takes no lock.

Imports ``_rings``, ``_late`` (and cachetools).  The face imports a policy when it is asked for: most programs have one.
"""

from typing import TYPE_CHECKING

from memo._late import late

if TYPE_CHECKING:  # for type checkers: where each is made
    from memo.policies.adaptive import AdaptiveCache
    from memo.policies.lirs import LIRSCache
    from memo.policies.s3fifo import S3FIFOCache
    from memo.policies.sieve import SieveCache

__all__ = ("AdaptiveCache", "LIRSCache", "S3FIFOCache", "SieveCache")

if not TYPE_CHECKING:
    __getattr__ = late(
        globals(), {"AdaptiveCache": "adaptive", "LIRSCache": "lirs", "S3FIFOCache": "s3fifo", "SieveCache": "sieve"}
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
