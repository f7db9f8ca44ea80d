"""What ties the results of one function to a tier, and to those of other processes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from memo._cache.tier_link import Link

__all__ = ("Sharing",)


class Sharing(NamedTuple):
    """How results are shared; none of it keeps the function alive."""

    link: Link
    """The function's way to its tier."""
    is_apart: Callable[[], bool]
    """Whether nothing is asked or said of the tier now: ``isolated()`` has set the function's results aside."""
    fixed_tags: Callable[[], Sequence[str]]
    """The tags that all its results bear, those of other decorators of its stack included."""
