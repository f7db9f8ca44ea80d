"""Eviction policies, each a ``cachetools.Cache`` that is of use alone, and public:

    import cachetools
    from memo.policies import SieveCache

    @cachetools.cached(SieveCache(500))
    def fetch(name): ...

The head of each policy's file names its paper, its invariants and what its operations cost.  ``bounded(policy=)`` takes
the classes as they are, and has forms of its own for some names, in which a hit takes no lock.

Imports ``_rings`` (and cachetools).  The face imports a policy when it is asked for: most programs have one.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers: where each is made
    from memo.policies.adaptive import AdaptiveCache
    from memo.policies.lirs import LIRSCache
    from memo.policies.s3fifo import S3FIFOCache
    from memo.policies.sieve import SieveCache

__all__ = ("AdaptiveCache", "LIRSCache", "S3FIFOCache", "SieveCache")

_MODULES = {"AdaptiveCache": "adaptive", "LIRSCache": "lirs", "S3FIFOCache": "s3fifo", "SieveCache": "sieve"}

if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> Any:
        """Import a public name from the module that has it."""
        if name in _MODULES:
            module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
            globals()[name] = value = getattr(module, name)
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
