"""What a layer holds of keys whose calls it counts, in one form for windows and limits."""

from typing import NamedTuple

__all__ = ("Tracked",)


class Tracked(NamedTuple):
    """The keys whose calls a layer counts."""

    keys: int
    """How many there are."""
    most: int | None
    """How many there may be; None where the bound is of another kind."""
    bytes: int
    """What they take, with the counts, by ``memo.sizeof``."""
