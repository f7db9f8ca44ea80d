"""Whether a finalizer was called since the last reference went, or by the garbage collector.

The collector calls the finalizers of all that it found, in any order, before it clears anything: what goes with an
object may still call on it, after its own finalizer was called.  So what is the collector's stays whole, and is left to
the collector, which takes circles apart by itself.
"""

import sys

__all__ = ("ALONE",)


class _Last:
    """An object that counts, as it goes, the references to itself."""

    counted = 0

    def __del__(self) -> None:
        type(self).counted = sys.getrefcount(self)


_Last()
ALONE: int = _Last.counted
"""What ``sys.getrefcount(self)`` says in a ``__del__`` of the last reference; more where the collector calls it."""
